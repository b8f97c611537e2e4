"""Starting, following and ending processes; small programs take the engine's place."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.file_operations import ERRORS, operations
from tests.support import write_run
from tuitrain.cli.errors import explain
from tuitrain.config import load_config
from tuitrain.events import End, EventWriter, Record, Run, Step
from tuitrain.launch import LaunchError, local, preflight
from tuitrain.launch.console import ConsoleFollower
from tuitrain.launch.following import follow
from tuitrain.launch.local import Label, new_run, start, start_engine, train_command, wrapped_command
from tuitrain.launch.stop import kill_run, stop_run
from tuitrain.runs import RunDirectory, Status, create_run_directory, read_snapshot

PATIENCE_S = 30.0


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run_directory(tmp_path / "runs", "mine")


@pytest.fixture
def start_program(run: RunDirectory) -> Iterator[Start]:
    """Start Python source as the process of the run; processes left at the end of the test are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(source: str) -> subprocess.Popen[bytes]:
        started.append(start(run, [sys.executable, "-c", source], Label("mine", ["a"], ["b"])))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_a_run_has_its_own_session_console_and_metadata(run: RunDirectory, start_program: Start) -> None:
    process = start_program("import os; print(os.getsid(0), os.environ['TUITRAIN_RUN_DIR'])")
    assert process.wait(PATIENCE_S) == 0
    session, directory = run.console.read_text(encoding="utf-8").split()
    assert int(session) == process.pid != os.getsid(0)
    assert directory == str(run.path)
    info = run.read_metadata()
    assert info is not None
    assert (info.pid, info.name, info.tags, info.notes) == (process.pid, "mine", ["a"], ["b"])
    assert info.command[0] == sys.executable


def test_a_figure_is_drawn_beside_the_process_of_a_run(run: RunDirectory) -> None:
    with EventWriter(run.metrics) as log:
        log.write(Step(time=1.0, step=3, loss=2.0))
    config = load_config("gpt2-tiny", ["export.plots_every=2"])
    process = start_engine(run, [sys.executable, "-c", ""], Label("mine"), config, processes=1)
    assert process.wait(PATIENCE_S) == 0
    wait_for((run.path / "figures" / "latest.png").exists)


def test_a_new_run_holds_a_configuration_that_can_be_launched_again(tmp_path: Path) -> None:
    config = load_config("gpt2-tiny", ["train.max_steps=5"])
    run = new_run(tmp_path, config)
    assert load_config(str(run.config)) == config
    assert str(run.path) in train_command(run)


def test_following_prints_the_console_and_ends_with_the_exit_code(run: RunDirectory, start_program: Start) -> None:
    heard: list[str] = []
    process = start_program("print('one', flush=True); print('zwölf'); raise SystemExit(2)")
    assert follow(run, process, heard.append, foreground=False) == 2
    assert "".join(heard) == "one\nzwölf\n"


def test_signals_are_forwarded_in_the_foreground(run: RunDirectory, start_program: Start) -> None:
    process = start_program(
        "import signal, time\n"
        "def stop(*_):\n    print('stopping', flush=True); raise SystemExit(130)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('saving', flush=True))\n"
        "print('ready', flush=True)\nwhile True: time.sleep(1)"
    )
    heard: list[str] = []

    def collect(text: str) -> None:
        heard.append(text)
        if "ready" in text:
            os.kill(os.getpid(), signal.SIGUSR1)
        if "saving" in text:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    assert follow(run, process, collect, foreground=True) == 130
    assert "stopping" in "".join(heard)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_process_killed_by_a_signal_counts_as_a_failure(run: RunDirectory, start_program: Start) -> None:
    process = start_program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert follow(run, process, lambda text: None, foreground=False) == 1


def test_now_kills_a_process_that_ignores_the_first_signal(run: RunDirectory, start_program: Start) -> None:
    process = start_program(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    wait_for(lambda: run.console.read_bytes() == b"up\n")
    messages: list[str] = []
    assert kill_run(run, grace_s=0.3, report=messages.append) is Status.CRASHED
    assert not psutil.pid_exists(process.pid)
    assert "SIGKILL" in messages[-1]


def test_stopping_a_dead_process_reports_that_it_is_dead(run: RunDirectory, start_program: Start) -> None:
    start_program("pass").wait(PATIENCE_S)
    with pytest.raises(LaunchError, match="is gone and left no end record"):
        stop_run(run)


def test_a_stop_that_times_out_suggests_what_to_do(run: RunDirectory, start_program: Start) -> None:
    start_program("import time\nwhile True: time.sleep(1)")
    with pytest.raises(LaunchError, match="--now kills it"):
        stop_run(run, timeout_s=0.1, report=lambda text: None)
    assert (run.control / "stop").exists()


def test_a_run_on_another_machine_can_be_requested_to_stop_but_not_killed(tmp_path: Path) -> None:
    run = write_run(tmp_path, "far", status=None)
    with pytest.raises(LaunchError, match="omit --now"):
        kill_run(run)
    assert stop_run(run, wait=False, report=lambda text: None).live


def wrapped(run: RunDirectory, source: str) -> subprocess.Popen[bytes]:
    return start(run, wrapped_command(run, [sys.executable, "-c", source]), Label("mine"))


@pytest.mark.parametrize(("code", "status"), [(0, Status.COMPLETED), (3, Status.FAILED)])
def test_any_program_can_be_a_run_and_its_end_is_logged(run: RunDirectory, code: int, status: Status) -> None:
    source = (
        "import os; from tuitrain.events import EventWriter, Step\n"
        "with EventWriter(os.environ['TUITRAIN_RUN_DIR'] + '/metrics.jsonl') as log:\n"
        "    log.write(Step(step=4, loss=1.5))\n"
        f"raise SystemExit({code})"
    )
    assert wrapped(run, source).wait(PATIENCE_S) == code
    snapshot = read_snapshot(run)
    assert snapshot.status is status
    assert snapshot.end is not None
    assert snapshot.end.step == 4


def test_the_end_record_of_a_program_is_kept(run: RunDirectory) -> None:
    source = (
        "import os; from tuitrain.events import EventWriter, End\n"
        "with EventWriter(os.environ['TUITRAIN_RUN_DIR'] + '/metrics.jsonl') as log: log.write(End(status='stopped'))"
    )
    assert wrapped(run, source).wait(PATIENCE_S) == 0
    assert read_snapshot(run).status is Status.STOPPED
    # The launcher's readings of the machine may stand before it.
    assert run.metrics.read_bytes().count(b'"type":"end"') == 1


def test_a_stop_request_is_sent_to_any_program_as_sigterm(run: RunDirectory) -> None:
    process = wrapped(run, "import time; print('up', flush=True)\nwhile True: time.sleep(1)")
    wait_for(lambda: run.console.exists() and b"up" in run.console.read_bytes())
    assert stop_run(run, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)


def test_a_program_whose_run_directory_is_renamed_still_receives_a_stop(run: RunDirectory) -> None:
    process = wrapped(run, "import time; print('up', flush=True)\nwhile True: time.sleep(1)")
    wait_for(lambda: run.console.exists() and b"up" in run.console.read_bytes())
    moved = RunDirectory(run.path.rename(run.path.with_name("moved")))
    assert stop_run(moved, timeout_s=PATIENCE_S, report=lambda text: None) is Status.STOPPED
    process.wait(PATIENCE_S)
    assert not run.path.exists()


@pytest.mark.parametrize("ignored", [False, True], ids=["plain", "nohup"])
def test_a_hangup_ends_any_program_unless_it_was_started_to_ignore_it(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, ignored: bool
) -> None:
    source = "import time; print('up', flush=True)\nwhile True: time.sleep(1)"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN) if ignored else None
    try:
        process = wrapped(run, source)
    finally:
        if ignored:
            signal.signal(signal.SIGHUP, before)
    wait_for(lambda: run.console.exists() and b"up" in run.console.read_bytes())
    wait_for(lambda: catches(process.pid, signal.SIGTERM) and catches(process.pid, signal.SIGUSR2))
    os.kill(process.pid, signal.SIGHUP)
    if ignored:
        assert not catches(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGTERM)
    process.wait(PATIENCE_S)
    assert read_snapshot(run).status is Status.STOPPED


def test_a_checkpoint_request_by_signal_does_not_end_a_program(run: RunDirectory) -> None:
    source = (
        "import signal; signal.signal(signal.SIGUSR1, lambda *_: print('saving', flush=True))\n"
        "print('up', flush=True)\nsignal.pause()"
    )
    process = wrapped(run, source)
    wait_for(lambda: run.console.exists() and b"up" in run.console.read_bytes())
    # Its launcher installs its handlers once the program has started, or shortly after.
    wait_for(lambda: catches(process.pid, signal.SIGUSR1))
    os.kill(process.pid, signal.SIGUSR1)
    assert process.wait(PATIENCE_S) == 0
    assert b"saving" in run.console.read_bytes()
    assert read_snapshot(run).status is Status.COMPLETED


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, read from /proc."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    mask = next(line for line in lines if line.startswith("SigCgt:")).split()[1]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("clock", [-1000.0, 1000.0])
def test_a_resumed_run_is_live_before_its_first_record_whatever_the_clock_of_the_log(
    run: RunDirectory, start_program: Start, clock: float
) -> None:
    def write(*records: Record, end: bytes = b"") -> None:
        with EventWriter(run.metrics) as log:
            for record in records:
                log.write(record)
        with run.metrics.open("ab") as file:
            file.write(end)

    write(Step(step=1, loss=1.0, time=time.time() + clock), end=b'{"type":"st')
    write(End(status="completed", time=time.time() + clock))
    assert read_snapshot(run).status is Status.COMPLETED
    start_program("import time\nwhile True: time.sleep(1)")
    assert read_snapshot(run).status is Status.STARTING
    write(end=b'{"type":"run"')
    assert read_snapshot(run).status is Status.STARTING, "half a record is none"
    write(Run(run_id="a", name="a", attempt=2), Step(step=2, loss=1.0))
    assert read_snapshot(run).status is Status.RUNNING
    write(End(status="completed", time=time.time() + clock))
    assert read_snapshot(run).status is Status.COMPLETED


def test_the_console_follower_waits_for_the_file_and_joins_split_characters(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    follower = ConsoleFollower(path)
    assert follower.poll() == ""
    path.write_bytes("aé".encode()[:-1])
    assert follower.poll() == "a"
    path.write_bytes("aé".encode())
    assert follower.poll() == "é"
    path.write_bytes(b"x")
    assert follower.poll() == "x"


def test_a_killed_detached_run_leaves_no_process(run: RunDirectory, start_program: Start) -> None:
    process = start_program("import time\nwhile True: time.sleep(1)")
    kill_run(run, grace_s=PATIENCE_S, report=lambda text: None)
    process.wait(PATIENCE_S)
    assert not psutil.pid_exists(process.pid)


def test_no_file_system_error_is_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse each operation of a start in turn: the error names a path, and no process or directory is left."""
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(local, "train_command", lambda run, **_: sleeping)
    monkeypatch.setattr(preflight, "require_engine", lambda: None)
    config, runs_dir = load_config("gpt2-tiny"), tmp_path / "runs"

    def start_one() -> None:
        process = local.start_run(config, runs_dir, Label("name")).process
        process.kill()
        process.wait()

    monkeypatch.setattr(operations, "observed", [])
    monkeypatch.setattr(operations, "below", str(tmp_path))
    start_one()
    observed = list(dict.fromkeys(operations.observed))
    assert len(observed) >= 6
    for operation, code in zip(observed, itertools.cycle(ERRORS), strict=False):
        shutil.rmtree(runs_dir, ignore_errors=True)
        operations.refused, operations.hits = (operation, code), 0
        try:
            start_one()
        except Exception as error:
            operations.refused = None
            problem = explain(error)
            assert problem is not None, (operation, error)
            assert str(tmp_path) in problem.message
            assert not runs_dir.exists() or not list(runs_dir.iterdir())
        assert operations.hits, operation
        operations.refused = None
        assert not [child for child in psutil.Process().children() if child.cmdline() == sleeping]
