"""The devices of this machine without torch: GPUs from NVML, memory and cores from psutil."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil
import pynvml

from tuitrain.accounting import Devices, find_gpu
from tuitrain.config import RunConfig

GB = 1e9
T = TypeVar("T")


@dataclass(frozen=True)
class Device:
    """A device to train on. memory_gb: of the GPU, or the RAM of the machine for a CPU, in 10⁹ bytes."""

    kind: str
    name: str
    memory_gb: float

    @property
    def type(self) -> str:
        """torch's name for it: cuda or cpu."""
        return "cpu" if self.kind == "cpu" else "cuda"

    def dtype(self, configured: str) -> str:
        """The arithmetic of `train.dtype` on this device: auto is bfloat16 on a GPU, float32 on a CPU."""
        if configured != "auto":
            return configured
        return "bfloat16" if self.kind == "gpu" else "float32"

    def of_processes(self, count: int, dtype: str, nodes: int = 1) -> Devices:
        """This device for each of `count` processes of `nodes` machines, with the arithmetic of `train.dtype`."""
        return Devices(self.type, self.dtype(dtype), count, nodes, memory_bytes=self.memory_gb * GB)


@dataclass(frozen=True)
class Machine:
    """The GPUs in the order of their index, and the CPU with its logical cores."""

    gpus: tuple[Device, ...]
    cpu: Device
    cores: int

    @property
    def best(self) -> Device:
        """The device of a run with train.device = auto."""
        return self.gpus[0] if self.gpus else self.cpu


def find_machine() -> Machine:
    """The devices of this machine."""
    ram = psutil.virtual_memory().total / GB
    return Machine(find_gpus(), Device("cpu", "CPU", ram), psutil.cpu_count() or 1)


def usable_cores() -> int:
    """Physical cores that this process may use, as far as that is known; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def find_gpus() -> tuple[Device, ...]:
    """The GPUs that NVML reports and CUDA_VISIBLE_DEVICES includes; none without a driver."""

    def gpu(index: int) -> Device:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Device("gpu", pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle).total / GB)

    gpus = _from_nvml(lambda: list(map(gpu, range(pynvml.nvmlDeviceGetCount())))) or []
    return tuple(gpus[index] for index in visible(len(gpus)))


def driver_version() -> str | None:
    """The version of the NVIDIA driver, and of the newest CUDA that it runs; None where no driver answers."""
    cuda = _from_nvml(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    driver = _from_nvml(pynvml.nvmlSystemGetDriverVersion)
    return None if cuda is None else f"{driver}, for CUDA up to {cuda // 1000}.{cuda % 1000 // 10}"


def _from_nvml(read: Callable[[], T]) -> T | None:
    """What NVML says; None where no driver answers."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return read()
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def visible(count: int) -> list[int]:
    """Of so many GPUs the indices in CUDA_VISIBLE_DEVICES; all where it has names other than numbers (UUIDs)."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return list(range(count))
    names = [part.strip() for part in value.split(",") if part.strip()]
    if not all(name.lstrip("-").isdigit() for name in names):
        return list(range(count))
    chosen = []
    for index in map(int, names):
        # As CUDA does, stop at the first index that does not exist.
        if not 0 <= index < count:
            break
        chosen.append(index)
    return chosen


def torch_is_cpu_only() -> bool:
    """Whether the installed torch says in its version that it was built without CUDA; torch is not imported."""
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False


def training_device(config: RunConfig, machine: Machine) -> Device:
    """The device that this configuration would train on."""
    if config.train.device == "cpu" or (config.train.device == "auto" and torch_is_cpu_only()):
        return machine.cpu
    return machine.best


def gpu_by_name(name: str) -> Device | None:
    """A known GPU by its product name, such as `H100` or `RTX 4090`, or None."""
    gpu = find_gpu(name)
    return Device("gpu", gpu.name, gpu.memory_gb) if gpu else None
