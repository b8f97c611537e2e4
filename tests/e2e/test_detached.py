"""A run outlives the terminal it was started from; it is stopped, resumed, and proved beforehand."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pexpect
import psutil
import pytest

from tests.e2e.conftest import PATIENCE_S, Place, wait_for
from tuitrain.runs import RunDirectory, read_snapshot
from tuitrain.runs.status import process_alive


@pytest.fixture(autouse=True)
def nothing_left_running(place: Place) -> Iterator[None]:
    """Kill whatever a failed test leaves training."""
    yield
    for run in place.runs:
        info = run.read_metadata()
        if info is not None and info.pid is not None and process_alive(info):
            psutil.Process(info.pid).kill()


def step_of(run: RunDirectory) -> int:
    """The newest step in the log."""
    seen = read_snapshot(run).step
    return seen.step if seen else 0


def test_killing_the_terminal_leaves_the_run_training(place: Place) -> None:
    before = len(place.runs)
    environment = place.environment | {"TERM": "xterm-256color"}
    shell = pexpect.spawn(
        "bash", ["--norc"], cwd=str(place.path), env=environment, dimensions=(40, 120), timeout=PATIENCE_S
    )
    shell.sendline(subprocess.list2cmdline(place.command(["launch", *place.micro("gpt2-tiny", 100_000)])))
    wait_for(lambda: len(place.runs) > before and step_of(place.runs[0]) > 0)
    run = place.runs[0]
    shell.expect("loss")
    # The terminal goes: the shell and its job are hung up on, as by closing the window.
    os.killpg(shell.pid, signal.SIGHUP)
    shell.close(force=True)
    assert not shell.isalive()
    seen = step_of(run)
    wait_for(lambda: step_of(run) > seen + 5)
    assert place("status", run.run_id).code == 101
    assert place("ls", "-q", "--status", "running").out.split() == [run.run_id]
    frame = place("watch").out
    assert "running" in frame
    assert "gpt2-tiny" in frame
    assert place("checkpoint", run.run_id).code == 0
    done = place("stop", run.run_id)
    assert done.code == 0, done.err
    assert place("status", run.run_id, "--wait").code == 103


def test_a_detached_run_is_waited_for(place: Place) -> None:
    launched = place("launch", *place.micro("qwen3-tiny", 10), "--detach", "--json").json()
    assert psutil.Process(launched["pid"]).is_running()
    done = place("status", launched["run_id"], "--wait", "--timeout", str(PATIENCE_S))
    assert done.code == 0, place("logs", launched["run_id"]).out
    assert done.out.startswith("completed")
    assert place("checkpoint", launched["run_id"]).code == 1


def test_a_stopped_run_goes_on_from_where_it_stopped(place: Place) -> None:
    run_id = place("launch", *place.micro("llama3-tiny", 100_000), "--detach").out.strip()
    run = next(run for run in place.runs if run.run_id == run_id)
    wait_for(lambda: step_of(run) >= 3)
    assert place("stop", run_id).code == 0
    assert place("status", run_id).code == 103
    stopped_at = step_of(run)
    # An output that cannot show every character of the console does not part the command from its run.
    done = place("resume", run_id, f"train.max_steps={stopped_at + 5}", "--foreground", PYTHONIOENCODING="ascii")
    assert done.code == 0, done.out
    assert done.out.isascii()
    assert f"continues from step-{stopped_at:08d}" in done.err
    # What the first attempt printed is not printed again.
    assert "/100000" not in done.out and f" {stopped_at + 5}/{stopped_at + 5}" in done.out
    status = place("status", run_id, "--json").json()
    assert (status["status"], status["step"]) == ("completed", stopped_at + 5)
    again = place("resume", run_id, f"train.max_steps={stopped_at}", "--foreground")
    assert again.code == 2 and "has no steps left" in again.err
    assert place("status", run_id, "--json").json() | {"age_s": 0} == status | {"age_s": 0}
    assert place("show", run_id, "--json").json()["run"]["attempt"] == 2


def interrupted_launch(
    place: Place, *options: str, output: int = subprocess.DEVNULL
) -> tuple[subprocess.Popen[bytes], bytes]:
    """A long run, launched and sent Ctrl-C after its first step; the ended process and what it said on stderr.

    Where the output is a pipe, nobody reads it.
    """
    before = len(place.runs)
    process = subprocess.Popen(
        place.command(["launch", *place.micro("hybrid-tiny", 100_000), *options]),
        cwd=place.path, env=place.environment, stdin=subprocess.DEVNULL, stdout=output,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if process.stdout is not None:
        process.stdout.close()
    wait_for(lambda: len(place.runs) > before and step_of(place.runs[0]) > 0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    return process, said


def test_ctrl_c_in_the_foreground_stops_gracefully_with_130(place: Place) -> None:
    """Also where nobody reads the output any more, as with `| head`: the command stays with its run."""
    process, said = interrupted_launch(place, "--foreground", output=subprocess.PIPE)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert read_snapshot(place.runs[0]).status == "stopped"


def test_ctrl_c_while_following_leaves_the_run_training(place: Place) -> None:
    process, said = interrupted_launch(place)
    assert process.returncode == 130
    assert b"tuitrain watch" in said
    run = place.runs[0]
    seen = step_of(run)
    wait_for(lambda: step_of(run) > seen)
    assert place("stop", run.run_id, "--now").code == 0


def test_a_smoke_test_checks_everything_and_leaves_no_run(place: Place) -> None:
    before = {run.run_id for run in place.runs}
    done = place("launch", *place.micro("gpt2-tiny", 100_000), "--smoke", "--json")
    assert done.code == 0, done.err
    checks = done.json()
    assert checks["ok"] is True
    assert checks["kept"] is None
    assert {check["name"] for check in checks["checks"]} >= {"training", "evaluation", "figure"}
    assert {run.run_id for run in place.runs} == before


def test_a_failing_smoke_test_says_what_failed_and_keeps_the_run(place: Place) -> None:
    # Only the engine builds a tokenizer of the file, so only the run itself can find out.
    (place.path / "broken.json").write_text('{"model": {}}', encoding="utf-8")
    done = place("launch", *place.micro("gpt2-tiny", 10, "data.tokenizer=broken.json"), "--smoke")
    assert done.code == 1
    assert "FAILED" in done.out
    assert "broken.json is not a Hugging Face tokenizer.json" in done.out
    kept = done.err.split("was kept: ")[1].strip()
    assert RunDirectory(place.path / kept).console.exists()


def test_anybodys_program_is_a_run(place: Place) -> None:
    source = "import os; print('hello from', os.environ['TUITRAIN_RUN_ID'])"
    done = place("launch", "--name", "theirs", "--", "python3", "-c", source)
    assert done.code == 0
    assert done.out.startswith("hello from theirs-")
    assert place("status", "theirs").code == 0
