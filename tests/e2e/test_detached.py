"""A run outlives its terminal; it can be stopped, resumed and smoke-tested."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest

from tests.e2e.conftest import PATIENCE_S, RESTING, Workspace, wait_for
from tests.warm_engine import WarmProcess
from tuitrain.runs import RunDirectory, read_snapshot
from tuitrain.runs.status import process_alive


@pytest.fixture(autouse=True)
def no_leftover_runs(workspace: Workspace) -> Iterator[None]:
    """Kill runs that a failed test left training."""
    yield
    for run in workspace.runs:
        info = run.read_metadata()
        if info is not None and info.pid is not None and process_alive(info):
            psutil.Process(info.pid).kill()


def step_of(run: RunDirectory) -> int:
    """The newest step in the log."""
    snapshot = read_snapshot(run).step
    return snapshot.step if snapshot else 0


def test_killing_the_terminal_leaves_the_run_training(workspace: Workspace) -> None:
    before = len(workspace.runs)
    environment = workspace.environment | RESTING | {"TERM": "xterm-256color"}
    shell = pexpect.spawn(
        "bash", ["--norc"], cwd=str(workspace.path), env=environment, dimensions=(40, 120), timeout=PATIENCE_S
    )
    shell.sendline(subprocess.list2cmdline(workspace.command(["launch", *workspace.micro("gpt2-tiny", 100_000)])))
    wait_for(lambda: len(workspace.runs) > before and step_of(workspace.runs[0]) > 0)
    run = workspace.runs[0]
    shell.expect("loss")
    # Close the terminal: the shell and its job receive SIGHUP.
    os.killpg(shell.pid, signal.SIGHUP)
    shell.close(force=True)
    assert not shell.isalive()
    reached = step_of(run)
    wait_for(lambda: step_of(run) > reached + 5)
    assert workspace("status", run.run_id).code == 101
    assert workspace("ls", "-q", "--status", "running").out.split() == [run.run_id]
    frame = workspace("watch").out
    assert "running" in frame
    assert "gpt2-tiny" in frame
    assert workspace("checkpoint", run.run_id).code == 0
    done = workspace("stop", run.run_id)
    assert done.code == 0, done.err
    assert workspace("status", run.run_id, "--wait").code == 103


def test_a_detached_run_is_waited_for(workspace: Workspace) -> None:
    launched = workspace("launch", *workspace.micro("qwen3-tiny", 10), "--detach", "--json").json()
    assert launched["pid"] > 0 and (Path(launched["path"]) / "metrics.jsonl").stat().st_size
    done = workspace("status", launched["run_id"], "--wait", "--timeout", str(PATIENCE_S))
    assert done.code == 0, workspace("logs", launched["run_id"]).out
    assert done.out.startswith("completed")
    assert workspace("checkpoint", launched["run_id"]).code == 1


def test_a_stopped_run_resumes_where_it_stopped(workspace: Workspace) -> None:
    run_id = workspace("launch", *workspace.micro("llama3-tiny", 100_000), "--detach", **RESTING).out.strip()
    run = next(run for run in workspace.runs if run.run_id == run_id)
    wait_for(lambda: step_of(run) >= 3)
    assert workspace("stop", run_id).code == 0
    assert workspace("status", run_id).code == 103
    stopped_at = step_of(run)
    # An output encoding that lacks characters of the console does not end the command.
    done = workspace("resume", run_id, f"train.max_steps={stopped_at + 5}", "--foreground", PYTHONIOENCODING="ascii")
    assert done.code == 0, done.out
    assert done.out.isascii()
    assert f"continues from step-{stopped_at:08d}" in done.err
    # What the first attempt printed is not printed again.
    assert "/100000" not in done.out and f" {stopped_at + 5}/{stopped_at + 5}" in done.out
    status = workspace("status", run_id, "--json").json()
    assert (status["status"], status["step"]) == ("completed", stopped_at + 5)
    again = workspace("resume", run_id, f"train.max_steps={stopped_at}", "--foreground")
    assert again.code == 2 and "has no steps left" in again.err
    assert workspace("status", run_id, "--json").json() | {"age_s": 0} == status | {"age_s": 0}
    assert workspace("show", run_id, "--json").json()["run"]["attempt"] == 2


def interrupted(workspace: Workspace, *options: str, read: bool = True) -> str:
    """What a long launch says on stderr that gets Ctrl-C after the first step. read: whether its output is read."""
    before = len(workspace.runs)
    words = ["launch", *workspace.micro("hybrid-tiny", 100_000), *options]
    process = WarmProcess(words, module="tuitrain.cli", env=workspace.environment | RESTING, cwd=workspace.path)
    if not read:
        process.stdout.close()
    wait_for(lambda: len(workspace.runs) > before and step_of(workspace.runs[0]) > 0)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(PATIENCE_S) == 130
    return said


def test_ctrl_c_in_the_foreground_stops_gracefully_with_130(workspace: Workspace) -> None:
    """Also when nothing reads the output any more, as with `| head`: the command stays with its run."""
    assert "Traceback" not in interrupted(workspace, "--foreground", read=False)
    assert read_snapshot(workspace.runs[0]).status == "stopped"


def test_ctrl_c_while_following_leaves_the_run_training(workspace: Workspace) -> None:
    assert "tuitrain watch" in interrupted(workspace)
    run = workspace.runs[0]
    reached = step_of(run)
    wait_for(lambda: step_of(run) > reached)
    assert workspace("stop", run.run_id, "--now").code == 0


def test_a_smoke_test_checks_everything_and_leaves_no_run(workspace: Workspace) -> None:
    before = {run.run_id for run in workspace.runs}
    done = workspace("launch", *workspace.micro("gpt2-tiny", 100_000), "--smoke", "--json")
    assert done.code == 0, done.err
    checks = done.json()
    assert checks["ok"] is True
    assert checks["kept"] is None
    assert {check["name"] for check in checks["checks"]} >= {"training", "evaluation", "figure"}
    assert {run.run_id for run in workspace.runs} == before


def test_a_failing_smoke_test_states_the_failure_and_keeps_the_run(workspace: Workspace) -> None:
    # Only the engine trains a tokenizer on the file, so only the run itself detects the error.
    (workspace.path / "broken.json").write_text('{"model": {}}', encoding="utf-8")
    done = workspace("launch", *workspace.micro("gpt2-tiny", 10, "data.tokenizer=broken.json"), "--smoke")
    assert done.code == 1
    assert "FAILED" in done.out
    assert "broken.json is not a Hugging Face tokenizer.json" in done.out
    kept = done.err.split("was kept: ")[1].strip()
    assert RunDirectory(workspace.path / kept).console.exists()


def test_any_program_can_be_a_run(workspace: Workspace) -> None:
    source = "import os; print('hello from', os.environ['TUITRAIN_RUN_ID'])"
    done = workspace("launch", "--name", "theirs", "--", "python3", "-c", source)
    assert done.code == 0
    assert done.out.startswith("hello from theirs-")
    assert workspace("status", "theirs").code == 0


def test_what_a_program_prints_is_its_curve_and_how_it_ended_is_shown(workspace: Workspace) -> None:
    source = "for step in range(1, 9): print(f'step {step}: loss {9 - step}')\nraise ValueError('no more data')"
    done = workspace("launch", "--name", "printing", "--map", "loss=val_loss", "--", sys.executable, "-c", source)
    assert done.code == 1
    shown = workspace("show", "printing", "--json").json()
    assert (shown["val_loss"], shown["reason"]) == (1.0, "exit code 1: ValueError: no more data")
    assert "no more data" in workspace("status", "printing").out
    assert "step 8: loss 1" in workspace("show", "printing").out


@pytest.mark.parametrize("kind", ["console", "csv", "jsonl"])
def test_a_pipe_of_any_format_is_one_frame_without_a_terminal(workspace: Workspace, kind: str) -> None:
    lines = {
        "console": "starting\n" + "".join(f"iter {n}: loss {9 - n:.4f}, time 9.00ms, mfu 12.00%\n" for n in range(8)),
        "csv": "step,loss\n" + "".join(f"{n},{9 - n}\n" for n in range(8)),
        "jsonl": "".join(f'{{"step": {n}, "loss": {9 - n}}}\n' for n in range(8)),
    }
    shown = subprocess.run(
        workspace.command(["watch", "-", "--once"]), cwd=workspace.path, env=workspace.environment, input=lines[kind],
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "step 7" in shown.stdout and "loss 2.0000" in shown.stdout


def test_a_fork_goes_on_as_its_parent_did_unless_a_setting_changes(workspace: Workspace) -> None:
    launched = workspace("launch", *workspace.micro("llama2-tiny", 10), "--foreground", "--json").json()
    parent = launched["run_id"]
    same = workspace("fork", parent, "--at", "5", "--foreground", "--json", "--name", "same")
    assert same.code == 0, same.err
    other = workspace("fork", parent, "optim.lr=0.5", "--at", "5", "--foreground", "--json", "--name", "other")
    assert other.code == 0, other.err
    shown = {
        run_id: workspace("show", run_id, "--json").json()
        for run_id in (parent, same.json()["run_id"], other.json()["run_id"])
    }
    first, *forks = shown.values()
    assert [(each["run"]["parent"], each["run"]["parent_step"], each["step"]) for each in forks] == [
        (parent, 5, 10)
    ] * 2
    assert "parent" not in first["run"]
    # The same sequences, weights and moments: the same loss, bit for bit.
    assert (forks[0]["loss"], forks[0]["val_loss"]) == (first["loss"], first["val_loss"])
    assert forks[1]["loss"] != first["loss"]
    compared = workspace("compare", parent, "same", "other", "--format", "json").json()
    assert sum("is a fork of" in sentence and "at step 5" in sentence for sentence in compared["verdict"]) == 2
    assert f"{parent}, step 5" in workspace("show", "same").out
