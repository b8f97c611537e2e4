"""Runs of two processes, started by the real torchrun: from launch to resume on another number of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from tests.e2e.conftest import PATIENCE_S, RESTING, Workspace, wait_for
from tuitrain.config import load_config
from tuitrain.runs import RunDirectory, Status, load_history, read_snapshot

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_leftover_runs(workspace: Workspace) -> Iterator[None]:
    """Kill runs that a failed test left training."""
    yield
    for process in psutil.process_iter(["cmdline"]):
        if any(str(workspace.path) in part for part in process.info["cmdline"] or []):
            process.kill()


def micro(workspace: Workspace, steps: int, *more: str) -> list[str]:
    return [*workspace.micro("llama2-tiny", steps, "train.micro_batch_size=auto", *more)]


def step_of(run: RunDirectory) -> int:
    snapshot = read_snapshot(run).step
    return snapshot.step if snapshot else 0


def processes_of(run: RunDirectory) -> list[psutil.Process]:
    info = run.read_metadata()
    assert info is not None
    assert info.pid is not None
    launcher = psutil.Process(info.pid)
    return [launcher, *launcher.children(recursive=True)]


def test_two_processes_train_one_run_and_one_process_resumes_it(workspace: Workspace) -> None:
    done = workspace(
        "launch", *micro(workspace, 10), "--gpus", "2", "--strategy", "fsdp", "--foreground", "--name", "two"
    )
    assert done.code == 0, done.out + done.err
    run = workspace.runs[0]
    info = run.read_metadata()
    assert info is not None
    assert (info.launcher, info.processes) == ("torchrun", 2)
    assert run.console_of(1).exists()
    record = load_history(run).run
    assert record is not None
    assert (record.parallel.strategy, record.parallel.world_size) == ("fsdp", 2)
    assert record.config["train"]["micro_batch_size"] == 2
    assert workspace("logs", run.run_id, "--rank", "1").code == 0
    # A strategy for several processes cannot be used for one.
    refused = workspace("resume", run.run_id, "train.max_steps=15", "--gpus", "1", "--foreground")
    assert refused.code == 2
    assert "--strategy auto" in refused.err
    more = ("train.max_steps=15", "--gpus", "1", "--strategy", "auto", "--foreground")
    done = workspace("resume", run.run_id, *more)
    assert done.code == 0, done.out + done.err
    assert load_history(run).steps.series("loss")[0].tolist() == list(range(1, 16))
    # One process could use a larger micro-batch; the run keeps the resolved one.
    assert load_config(str(run.config)).train.micro_batch_size == 2
    done = workspace("resume", run.run_id, "train.max_steps=20", "--foreground")
    assert done.code == 0, done.out + done.err
    assert step_of(run) == 20


def test_stop_and_now_end_every_process(workspace: Workspace) -> None:
    started = workspace("launch", *micro(workspace, 100_000), "--gpus", "2", "--detach", "--json", **RESTING)
    assert started.code == 0, started.err
    run = workspace.runs[0]
    wait_for(lambda: step_of(run) > 0)
    tree = processes_of(run)
    assert workspace("ls", "-q", "--status", "running").out.split() == [run.run_id]
    assert workspace("stop", run.run_id).code == 0
    _, alive = psutil.wait_procs(tree, timeout=PATIENCE_S)
    assert not alive
    assert read_snapshot(run).status is Status.STOPPED
    assert workspace("resume", run.run_id, "--detach", **RESTING).code == 0
    step = step_of(run)
    wait_for(lambda: step_of(run) > step)
    tree = processes_of(run)
    assert len(tree) >= 3
    assert workspace("stop", run.run_id, "--now", "--grace", "60").code == 0
    _, alive = psutil.wait_procs(tree, timeout=PATIENCE_S)
    assert not alive


def test_ctrl_c_saves_and_ends_with_130(workspace: Workspace) -> None:
    command = workspace.command(["launch", *micro(workspace, 100_000), "--gpus", "2", "--foreground"])
    before = len(workspace.runs)
    launched = subprocess.Popen(
        command,
        cwd=workspace.path,
        env=workspace.environment | RESTING,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(workspace.runs) > before and step_of(workspace.runs[0]) > 0)
    os.kill(launched.pid, signal.SIGINT)
    assert launched.wait(PATIENCE_S) == 130
    run = workspace.runs[0]
    assert read_snapshot(run).status is Status.STOPPED
    assert list(run.checkpoints.glob("step-*/.metadata"))
    assert "Traceback" not in run.console.read_text(encoding="utf-8")


def test_an_error_is_printed_once_in_one_sentence(workspace: Workspace) -> None:
    # Enough bytes for a sequence but too few characters: only the engine can detect it.
    (workspace.path / "short.jsonl").write_text('{"text": "short"}\n' * 4, encoding="utf-8")
    arguments = micro(workspace, 10, f"data.source={workspace.path / 'short.jsonl'}")
    done = workspace("launch", *arguments, "--gpus", "2", "--foreground")
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert done.out.count("too few for one sequence") == 1
    assert read_snapshot(workspace.runs[0]).status is Status.FAILED
