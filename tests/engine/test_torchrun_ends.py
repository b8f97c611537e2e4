"""Stops and failures of several processes under the real torchrun over gloo."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from engine_runs import make_run, read_log, start_engine

from tuitrain import events
from tuitrain_engine import checkpoint


def make(tmp_path: Path, name: str, strategy: str, **parallel: object) -> Path:
    """A run without an end, and without pauses, in which a process may wait for another as long as it takes."""
    return make_run(
        tmp_path, name, train={"max_steps": 100_000, "micro_batch_size": 2},
        parallel={"strategy": strategy, **parallel}, optim={"lr": 1e-3},
        eval={"interval": 0}, sampling={"interval": 0}, checkpoint={"interval": 0},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "by"), [("SIGTERM", "by SIGTERM"), ("SIGINT", "by SIGINT (Ctrl-C)"), ("request", "on request")]
)
def test_a_stop_request_reaches_all_processes_at_one_boundary(tmp_path: Path, how: str, by: str) -> None:
    run_dir = make(tmp_path, "stopped", "zero1")
    process = start_engine(run_dir, processes=2)
    if how == "request":
        (run_dir / "control" / "stop").touch()
    else:
        os.kill(process.pid, getattr(signal, how))
    process.communicate(timeout=120)
    assert process.returncode == (130 if how == "SIGINT" else 0)
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "stopped" and f"stopped {by}" in end.reason
    newest = checkpoint.newest(run_dir)
    assert newest is not None and newest.step == end.step


@pytest.mark.slow
def test_the_log_states_that_another_process_was_killed(tmp_path: Path) -> None:
    run_dir = make(tmp_path, "killed", "ddp")
    process = start_engine(run_dir, processes=2)
    workers = {worker.environ()["RANK"]: worker for worker in psutil.Process(process.pid).children()}
    workers["1"].kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "failed"
    assert "Traceback" not in errors and "Process 1" in errors


@pytest.mark.slow
def test_a_process_that_hangs_fails_the_run_after_the_timeout(tmp_path: Path) -> None:
    run_dir = make(tmp_path, "hangs", "ddp", timeout_s=10)
    process = start_engine(run_dir, processes=2)
    workers = {worker.environ()["RANK"]: worker for worker in psutil.Process(process.pid).children()}
    workers["1"].suspend()
    psutil.wait_procs([workers["0"]], timeout=120)
    workers["1"].resume()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "failed"
    assert "parallel.timeout_s = 10 s" in end.reason and "Traceback" not in errors


@pytest.mark.slow
def test_without_torchrun_the_processes_save_and_end(tmp_path: Path) -> None:
    run_dir = make(tmp_path, "orphaned", "fsdp")
    process = start_engine(run_dir, processes=2)
    workers = psutil.Process(process.pid).children()
    process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "stopped"
    newest = checkpoint.newest(run_dir)
    assert newest is not None and newest.step == end.step
