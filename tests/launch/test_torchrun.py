"""The launcher around torchrun, with a small program in the engine's place: signals, exit codes, messages."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.warm_engine import WarmProcess, print_into
from tuitrain.events import End, EventWriter
from tuitrain.launch.local import Label, process_environment, start
from tuitrain.launch.stop import kill_run
from tuitrain.runs import RunDirectory, Status, create_run_directory, read_snapshot
from tuitrain_engine import torchrun

PATIENCE_S = 120.0
WORKER = """
import os, signal, sys, time
rank, heard = int(os.environ["RANK"]), []
def hear(number, frame):
    heard.append(signal.Signals(number).name)
    os.write(1, f"heard {{heard[-1]}}\\n".encode())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, hear)
print("up", flush=True)
{body}
while not set(heard) - {{"SIGUSR1"}}:
    time.sleep(0.02)
while not os.path.exists(os.environ["TUITRAIN_RUN_DIR"] + "/saved"):
    time.sleep(0.02)
os.write(1, f"{{rank}} {{' '.join(heard)}}\\n".encode())
sys.exit(130 if "SIGINT" in heard else 0)
"""

Begin = Callable[..., WarmProcess]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run_directory(tmp_path / "runs", "two")


@pytest.fixture
def begin(run: RunDirectory, tmp_path: Path) -> Iterator[Begin]:
    """Start two workers with `body` in their middle, and wait until both run; processes left at the end are killed."""
    started: list[psutil.Process] = []

    def start_workers(body: str = "", wait: bool = True) -> WarmProcess:
        run.console.touch()
        process = WarmProcess(
            options(tmp_path, body), module="tuitrain_engine.torchrun", env=process_environment(run, 2), cwd=tmp_path,
            before=partial(print_into, run.console),
        )  # fmt: skip
        started.append(psutil.Process(process.pid))
        if wait:
            wait_for(lambda: console(run).count("up") == 2)
            started.extend(started[0].children())
        return process

    yield start_workers
    for process in started:
        if process.is_running():
            process.kill()


def options(folder: Path, body: str = "") -> list[str]:
    """What torchrun is given for two workers with `body` in their middle."""
    worker = folder / "worker.py"
    worker.write_text(WORKER.format(body=body), encoding="utf-8")
    return ["--standalone", "--nproc-per-node", "2", str(worker)]


def console(run: RunDirectory) -> str:
    return run.console.read_text(encoding="utf-8")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGQUIT, 0)])
def test_a_signal_is_sent_to_every_worker_once_and_their_exit_code_is_that_of_the_run(
    run: RunDirectory, begin: Begin, number: signal.Signals, code: int
) -> None:
    process = begin()
    os.kill(process.pid, signal.SIGUSR1)
    # Of two pending signals Python handles the lower number first.
    wait_for(lambda: console(run).count("heard SIGUSR1") == 2)
    os.kill(process.pid, number)
    # They end after they have saved.
    assert process.poll() is None
    (run.path / "saved").touch()
    assert process.wait(PATIENCE_S) == code
    # Two workers that print at once can leave a blank line.
    ends = [words for line in console(run).splitlines() if (words := line.split()) and words[0] in ("0", "1")]
    assert sorted(words[0] for words in ends) == ["0", "1"]
    # torchrun counts exit code 130 as a failure and then ends the other worker.
    assert all(words.count("SIGUSR1") == words.count(number.name) == 1 for words in ends)
    assert "Traceback" not in console(run)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failed_worker_gives_its_exit_code_without_torchruns_report(
    run: RunDirectory, begin: Begin, rank: int
) -> None:
    (run.path / "saved").touch()
    run.console_of(1).write_text("reading\ndata.source = 'x' is not there.\n\n", encoding="utf-8")
    process = begin(f"if rank == {rank}: sys.exit(2)", wait=False)
    assert process.wait(PATIENCE_S) == 2
    message = "Process 1 ended with exit code 2: data.source = 'x' is not there."
    assert (message in console(run)) == (rank == 1)
    assert "Traceback" not in console(run)
    assert "torch" not in console(run)


def test_an_error_that_rank_0_printed_is_not_repeated(run: RunDirectory, begin: Begin) -> None:
    (run.path / "saved").touch()
    run.console_of(1).write_text("It is too small.\n", encoding="utf-8")
    run.console.write_text("Process 1: It is too small.\n", encoding="utf-8")
    assert begin("if rank == 1: sys.exit(2)", wait=False).wait(PATIENCE_S) == 2
    assert console(run).count("too small") == 1


def test_a_killed_worker_is_reported_in_one_sentence(run: RunDirectory, begin: Begin) -> None:
    (run.path / "saved").touch()
    process = begin("if rank == 1: os.kill(os.getpid(), signal.SIGKILL)", wait=False)
    assert process.wait(PATIENCE_S) == 1
    assert "Process 1 was killed by SIGKILL" in console(run)
    assert "Traceback" not in console(run)


BEGIN = """
if rank == 0:
    from tuitrain.events import EventWriter, End, Step
    log = EventWriter(os.environ["TUITRAIN_RUN_DIR"] + "/metrics.jsonl")
"""
DIE = "if rank == 0: os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize("body", [DIE, BEGIN + "    log.write(Step(step=1, loss=2.0))\n" + DIE])
def test_the_reason_is_logged_when_rank_0_could_not_log_it(run: RunDirectory, begin: Begin, body: str) -> None:
    (run.path / "saved").touch()
    assert begin(body, wait=False).wait(PATIENCE_S) == 1
    snapshot = read_snapshot(run)
    assert snapshot.status is Status.FAILED
    assert snapshot.end is not None
    assert str(snapshot.end.reason).startswith("Process 0 was killed by SIGKILL")


def test_the_end_of_an_earlier_attempt_does_not_count(run: RunDirectory, begin: Begin) -> None:
    with EventWriter(run.metrics) as log:
        log.write(End(status="stopped"))
    (run.path / "saved").touch()
    assert begin("if rank == 0: sys.exit(2)", wait=False).wait(PATIENCE_S) == 2
    ends = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    assert [end["status"] for end in ends] == ["stopped", "failed"]
    assert ends[1]["reason"]
    assert read_snapshot(run).status is Status.FAILED


def test_an_end_record_of_rank_0_is_kept(run: RunDirectory, begin: Begin) -> None:
    (run.path / "saved").touch()
    body = BEGIN + "    log.write(End(status='failed', reason='mine'))\n    sys.exit(1)"
    assert begin(body, wait=False).wait(PATIENCE_S) == 1
    assert run.metrics.read_text(encoding="utf-8").count('"type":"end"') == 1
    end = read_snapshot(run).end
    assert end is not None
    assert end.reason == "mine"


def test_an_interrupt_before_the_workers_handle_signals_is_a_stop(run: RunDirectory, begin: Begin) -> None:
    (run.path / "saved").touch()
    assert begin("sys.exit(130)", wait=False).wait(PATIENCE_S) == 130
    assert read_snapshot(run).status is Status.STOPPED


def test_without_workers_a_checkpoint_request_is_dropped_and_a_stop_is_immediate(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Childless:
        def children(self) -> list[psutil.Process]:
            return []

    monkeypatch.setattr(torchrun.psutil, "Process", Childless)
    monkeypatch.setenv("TUITRAIN_RUN_DIR", str(run.path))
    torchrun._pass_on(signal.SIGUSR1, None)
    assert not run.metrics.exists()
    for number, code, name in (
        (signal.SIGINT, 130, "SIGINT (Ctrl-C)"),
        (signal.SIGTERM, 0, "SIGTERM"),
        (signal.SIGHUP, 0, "SIGHUP (its terminal was closed)"),
    ):
        with pytest.raises(SystemExit) as exit:
            torchrun._pass_on(number, None)
        assert exit.value.code == code
        end = read_snapshot(run).end
        assert end is not None
        assert (end.status, end.reason) == ("stopped", f"stopped by {name} before the first step")


def test_now_kills_the_workers_too(run: RunDirectory, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tuitrain_engine.torchrun", *options(tmp_path)]
    process = start(run, command, Label("two"), processes=2)
    wait_for(lambda: console(run).count("up") == 2)
    assert read_snapshot(run).status is Status.STARTING
    info = run.read_metadata()
    assert info is not None
    assert (info.launcher, info.processes, info.pid) == ("torchrun", 2, process.pid)
    tree = psutil.Process(process.pid).children()
    assert len(tree) == 2
    assert kill_run(run, grace_s=0.3, report=lambda text: None) is Status.CRASHED
    _, alive = psutil.wait_procs(tree, timeout=PATIENCE_S)
    assert not alive
