"""What torch can do here, as processes of the engine find out: devices, attention, compilation, NCCL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from tuitrain.files import shortened
from tuitrain.launch.doctor.finding import Finding
from tuitrain.text import clean

PATIENCE_S, ALL_REDUCE_S = 240.0, 90.0
"""A first compilation, and the start of several processes, take a minute on a busy machine."""
LEAST_GB_PER_S = 5.0
"""Of an all-reduce between GPUs: PCI Express 3 without peer access is about at that."""
CUDA_BUILD = "install a CUDA build of torch: https://pytorch.org/get-started has the command"


class EngineError(RuntimeError):
    """A process of the engine that did not answer; the message says why."""


def examine_engine(gpus: int) -> Iterator[Finding]:
    """The findings, each as soon as it is there. gpus: as the driver counts them."""
    devices = 0
    try:
        for facts in _facts(["tuitrain_engine.doctor"], PATIENCE_S):
            if "torch" in facts:
                devices = facts["devices"]
                yield _cuda(facts, gpus)
                if devices:
                    yield _nccl_version(facts)
            elif "attention" in facts:
                yield _attention(facts["attention"], on_gpu=devices > 0)
            elif "compile" in facts:
                yield _compile(facts["compile"], on_gpu=devices > 0)
    except EngineError as error:
        yield Finding("engine", "wrong", str(error), "`python -m tuitrain_engine.doctor` shows all that it prints")
        return
    if devices > 1:
        yield _all_reduce(devices)


def _cuda(facts: dict[str, Any], gpus: int) -> Finding:
    cuda, devices = facts["cuda"], facts["devices"]
    if cuda is None:
        if gpus:
            return Finding("CUDA", "wrong", f"torch {facts['torch']} was built for the CPU only", CUDA_BUILD)
        return Finding("CUDA", "ok", f"torch {facts['torch']} is for the CPU only, as this machine")
    detail = f"torch {facts['torch']} is built for {cuda}"
    if not devices:
        reason = facts["problem"] or "it finds no GPU"
        if not gpus:
            return Finding("CUDA", "ok", f"{detail}; {clean(reason)}")
        fix = f"update the driver to one for CUDA {cuda}, or {CUDA_BUILD}"
        return Finding("CUDA", "wrong", f"{detail}, and cannot use the GPU: {clean(shortened(reason))}", fix)
    if gpus and devices != gpus:
        fix = "CUDA_VISIBLE_DEVICES chooses the GPUs, and a MIG device counts as one"
        return Finding("CUDA", "warning", f"{detail} and finds {devices} of {gpus} GPUs", fix)
    return Finding("CUDA", "ok", f"{detail} and finds {devices} GPU{'s'[: devices > 1]}")


def _attention(kernels: dict[str, str | None], on_gpu: bool) -> Finding:
    working = [name for name, problem in kernels.items() if problem is None]
    fast = [name for name in working if name != "math"]
    lacking = [name for name in kernels if name not in working]
    detail = f"{', '.join([*fast, *(['math'] if 'math' in working else [])]) or 'no kernel trains'}"
    detail += f"; without {', '.join(lacking)}" if lacking else ""
    if not working:
        return Finding("attention", "wrong", detail, "install the newest torch: pip install --upgrade torch")
    if on_gpu and not fast:
        fix = "a kernel that does not hold all scores needs a GPU from compute capability 8.0 on, or a newer torch"
        return Finding("attention", "warning", detail, fix)
    return Finding("attention", "ok", detail)


def _compile(facts: dict[str, Any], on_gpu: bool) -> Finding:
    if facts["problem"] is None:
        return Finding("compile", "ok", f"torch.compile works: a first kernel in {facts['seconds']:.1f} s")
    tools = "pip install triton; it needs gcc and python3-dev too" if on_gpu else "install g++ or clang++"
    return Finding("compile", "warning", clean(shortened(facts["problem"])), f"{tools}, or set train.compile=false")


def _nccl_version(facts: dict[str, Any]) -> Finding:
    if facts["nccl"] is not None:
        return Finding("NCCL", "ok", facts["nccl"])
    state = "wrong" if facts["devices"] > 1 else "warning"
    return Finding("NCCL", state, "this torch has none: only one GPU can train", CUDA_BUILD)  # type: ignore[arg-type]


def _all_reduce(processes: int) -> Finding:
    """An all-reduce among so many processes, started as those of a run are."""
    options = ["--standalone", "--nproc-per-node", str(processes)]
    fix = "NCCL_DEBUG=INFO says which links it uses, and `nvidia-smi topo -m` which there are"
    try:
        words = ["tuitrain_engine.torchrun", *options, "-m", "tuitrain_engine.doctor", "--bandwidth"]
        facts = next(_facts(words, ALL_REDUCE_S), None)
    except EngineError as error:
        return Finding("all-reduce", "wrong", f"among {processes} GPUs: {error}", f"{fix}; try NCCL_P2P_DISABLE=1")
    if facts is None:
        return Finding("all-reduce", "wrong", f"{processes} processes printed nothing", fix)
    size, speed = facts["bytes"] / 1e6, facts["gb_per_s"]
    detail = f"{speed:.1f} GB/s on each link: {size:.0f} MB among {processes} GPUs in {facts['seconds'] * 1e3:.1f} ms"
    return Finding("all-reduce", "ok" if speed >= LEAST_GB_PER_S else "warning", detail,
                   "" if speed >= LEAST_GB_PER_S else fix)  # fmt: skip


def _facts(words: Sequence[str], patience_s: float) -> Iterator[dict[str, Any]]:
    """The lines of JSON that a module of the engine prints, as they come. Raises EngineError."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(patience_s, kill)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                with suppress(ValueError):
                    if isinstance(facts := json.loads(line), dict):
                        yield facts
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                kill()
                process.wait()
        if killed.is_set():
            raise EngineError(f"it did not end within {patience_s:.0f} s")
        if code:
            errors.seek(0)
            lines = [each.strip() for each in errors.read().decode("utf-8", "replace").splitlines() if each.strip()]
            raise EngineError(clean(shortened(lines[-1])) if lines else f"it ended with exit code {code}")
