"""Traces of a few steps by torch.profiler, and snapshots of the CUDA allocator.

Traces open in https://ui.perfetto.dev or chrome://tracing, snapshots in https://pytorch.org/memory_viz.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch.profiler import ProfilerAction, ProfilerActivity, profile

_MAX_ENTRIES = 200_000
"""The number of newest allocations and frees in a history: some hundred MB of file at most."""
_CUDA_ONLY = "memory snapshots exist on CUDA only"
_out_of_memory: list[tuple[Path, torch.device]] = []
"""The snapshot to write when memory runs out; empty until the observer is attached."""


class StepProfiler:
    """Traces the steps from first to last, both included, as `DIRECTORY/steps-10-15.rank0.json.gz`.

    The loop calls `before(step)` and `after(step)` around each step and `close` at its end. The step before the first
    warms the profiler up and is not in the trace. Within the trace, steps count from 1 (`ProfilerStep#1` is the first;
    from 0 where there was no step to warm up in).
    """

    def __init__(self, steps: tuple[int, int] | None, directory: Path, rank: int, device: torch.device) -> None:
        self._steps, self._directory, self._rank, self._device = steps, directory, rank, device
        self._profile: profile | None = None
        self._traced: int | None = None
        """The last step that is in the trace."""

    def before(self, step: int) -> None:
        """Called before each step; starts the profiler at the first traced one."""
        if self._steps is None or self._profile is not None:
            return
        first, last = self._steps
        if not first - 1 <= step <= last:
            return

        def action(count: int) -> ProfilerAction:
            current = step + count
            if current > last:
                return ProfilerAction.NONE
            if current == last:
                return ProfilerAction.RECORD_AND_SAVE
            return ProfilerAction.RECORD if current >= first else ProfilerAction.WARMUP

        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(activities=activities, schedule=action, record_shapes=True)
        self._profile.start()

    def ends(self, step: int) -> bool:
        """Whether `after(step)` writes the trace, whose seconds belong to no step."""
        return self._profile is not None and self._steps is not None and step == self._steps[1]

    def after(self, step: int) -> Path | None:
        """Called after each step. Writes the trace after the last one and returns its path."""
        if self._profile is None or self._steps is None:
            return None
        self._traced = step if step >= self._steps[0] else None
        if self.ends(step):
            return self.close()
        self._profile.step()
        return None

    def close(self) -> Path | None:
        """Write the trace of an unfinished range, if there is one, and return its path."""
        if self._profile is None or self._steps is None:
            return None
        path = self._directory / f"steps-{self._steps[0]}-{self._traced}.rank{self._rank}.json.gz"
        finished, self._profile, self._steps = self._profile, None, None
        finished.stop()
        if self._traced is None:
            return None
        self._directory.mkdir(parents=True, exist_ok=True)
        finished.export_chrome_trace(str(path))
        return path


def prepare_snapshots(directory: Path, rank: int, device: torch.device, *, history: bool) -> None:
    """Take a snapshot when memory runs out; with `history`, snapshots hold the stack of each allocation."""
    if history:
        record_memory_history(device)
    snapshot_on_out_of_memory(directory, rank, device)


def record_memory_history(device: torch.device) -> None:
    """Record the stack of each allocation and free for later snapshots. Does nothing on CPU."""
    if device.type == "cuda":
        torch.cuda.memory._record_memory_history(max_entries=_MAX_ENTRIES)


def memory_snapshot(path: Path, device: torch.device) -> str:
    """Write the allocations of a CUDA device to `path`; returns a sentence on the result."""
    if device.type != "cuda":
        return _CUDA_ONLY
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.cuda.memory._dump_snapshot(str(path))
    return f"memory snapshot in {path}"


def snapshot_on_out_of_memory(directory: Path, rank: int, device: torch.device) -> None:
    """From now on write `DIRECTORY/memory-oom.rank0.pickle` when an allocation fails, before anything is freed.

    Called again, that directory replaces the earlier one: one snapshot is written.
    """
    if device.type != "cuda":
        return
    path = directory / f"memory-oom.rank{rank}.pickle"
    if not _out_of_memory:
        torch.cuda.init()
        # torch cannot remove an observer.
        torch._C._cuda_attach_out_of_memory_observer(_observe_out_of_memory)
    _out_of_memory[:] = [(path, device)]


def _observe_out_of_memory(_device: int, _asked: int, _total: int, _free: int) -> None:
    # A full disk must not hide that memory ran out.
    with contextlib.suppress(OSError):
        memory_snapshot(*_out_of_memory[0])
