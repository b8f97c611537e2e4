"""Traces of a range of steps, and memory snapshots."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tuitrain_engine.profiler import (
    StepProfiler,
    memory_snapshot,
    record_memory_history,
    snapshot_on_out_of_memory,
)

CPU = torch.device("cpu")


def run_steps(profiler: StepProfiler, steps: range) -> dict[int, Path]:
    """Run a linear layer forward and backward in each step; return the paths from `after`."""
    layer, paths = nn.Linear(8, 8), {}
    for step in steps:
        profiler.before(step)
        with torch.profiler.record_function(f"our step {step}"):
            layer(torch.ones(4, 8)).sum().backward()
        announced = profiler.ends(step)
        path = profiler.after(step)
        assert announced == (path is not None)
        if path is not None:
            paths[step] = path
    return paths


def events_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)["traceEvents"]


def names(path: Path, start: str) -> set[str]:
    return {event["name"] for event in events_of(path) if str(event.get("name", "")).startswith(start)}


def test_a_trace_holds_the_requested_steps(tmp_path: Path) -> None:
    paths = run_steps(StepProfiler((3, 5), tmp_path / "profile", 1, CPU), range(1, 9))
    assert paths == {5: tmp_path / "profile" / "steps-3-5.rank1.json.gz"}
    assert names(paths[5], "our step") == {"our step 3", "our step 4", "our step 5"}
    assert names(paths[5], "ProfilerStep#") == {"ProfilerStep#1", "ProfilerStep#2", "ProfilerStep#3"}
    products = [event for event in events_of(paths[5]) if event.get("name") == "aten::addmm"]
    assert len(products) == 3
    assert all([4, 8] in event["args"]["Input Dims"] for event in products)


@pytest.mark.parametrize(
    ("requested", "steps", "traced"),
    [((1, 2), range(1, 5), {1, 2}), ((3, 6), range(5, 9), {5, 6}), ((4, 4), range(1, 6), {4})],
    ids=["from the first step", "resumed within the range", "one step"],
)
def test_a_range_at_the_start_or_end_of_a_run(
    tmp_path: Path, requested: tuple[int, int], steps: range, traced: set[int]
) -> None:
    (path,) = run_steps(StepProfiler(requested, tmp_path, 0, CPU), steps).values()
    assert names(path, "our step") == {f"our step {step}" for step in traced}


def test_a_run_that_stops_within_the_range_writes_the_traced_steps(tmp_path: Path) -> None:
    profiler = StepProfiler((2, 9), tmp_path, 0, CPU)
    assert run_steps(profiler, range(1, 4)) == {}
    path = profiler.close()
    assert path is not None and names(path, "our step") == {"our step 2", "our step 3"}
    assert profiler.close() is None


@pytest.mark.parametrize("requested", [None, (20, 30), (4, 5)], ids=["none", "never reached", "only warmed up"])
def test_no_file_is_written_without_traced_steps(tmp_path: Path, requested: tuple[int, int] | None) -> None:
    profiler = StepProfiler(requested, tmp_path / "profile", 0, CPU)
    assert run_steps(profiler, range(1, 4)) == {}
    assert profiler.close() is None
    assert not (tmp_path / "profile").exists()


def test_a_later_trainer_of_the_process_replaces_the_snapshot_handler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch cannot remove an observer: one for each trainer would dump the same memory several times."""
    observers: list[Any] = []
    dumped: list[str] = []
    monkeypatch.setattr("tuitrain_engine.profiler._out_of_memory", [])
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch._C, "_cuda_attach_out_of_memory_observer", observers.append, raising=False)
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", dumped.append)
    for name in ("first", "second"):
        snapshot_on_out_of_memory(tmp_path / name, 0, torch.device("cuda"))
    for observe in observers:
        observe(0, 1, 2, 3)
    assert dumped == [str(tmp_path / "second/memory-oom.rank0.pickle")]


def test_a_snapshot_without_cuda_is_refused_in_one_sentence(tmp_path: Path) -> None:
    record_memory_history(CPU)
    snapshot_on_out_of_memory(tmp_path, 0, CPU)
    assert memory_snapshot(tmp_path / "memory.pickle", CPU) == "memory snapshots exist on CUDA only"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_snapshots_are_written_on_request_and_when_memory_runs_out(tmp_path: Path) -> None:
    device = torch.device("cuda")
    record_memory_history(device)
    snapshot_on_out_of_memory(tmp_path, 0, device)
    held = torch.empty(1 << 20, device=device)
    path = tmp_path / "profile" / "memory.pickle"
    assert str(path) in memory_snapshot(path, device)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(1 << 45, dtype=torch.uint8, device=device)
    for file in (path, tmp_path / "memory-oom.rank0.pickle"):
        snapshot = pickle.loads(file.read_bytes())
        assert sum(segment["allocated_size"] for segment in snapshot["segments"]) >= held.nbytes
    torch.cuda.memory._record_memory_history(enabled=None)
