"""What this machine has for training and for the dashboard, with advice where something is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tuitrain import __version__
from tuitrain.accounting import find_gpu
from tuitrain.files import cache_directory
from tuitrain.launch.machine import GB, find_gpus, torch_is_cpu_only
from tuitrain.settings import settings_files, user_file

ENGINE_PACKAGES = ("torch", "sentencepiece", "tokenizers", "safetensors", "pyarrow")
NEEDED_BY_ENGINE = ("torch",)


@dataclass(frozen=True)
class Finding:
    """One line of the report: a component, its state, and advice where it is not ok."""

    level: Literal["ok", "warn", "missing"]
    name: str
    detail: str
    advice: str = ""


def examine(runs_dir: Path) -> list[Finding]:
    """All findings. Nothing of the engine is imported."""
    return [
        Finding("ok", "python", f"{platform.python_version()} at {sys.executable}"),
        Finding("ok", "tuitrain", __version__),
        *(_package(name) for name in ENGINE_PACKAGES),
        *_gpus(),
        _cpu(),
        _compiler(),
        _terminal(),
        _writable("cache", cache_directory()),
        _writable("runs", runs_dir.absolute()),
        _settings(),
    ]


def _settings() -> Finding:
    """The settings files that are read. Raises SettingsError for a file with an error."""
    paths = [str(file.path) for file in settings_files()]
    return Finding("ok", "settings", ", ".join(paths) or f"none; yours would be {user_file()}")


def _package(name: str) -> Finding:
    try:
        return Finding("ok", name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        level: Literal["missing", "warn"] = "missing" if name in NEEDED_BY_ENGINE else "warn"
        return Finding(level, name, "not installed", "pip install 'tuitrain[engine]'")


def _gpus() -> list[Finding]:
    gpus = find_gpus()
    if not gpus:
        return [Finding("ok", "GPU", "none that NVML reports: training runs on the CPU")]
    findings = []
    for index, gpu in enumerate(gpus):
        known = find_gpu(gpu.name)
        detail = f"{gpu.name}, {gpu.memory_gb:.1f} GB"
        if known is None:
            advice = "set hardware.peak_tflops to its dense bf16 peak, or MFU stays n/a"
            findings.append(Finding("warn", f"GPU {index}", f"{detail}, peak unknown", advice))
        else:
            findings.append(Finding("ok", f"GPU {index}", f"{detail}, peak {known.bf16_tflops:g} TFLOP/s dense bf16"))
    if torch_is_cpu_only():
        detail, advice = "this torch was built for the CPU only", "install a CUDA build of torch"
        findings.append(Finding("warn", "CUDA", detail, advice))
    return findings


def _cpu() -> Finding:
    memory = psutil.virtual_memory()
    free = f"{memory.available / GB:.1f} of {memory.total / GB:.1f} GB free"
    return Finding("ok", "CPU", f"{psutil.cpu_count(logical=False) or psutil.cpu_count()} cores, {free}")


def _compiler() -> Finding:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    path = next((path for name in names if name and (path := shutil.which(name))), None)
    if path:
        return Finding("ok", "C++ compiler", path)
    return Finding("warn", "C++ compiler", "none", "train.compile stays off on the CPU; install g++ or clang++")


def _terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding("ok", "terminal", "none: output is plain text")
    size = shutil.get_terminal_size()
    kind = os.environ.get("TERM", "unknown")
    colours = "24-bit colour" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256 colours or fewer"
    detail = f"{size.columns}×{size.lines}, {kind}, {colours}, {sys.stdout.encoding}"
    if "utf" not in sys.stdout.encoding.lower():
        return Finding("warn", "terminal", detail, "charts are drawn with braille: set a UTF-8 locale")
    if kind == "dumb" or size.columns < 80 or size.lines < 24:
        advice = "the dashboard needs at least 80×24 and a terminal that moves its cursor"
        return Finding("warn", "terminal", detail, advice)
    return Finding("ok", "terminal", detail)


def _writable(name: str, path: Path) -> Finding:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding("ok", name, str(path))
    variable = "TUITRAIN_CACHE_DIR" if name == "cache" else "TUITRAIN_RUNS_DIR"
    return Finding("missing", name, f"{path} cannot be written", f"set {variable} to a directory of yours")
