"""What torch can do on this machine: `python -m tuitrain_engine.doctor`, and with several GPUs how fast they exchange.

Each fact is a line of JSON as soon as it is known, so that one that hangs or kills the process hides no other:
`python -m tuitrain_engine.torchrun --nproc-per-node N -m tuitrain_engine.doctor --bandwidth` prints that of an
all-reduce among N processes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel

from tuitrain_engine.hardware import SDPA_NAMES
from tuitrain_engine.parallel import decide_compile

BYTES, ROUNDS = {"cuda": 256 << 20, "cpu": 4 << 20}, 10
"""Of one all-reduce, and how many are timed."""


def main(arguments: list[str] | None = None) -> int:
    """Print the facts; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m tuitrain_engine.doctor")
    parser.add_argument("--bandwidth", action="store_true")
    if parser.parse_args(arguments).bandwidth:
        _print_bandwidth()
        return 0
    # A driver that is too old is a warning of torch's.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    device = torch.device("cuda" if available else "cpu")
    _print(
        torch=torch.__version__, cuda=torch.version.cuda or torch.version.hip,
        devices=torch.cuda.device_count() if available else 0,
        problem=next((str(each.message).partition("(Triggered")[0].strip() for each in caught), _problem(available)),
        nccl=".".join(map(str, torch.cuda.nccl.version())) if available and dist.is_nccl_available() else None,
    )  # fmt: skip
    _print(attention={name: _attention_problem(backend, device) for backend, name in _backends(device)})
    decision = decide_compile(True, device)
    began = time.monotonic()
    problem = _compile_problem(device) if decision.value == "on" else decision.reason
    _print(compile={"problem": problem, "seconds": time.monotonic() - began})
    return 0


def _print(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def _problem(available: bool) -> str | None:
    """Why CUDA cannot be used, as torch says; None where it can, or torch was built without."""
    if available or torch.version.cuda is None:
        return None
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return _first_line(error)
    return None


def _backends(device: torch.device) -> list[tuple[SDPBackend, str]]:
    """The kernels of attention that there may be on a device."""
    on_cpu = (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH)
    return [(backend, name) for backend, name in SDPA_NAMES.items() if device.type == "cuda" or backend in on_cpu]


def _attention_problem(backend: SDPBackend, device: torch.device) -> str | None:
    """Why causal attention does not train with a kernel; None where it does."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    query = torch.randn(1, 4, 128, 64, device=device, dtype=dtype, requires_grad=True)
    try:
        with warnings.catch_warnings(), sdpa_kernel(backend):
            # torch says there why it has no kernel, one warning for each.
            warnings.simplefilter("ignore")
            torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
    except RuntimeError as error:
        return _first_line(error)
    return None


def _compile_problem(device: torch.device) -> str | None:
    """Why torch.compile makes no kernel that trains; None where it does."""
    values = torch.randn(1024, device=device, requires_grad=True)
    try:
        torch.compile(lambda x: torch.nn.functional.silu(x * 2).sum())(values).backward()
    # Whatever a compiler or its cache raises.
    except Exception as error:
        return _first_line(error)
    return None


def _print_bandwidth() -> None:
    """Time an all-reduce among the processes of torchrun; rank 0 prints it."""
    on_cuda = torch.cuda.is_available()
    dist.init_process_group("nccl" if on_cuda else "gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", rank) if on_cuda else torch.device("cpu")
    count = BYTES[device.type]
    data = torch.ones(count // 4, device=device)
    for _ in range(3):
        dist.all_reduce(data)
    dist.barrier()
    if on_cuda:
        torch.cuda.synchronize(device)
    began = time.monotonic()
    for _ in range(ROUNDS):
        dist.all_reduce(data)
    if on_cuda:
        torch.cuda.synchronize(device)
    seconds = (time.monotonic() - began) / ROUNDS
    if rank == 0:
        # What each link carries, as nccl-tests counts it: a ring sends every byte 2 (n − 1) / n times.
        _print(processes=size, bytes=count, seconds=seconds, gb_per_s=2 * (size - 1) / size * count / seconds / 1e9)
    dist.destroy_process_group()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")


if __name__ == "__main__":
    sys.exit(main())
