"""Dense matrix peaks and memory of known GPUs. Sparse figures are no peaks of dense training and are not here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuitrain.events import Run


@dataclass(frozen=True)
class Gpu:
    """A GPU model: dense bf16 peak with fp32 accumulation in TFLOP/s, memory in GB (10⁹ bytes)."""

    name: str
    bf16_tflops: float
    memory_gb: float
    pattern: str
    """Regular expression that the product name must match whole, case ignored, after vendor words are dropped."""


# Names as NVML and ROCm report them. The whole name must match: an L40S is not an L40, an A6000 is not an A60.
_MEMORY = r"(?:[ -]?\d+ ?gb)?(?: ?hbm\d\w*)?"
GPUS: tuple[Gpu, ...] = (
    Gpu("A100 40GB", 312.0, 42.9, r"a100(?:-(?:sxm4|pcie|sxm))?[ -]40 ?gb(?: pcie)?"),
    Gpu("A100", 312.0, 85.9, rf"a100(?:-(?:sxm4|pcie|sxm))?{_MEMORY}(?: pcie)?"),
    Gpu("A40", 149.7, 48.3, r"a40"),
    Gpu("RTX A6000", 154.8, 51.5, r"(?:rtx )?a6000"),
    Gpu("RTX 3090", 71.0, 25.8, r"(?:rtx )?3090"),
    Gpu("RTX 4090", 165.2, 25.8, r"(?:rtx )?4090"),
    Gpu("RTX 5090", 209.5, 34.2, r"(?:rtx )?5090"),
    Gpu("RTX 6000 Ada", 364.0, 51.5, r"(?:rtx )?6000 ada(?: generation)?"),
    Gpu("L40S", 362.0, 48.3, r"l40s"),
    # Dense; L40 and L4 after copies of NVIDIA's data sheets (362.1 and 242 with sparsity). A10G is to be checked there.
    Gpu("L40", 181.05, 48.3, r"l40"),
    Gpu("L4", 121.0, 24.2, r"l4"),
    Gpu("A10G", 70.0, 24.1, r"a10g"),
    # H800 (SXM) and H20 after published tables of others; the H800 PCIe is taken to be an H100 PCIe.
    Gpu("H800 PCIe", 756.0, 85.5, rf"h800[ -]pcie{_MEMORY}"),
    Gpu("H800", 989.0, 85.5, rf"h800(?:[ -]sxm5?)?{_MEMORY}"),
    Gpu("H20-3e", 148.0, 150.7, r"h20-3e"),
    Gpu("H20", 148.0, 102.6, rf"h20{_MEMORY}"),
    Gpu("H100 NVL", 835.0, 100.8, rf"h100[ -]nvl{_MEMORY}"),
    Gpu("H100 PCIe", 756.0, 85.5, rf"h100[ -]pcie{_MEMORY}"),
    Gpu("H100", 989.0, 85.5, rf"h100(?:[ -]sxm5?)?{_MEMORY}"),
    Gpu("H200 NVL", 836.0, 150.7, rf"h200[ -]nvl{_MEMORY}"),
    Gpu("H200", 989.0, 150.7, rf"h200(?:[ -]sxm5?)?{_MEMORY}"),
    Gpu("B200", 2250.0, 192.0, rf"b200{_MEMORY}"),
    # After https://glennklockwood.com/garden/processors/B300: as a B200, but for float4.
    Gpu("B300", 2250.0, 288.0, rf"b300(?: sxm6(?: ac)?)?{_MEMORY}"),
    Gpu("GB200", 2500.0, 192.0, rf"gb200{_MEMORY}"),
    Gpu("MI300X", 1307.0, 206.1, r"mi300x(?: oam)?"),
    Gpu("MI325X", 1307.0, 274.9, r"mi325x(?: oam)?"),
)

_VENDOR_WORDS = re.compile(r"\b(?:nvidia|amd|geforce|instinct|tesla|radeon)\b", re.IGNORECASE)


def find_gpu(product_name: str) -> Gpu | None:
    """The GPU with exactly this product name, or None: an unknown GPU has no peak, not a similar one's."""
    name = " ".join(_VENDOR_WORDS.sub(" ", product_name).split()).lower()
    return next((gpu for gpu in GPUS if re.fullmatch(gpu.pattern, name)), None)


def peak_tflops(product_name: str, dtype: str) -> float | None:
    """Dense peak of one device in TFLOP/s for a training dtype, or None when it is not known.

    Only bf16 is in the table: float32 training runs in plain fp32 or TF32, depending on a switch.
    """
    gpu = find_gpu(product_name) if dtype == "bfloat16" else None
    return gpu.bf16_tflops if gpu else None


def on_cpu(run: Run | None) -> bool:
    """Whether a run trains on the CPU, so that its measured memory is that of the process, Python and torch included.

    Logs of earlier versions do not say; there it is what is no GPU by its name.
    """
    if run is None or run.hardware is None:
        return False
    if run.hardware.device_type is not None:
        return run.hardware.device_type == "cpu"
    name = run.hardware.device
    return find_gpu(name) is None and not name.startswith(("NVIDIA", "AMD Instinct"))
