"""This machine: what is installed, its devices and directories, the terminal."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tuitrain import __version__
from tuitrain.accounting import find_gpu
from tuitrain.files import cache_directory
from tuitrain.launch.doctor.finding import Finding, State
from tuitrain.launch.doctor.terminal import examine_terminal
from tuitrain.launch.machine import GB, find_gpus, torch_is_cpu_only
from tuitrain.settings import settings_files, user_file

ENGINE_PACKAGES = ("torch", "sentencepiece", "tokenizers", "safetensors", "pyarrow")
NEEDED_BY_ENGINE = ("torch",)


def examine_machine(runs_dir: Path) -> Iterator[Finding]:
    """The findings, each as soon as it is there. Nothing of the engine is imported."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("tuitrain", "ok", __version__)
    yield from map(_package, ENGINE_PACKAGES)
    yield from _gpus()
    yield _cpu()
    yield _compiler()
    yield examine_terminal()
    yield _writable("cache", cache_directory())
    yield _writable("runs", runs_dir.absolute())
    yield _settings()


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


def _gpus() -> Iterator[Finding]:
    gpus = find_gpus()
    if not gpus:
        yield Finding("GPU", "ok", "none that NVML reports: training runs on the CPU")
        return
    for index, gpu in enumerate(gpus):
        known = find_gpu(gpu.name)
        detail = f"{gpu.name}, {gpu.memory_gb:.1f} GB"
        if known is None:
            fix = "set hardware.peak_tflops to its dense bf16 peak, or MFU stays n/a"
            yield Finding(f"GPU {index}", "warning", f"{detail}, peak unknown", fix)
        else:
            yield Finding(f"GPU {index}", "ok", f"{detail}, peak {known.bf16_tflops:g} TFLOP/s dense bf16")
    if torch_is_cpu_only():
        fix = "install a CUDA build of torch: https://pytorch.org/get-started has the command"
        yield Finding("CUDA", "wrong", "this torch was built for the CPU only", fix)


def _cpu() -> Finding:
    memory = psutil.virtual_memory()
    free = f"{memory.available / GB:.1f} of {memory.total / GB:.1f} GB free"
    return Finding("CPU", "ok", f"{psutil.cpu_count(logical=False) or psutil.cpu_count()} cores, {free}")


def _compiler() -> Finding:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    path = next((path for name in names if name and (path := shutil.which(name))), None)
    if path:
        return Finding("C++ compiler", "ok", path)
    return Finding("C++ compiler", "warning", "none", "train.compile stays off on the CPU; install g++ or clang++")


def _writable(name: str, path: Path) -> Finding:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding(name, "ok", str(path))
    variable = "TUITRAIN_CACHE_DIR" if name == "cache" else "TUITRAIN_RUNS_DIR"
    return Finding(name, "wrong", f"{path} cannot be written", f"set {variable} to a directory of yours")
