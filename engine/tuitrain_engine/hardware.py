"""Detects the device, its product name, memory and peak, and chooses the arithmetic."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch.nn.attention import SDPBackend

from tuitrain import accounting, events
from tuitrain.config import ConfigError, ModelConfig, RunConfig
from tuitrain.config.requirements import FLEX_MIN_HEAD_DIM, check_attention
from tuitrain.config.sections import HardwareConfig, TrainConfig
from tuitrain_engine.decision import Decision
from tuitrain_engine.formatting import bytes_text
from tuitrain_engine.parallel import World

GB = 1e9
SDPA_NAMES = {
    SDPBackend.MATH: "math",
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "efficient",
    SDPBackend.CUDNN_ATTENTION: "cudnn",
}


@dataclass(frozen=True)
class Machine:
    """The device to train on and the decisions about it. memory_gb is the device's (CPU: the machine's RAM)."""

    device: torch.device
    name: str
    memory_gb: float
    dtype: str
    peak_tflops: float | None
    peak_source: str | None
    decisions: tuple[Decision, ...]

    def devices(self, world: World) -> accounting.Devices:
        """What these processes train on, for the accounting."""
        return accounting.Devices(self.device.type, self.dtype, world.size, world.nodes, self.memory_gb * GB)

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which the forward pass runs: bfloat16 products over float32 weights, or nothing."""
        if self.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def record(self, count: int) -> events.Hardware:
        """The `hardware` part of the `run` record."""
        return events.Hardware(
            device=self.name,
            device_type=self.device.type,
            count=count,
            peak_tflops=self.peak_tflops,
            peak_source=self.peak_source,
            memory_gb=round(self.memory_gb, 1),
        )


def find_machine(train: TrainConfig, hardware: HardwareConfig) -> Machine:
    """Detect the hardware and decide. Raises ConfigError when it lacks what is configured."""
    device_choice = _decide_device(train.device)
    device = torch.device(device_choice.value)
    dtype_choice = _decide_dtype(train.dtype, device)
    on_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_cuda else _cpu_name()
    memory = torch.cuda.get_device_properties(device).total_memory if on_cuda else psutil.virtual_memory().total
    if hardware.peak_tflops is not None:
        peak, source = hardware.peak_tflops, "hardware.peak_tflops"
    else:
        peak = accounting.peak_tflops(name, dtype_choice.value) if on_cuda else None
        source = "table of known GPUs, dense" if peak is not None else None
    return Machine(
        device=device,
        name=name,
        memory_gb=memory / GB,
        dtype=dtype_choice.value,
        peak_tflops=peak,
        peak_source=source,
        decisions=(device_choice, dtype_choice, _decide_float32_products(device, dtype_choice.value)),
    )


def _decide_device(configured: str) -> Decision:
    available = torch.cuda.is_available()
    if configured == "cuda" and not available:
        raise ConfigError("train.device = 'cuda', but torch finds no CUDA device: set it to 'auto' or 'cpu'.")
    if configured != "auto":
        return Decision("device", configured, f"train.device = {configured}")
    if available:
        return Decision("device", "cuda", "torch finds a CUDA device")
    return Decision("device", "cpu", "torch finds no CUDA device")


def _decide_dtype(configured: str, device: torch.device) -> Decision:
    if configured != "auto":
        return Decision("dtype", configured, f"train.dtype = {configured}")
    if device.type == "cpu":
        return Decision("dtype", "float32", "CPU: bfloat16 matrix products are slower here")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Decision("dtype", "bfloat16", "autocast over float32 weights; no loss scaling needed")
    return Decision("dtype", "float32", "this GPU has no bfloat16 units")


def _decide_float32_products(device: torch.device, dtype: str) -> Decision:
    """a configured float32 means float32; next to bfloat16 products TF32 loses nothing."""
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return Decision("threads", str(threads), f"torch's default on {os.cpu_count()} logical cores")
    precision = "high" if dtype == "bfloat16" else "highest"
    torch.set_float32_matmul_precision(precision)
    if precision == "high":
        return Decision("float32", "TF32", "the few products outside of autocast may use tensor cores")
    return Decision("float32", "exact", "float32 is configured, so TF32 stays off")


def decide_attention(model: ModelConfig, machine: Machine, compiled: bool = False) -> Decision:
    """The attention kernel; for auto, FlexAttention or the one torch picks for these shapes.

    compiled: whether the blocks are. Raises ConfigError where the machine lacks the configured kernel.
    """
    check_attention(model, machine.device.type)
    if model.attention_backend != "auto":
        return Decision("attention", model.attention_backend, f"model.attention_backend = {model.attention_backend}")
    chosen = f"torch's choice for {machine.dtype} on this device"
    if not model.masks:
        return Decision("attention", _sdpa_choice(model, machine), chosen)
    masks = " and ".join(model.masks)
    obstacle = _flex_obstacle(model, machine, compiled)
    if obstacle is None:
        return Decision("attention", "flex", f"skips the blocks of scores that {masks} hides")
    return Decision("attention", _sdpa_choice(model, machine), f"{chosen}, with {masks}; flex {obstacle}")


def with_attention(model: ModelConfig, attention: Decision) -> ModelConfig:
    """The model to build: auto is flex where that was decided; between its own kernels torch chooses at each call."""
    return model.model_copy(update={"attention_backend": "flex"}) if attention.value == "flex" else model


def _flex_obstacle(model: ModelConfig, machine: Machine, compiled: bool) -> str | None:
    """Why auto does not use FlexAttention for these masks; None where it does.

    It is chosen automatically only for shapes that suit its kernel: whole blocks of 128 positions, power-of-two heads.
    """
    if machine.device.type != "cuda":
        return "has no backward pass on CPU"
    if not compiled:
        return "is chosen only with train.compile"
    if torch.cuda.get_device_capability(machine.device) < (8, 0):
        return "is chosen only from compute capability 8.0"
    if model.dropout:
        return "has no dropout"
    head_dim = model.head_dim
    if head_dim < FLEX_MIN_HEAD_DIM or head_dim & (head_dim - 1) or model.seq_len % 128:
        return "is chosen only where model.head_dim is a power of two from 16 and model.seq_len a multiple of 128"
    return None


def _sdpa_choice(model: ModelConfig, machine: Machine) -> str:
    """The name of the kernel that scaled_dot_product_attention picks for this model in training."""
    dtype = torch.bfloat16 if machine.dtype == "bfloat16" else torch.float32
    length, masked = model.seq_len, bool(model.masks)
    # As in the model: on CUDA groups are expanded next to a mask.
    grouped = model.n_heads != model.n_kv_heads and not (masked and machine.device.type == "cuda")
    kv_heads = model.n_kv_heads if grouped else model.n_heads
    query, key = (
        torch.empty(1, heads, length, model.head_dim, device=machine.device, dtype=dtype, requires_grad=True)
        for heads in (model.n_heads, kv_heads)
    )
    mask = torch.ones(length, length, dtype=torch.bool, device=machine.device) if masked else None
    chosen = torch._fused_sdp_choice(
        query, key, key, attn_mask=mask, dropout_p=model.dropout, is_causal=not masked, enable_gqa=grouped
    )
    return SDPA_NAMES.get(SDPBackend(chosen), "sdpa")


def decide_loss(config: RunConfig) -> Decision:
    """Whether the loss makes all logits of a micro-batch at once. Needs model.vocab_size."""
    assert config.model.vocab_size is not None
    shape = config.train.micro_batch * config.model.seq_len, config.model.vocab_size
    dense, held = bytes_text(accounting.dense_logits_bytes(*shape)), bytes_text(accounting.logits_bytes(*shape))
    rows = accounting.chunk_rows(*shape)
    if rows is None:
        return Decision("loss", "dense", f"all logits of a micro-batch at once need {dense}")
    return Decision("loss", "chunked", f"{rows:,} rows of logits at a time need {held}, all {shape[0]:,} {dense}")


def _cpu_name() -> str:
    """The processor's product name as the kernel reports it, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    return platform.processor() or platform.machine() or "CPU"
