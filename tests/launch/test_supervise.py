"""The process that waits for the engine: what it writes down, and the signals that it passes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support import write_run
from tuitrain.events.layout import Exit
from tuitrain.launch.following import wait_for_record
from tuitrain.launch.local import Label, start
from tuitrain.launch.stop import kill_run
from tuitrain.launch.supervise import oom_kills
from tuitrain.runs import RunDirectory, RunMetadata, Status, read_snapshot
from tuitrain.runs.crash import crash_reason
from tuitrain.runs.status import process_alive

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return write_run(tmp_path, "mine", status=None)


@pytest.fixture
def begin(run: RunDirectory) -> Iterator[Start]:
    """Starts a source as the engine of the run, under a supervisor; kills what is left of it."""

    def start_source(source: str) -> subprocess.Popen[bytes]:
        return start(run, [sys.executable, "-c", source], Label("mine"), supervised=True)

    yield start_source
    info = run.read_metadata()
    for pid in (info.pid, info.supervisor) if info else ():
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def metadata(run: RunDirectory) -> RunMetadata:
    info = run.read_metadata()
    assert info is not None
    return info


@pytest.mark.parametrize(
    ("source", "code", "reason"),
    [
        (
            "print('step 1'); raise ValueError('no more')",
            1,
            "the process ended with exit code 1 and left no end record: ValueError: no more",
        ),
        ("import os; print('step 1', flush=True); os.abort()", 1, "killed by SIGABRT"),
        ("import sys; sys.exit(7)", 7, "the process ended with exit code 7 and left no end record"),
    ],
)
def test_how_a_crashed_process_ended_is_written_down(
    run: RunDirectory, begin: Start, source: str, code: int, reason: str
) -> None:
    process = begin(source)
    assert process.wait() == code
    snapshot = read_snapshot(run)
    assert (snapshot.status, snapshot.reason) == (Status.CRASHED, reason)
    assert metadata(run).pid != process.pid == metadata(run).supervisor
    # The next attempt has not ended.
    begin("")
    assert metadata(run).exit is None


def test_a_killed_engine_is_a_crash_with_its_signal(run: RunDirectory, begin: Start) -> None:
    process = begin("import time; time.sleep(1000)")
    assert process_alive(metadata(run))
    psutil.Process(metadata(run).pid).send_signal(signal.SIGKILL)
    assert process.wait() == 1
    assert (read_snapshot(run).reason or "").startswith("killed by SIGKILL")


def test_the_first_record_of_an_attempt_is_waited_for_until_it_ends(run: RunDirectory, begin: Start) -> None:
    log = repr(str(run.metrics))
    process = begin(f"import time; open({log}, 'a').write('{{}}\\n'); time.sleep(1000)")
    assert wait_for_record(run, process, 60)
    psutil.Process(metadata(run).pid).kill()
    process.wait()
    # What earlier attempts wrote does not count.
    assert not wait_for_record(run, begin("raise ValueError"), 60)


def test_signals_reach_the_engine_through_its_supervisor(run: RunDirectory, begin: Start) -> None:
    process = begin(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\n"
        "time.sleep(1000)"
    )
    while b"up" not in run.console.read_bytes():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 5


def test_stop_now_leaves_neither_the_engine_nor_what_it_started_nor_its_supervisor(
    run: RunDirectory, begin: Start
) -> None:
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
    )
    process = begin(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    while b"up" not in run.console.read_bytes():
        assert process.poll() is None
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert len(tree) == 3
    assert kill_run(run, grace_s=0.1, report=lambda _: None) is Status.CRASHED
    assert process.wait() == 1
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert not alive
    assert "killed by SIG" in (read_snapshot(run).reason or "")


def test_a_command_that_cannot_be_started_leaves_no_process(run: RunDirectory) -> None:
    with pytest.raises(OSError, match="could not be started"):
        start(run, ["/nowhere/engine"], Label("mine"), supervised=True)


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Exit(time=0.0, signal="SIGKILL", out_of_memory=True), "killed by SIGKILL, from the out-of-memory killer"),
        (Exit(time=0.0, signal="SIGKILL"), "killed by SIGKILL, perhaps from the out-of-memory killer"),
        (Exit(time=0.0, signal="SIGKILL", out_of_memory=False), "killed by SIGKILL"),
        (Exit(time=0.0, signal="SIGSEGV", last_lines=["step 3  loss 2.0"]), "killed by SIGSEGV"),
        (None, "the process is gone and left no end record"),
    ],
)
def test_the_reason_of_a_crash(ended: Exit | None, reason: str) -> None:
    assert crash_reason(RunMetadata(name="a", created=0.0, exit=ended)) == reason


def test_a_restart_of_the_machine_is_a_reason() -> None:
    before = RunMetadata(name="a", created=0.0, started=psutil.boot_time() - 60)
    assert crash_reason(before).endswith("as the machine was restarted")


def test_kills_for_want_of_memory_are_counted_by_control_group_and_machine(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/user/a\n5:cpu,memory:/old\n",
        "proc/vmstat": "nr_free_pages 5\noom_kill 7\n",
        "sys/fs/cgroup/user/a/memory.events": "low 0\noom 4\noom_kill 3\n",
        "sys/fs/cgroup/memory/old/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert sorted(oom_kills(tmp_path).values()) == [2, 3, 7]
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 5\n", encoding="utf-8")
    assert sorted(oom_kills(tmp_path).values()) == [2, 3]
    assert oom_kills(tmp_path / "nowhere") == {}
