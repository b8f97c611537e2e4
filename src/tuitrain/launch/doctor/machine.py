"""This machine: what is installed, its devices and directories, the terminal."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tuitrain import __version__
from tuitrain.accounting import find_gpu
from tuitrain.files import cache_directory
from tuitrain.launch.doctor.disk import examine_directory, examine_speed
from tuitrain.launch.doctor.engine import CUDA_BUILD, examine_engine
from tuitrain.launch.doctor.finding import Finding, State
from tuitrain.launch.doctor.programs import first_line
from tuitrain.launch.doctor.slurm import SBATCH_FIX
from tuitrain.launch.doctor.terminal import examine_terminal
from tuitrain.launch.machine import GB, Device, driver_version, find_gpus, torch_is_cpu_only
from tuitrain.remote.hosts import hosts_of_settings
from tuitrain.settings import settings_files, user_file

ENGINE_PACKAGES = ("torch", "sentencepiece", "tokenizers", "safetensors", "pyarrow")
NEEDED_BY_ENGINE = ("torch",)
LEAST_SHARED_GB = 1.0


def examine_machine(runs_dir: Path, *, quick: bool = False) -> Iterator[Finding]:
    """The findings, each as soon as it is there. Nothing of the engine is imported.

    quick: without what is measured, by processes of the engine and on the disk.
    """
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("tuitrain", "ok", __version__)
    packages = [_package(name) for name in ENGINE_PACKAGES]
    yield from packages
    gpus = find_gpus()
    yield from _gpus(gpus)
    yield _cpu()
    if len(gpus) > 1:
        yield from _shared_memory()
    yield _compiler()
    if not quick and all(each.state != "wrong" for each in packages):
        yield from examine_engine(len(gpus))
    elif gpus and torch_is_cpu_only():
        yield Finding("CUDA", "wrong", "this torch was built for the CPU only", CUDA_BUILD)
    yield examine_directory("cache", cache_directory(), "TUITRAIN_CACHE_DIR")
    yield examine_directory("runs", runs_dir.absolute(), "TUITRAIN_RUNS_DIR")
    if not quick:
        yield examine_speed(runs_dir.absolute())
    yield _settings()
    yield _ssh()
    yield _slurm()
    yield from examine_terminal()


def _settings() -> Finding:
    """The settings files that are read. Raises SettingsError for a file with an error."""
    paths = [str(file.path) for file in settings_files()]
    return Finding("settings", "ok", ", ".join(paths) or f"none; yours would be {user_file()}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        state: State = "wrong" if name in NEEDED_BY_ENGINE else "missing"
        return Finding(name, state, "not installed", "pip install 'tuitrain[engine]'")


def _gpus(gpus: Sequence[Device]) -> Iterator[Finding]:
    driver = driver_version()
    if not gpus:
        yield _no_gpu(driver)
        return
    yield Finding("driver", "ok", driver or "n/a")
    for index, gpu in enumerate(gpus):
        known = find_gpu(gpu.name)
        detail = f"{gpu.name}, {gpu.memory_gb:.1f} GB"
        if known is None:
            fix = "set hardware.peak_tflops to its dense bf16 peak, or MFU stays n/a"
            yield Finding(f"GPU {index}", "warning", f"{detail}, peak unknown", fix)
        else:
            yield Finding(f"GPU {index}", "ok", f"{detail}, peak {known.bf16_tflops:g} TFLOP/s dense bf16")


def _no_gpu(driver: str | None) -> Finding:
    """Why there is no GPU: the machine has none, its driver is missing, or they are hidden."""
    if driver is not None:
        fix = f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')} hides them; unset it"
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            return Finding("GPU", "warning", f"none of those of driver {driver} is visible", fix)
        return Finding("GPU", "ok", f"none, with driver {driver}: training runs on the CPU")
    if not has_nvidia_card():
        return Finding("GPU", "ok", "none: training runs on the CPU")
    fix = "install the driver, or restart after an update of it; `nvidia-smi` says more"
    return Finding("GPU", "wrong", "this machine has an NVIDIA card, and its driver does not answer", fix)


def has_nvidia_card(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether the PCI bus has a graphics card of NVIDIA."""
    for device in devices.glob("*"):
        with suppress(OSError):
            vendor, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
            if vendor == "0x10de" and kind.startswith("0x03"):
                return True
    return False


def _shared_memory() -> Iterator[Finding]:
    """Through it NCCL exchanges data where GPUs have no link; containers are often given 64 MB."""
    with suppress(OSError):
        size = shutil.disk_usage("/dev/shm").total / GB
        if size < LEAST_SHARED_GB:
            fix = "start the container with --shm-size=16g or --ipc=host"
            yield Finding("shared memory", "warning", f"{size:.2f} GB in /dev/shm", fix)


def _ssh() -> Finding:
    if shutil.which("ssh") is None:
        fix = "install OpenSSH for HOST:PATH and --host: sudo apt install openssh-client"
        return Finding("SSH", "missing", "there is no ssh", fix)
    works, said = first_line(["ssh", "-V"])
    if not works:
        return Finding("SSH", "warning", f"ssh -V: {said}", "HOST:PATH and --host do not work: reinstall OpenSSH")
    hosts = ", ".join(dict.fromkeys(each.host for each in hosts_of_settings()))
    return Finding("SSH", "ok", said.partition(",")[0] + (f"; hosts of the settings: {hosts}" if hosts else ""))


def _slurm() -> Finding:
    if shutil.which("sbatch") is None:
        return Finding("Slurm", "ok", "none here")
    works, said = first_line(["sbatch", "--version"])
    if not works:
        return Finding("Slurm", "warning", f"sbatch --version: {said}", SBATCH_FIX)
    return Finding("Slurm", "ok", f"{said}: `tuitrain doctor --slurm` examines the cluster")


def _cpu() -> Finding:
    memory = psutil.virtual_memory()
    free = f"{memory.available / GB:.1f} of {memory.total / GB:.1f} GB free"
    return Finding("CPU", "ok", f"{psutil.cpu_count(logical=False) or psutil.cpu_count()} cores, {free}")


def _compiler() -> Finding:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    path = next((path for name in names if name and (path := shutil.which(name))), None)
    works, said = first_line([path, "--version"]) if path else (False, "")
    if works and path:
        return Finding("C++ compiler", "ok", path)
    detail = f"{path} --version: {said}" if path else "none"
    return Finding("C++ compiler", "warning", detail, "train.compile stays off on the CPU; install g++ or clang++")
