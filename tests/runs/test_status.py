from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import write_run
from tuitrain.events import AnyRecord, Control, End, EventWriter, Step, System
from tuitrain.runs import RunMetadata, Status, derive_status, read_snapshot
from tuitrain.runs.snapshot import SnapshotReader
from tuitrain.runs.status import LIVE_WITHIN_S, STALLED_AFTER_S

NOW = 1_800_000_000.0


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.communicate()


def info(process: subprocess.Popen[bytes] | None = None, **facts: object) -> RunMetadata:
    fields: dict[str, object] = {"name": "a", "created": NOW - 1000, "host": socket.gethostname()}
    if process is not None:
        fields |= {"pid": process.pid, "pid_started": psutil.Process(process.pid).create_time()}
    return RunMetadata(**(fields | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["completed", "stopped", "failed"])
def test_an_end_record_decides(status: str) -> None:
    end = End(time=NOW - 500, status=status)  # type: ignore[arg-type]
    assert derive_status(None, end, NOW, True, NOW) == Status(status)


def test_a_live_process_is_running_starting_or_stalled(process: subprocess.Popen[bytes]) -> None:
    facts = info(process)
    assert derive_status(facts, None, NOW - 1, True, NOW) is Status.RUNNING
    assert derive_status(facts, None, NOW - 1, False, NOW) is Status.STARTING
    assert derive_status(facts, None, None, False, NOW) is Status.STARTING
    assert derive_status(facts, None, NOW - STALLED_AFTER_S - 1, True, NOW) is Status.STALLED


def test_a_process_that_died_without_an_end_record_crashed(process: subprocess.Popen[bytes]) -> None:
    facts = info(process)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    zombie = derive_status(facts, None, NOW - 1, True, NOW)
    process.wait()
    assert (zombie, derive_status(facts, None, NOW - 1, True, NOW)) == (Status.CRASHED, Status.CRASHED)


def test_a_reused_pid_is_not_the_run(process: subprocess.Popen[bytes]) -> None:
    facts = info(process, pid_started=psutil.Process(process.pid).create_time() - 3600)
    assert derive_status(facts, None, NOW - 1, True, NOW) is Status.CRASHED


@pytest.mark.parametrize(
    ("age", "has_steps", "status"),
    [(1.0, True, Status.RUNNING), (1.0, False, Status.STARTING), (LIVE_WITHIN_S + 1, True, Status.UNKNOWN)],
)
def test_on_another_machine_the_heartbeat_decides(age: float, has_steps: bool, status: Status) -> None:
    facts = info(host="another-machine.example", pid=1)
    assert derive_status(facts, None, NOW - age, has_steps, NOW) is status
    assert derive_status(None, None, NOW - age, has_steps, NOW) is status


def test_the_status_without_records_is_unknown() -> None:
    assert derive_status(None, None, None, False, NOW) is Status.UNKNOWN


@pytest.mark.parametrize("clock", [-3600, 0, 3600])
def test_a_resume_is_starting_until_its_first_record_regardless_of_clocks(
    process: subprocess.Popen[bytes], clock: float
) -> None:
    end = End(time=NOW + clock, status="stopped")
    facts = info(process, started=NOW - 1000, log_bytes=1000)
    assert derive_status(facts, end, end.time, True, NOW, log_bytes=1000) is Status.STARTING
    assert derive_status(facts, end, end.time, True, NOW, log_bytes=1200) is Status.STOPPED
    # A truncated log is not the one that the run was launched with.
    assert derive_status(facts, end, end.time, True, NOW, log_bytes=900) is Status.STOPPED


@pytest.mark.parametrize("clock", [-3600, 0, 3600])
def test_an_end_record_counts_regardless_of_clocks(clock: float) -> None:
    facts = info(started=NOW, pid=2**22 + 1, pid_started=NOW, log_bytes=0)
    assert derive_status(facts, End(time=NOW + clock, status="completed"), NOW, True, NOW, log_bytes=500) == "completed"


def test_a_resume_that_died_before_its_first_record_crashed() -> None:
    facts = info(started=NOW, pid=2**22 + 1, pid_started=NOW, log_bytes=1000)
    end = End(time=NOW - 100, status="stopped")
    assert derive_status(facts, end, end.time, True, NOW, log_bytes=1000) is Status.CRASHED


def test_a_log_that_cannot_be_read_does_not_make_the_run_crashed() -> None:
    facts = info(pid=2**22 + 1, pid_started=NOW)
    assert derive_status(facts, None, None, False, NOW) is Status.CRASHED
    assert derive_status(facts, None, None, False, NOW, readable=False) is Status.UNKNOWN


def test_exit_codes_are_those_of_the_contract() -> None:
    codes = {status: status.exit_code for status in Status}
    assert codes == {
        Status.QUEUED: 101, Status.STARTING: 101, Status.RUNNING: 101, Status.STALLED: 101, Status.PAUSED: 101,
        Status.COMPLETED: 0, Status.STOPPED: 103, Status.FAILED: 100,
        Status.CRASHED: 100, Status.INTERRUPTED: 100, Status.UNKNOWN: 1,
    }  # fmt: skip
    assert [status for status in Status if status.live] == [
        Status.QUEUED, Status.STARTING, Status.RUNNING, Status.STALLED, Status.PAUSED,
    ]  # fmt: skip


def test_the_status_of_a_run_directory(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    live = write_run(tmp_path, "a", status=None, info=info(process, created=time.time()))
    assert read_snapshot(live).status is Status.RUNNING
    assert read_snapshot(write_run(tmp_path, "b", status="failed")).status is Status.FAILED


def test_a_run_whose_log_grows_is_not_stalled_when_its_clock_is_behind(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    log = tmp_path / "metrics.jsonl"
    log.touch()
    now, facts = time.time(), info(process)
    assert derive_status(facts, None, now - 3600, True, now, log=log) is Status.RUNNING
    assert derive_status(facts, None, now - 3600, True, now + STALLED_AFTER_S + 60, log=log) is Status.STALLED


def test_records_from_the_future_do_not_hide_a_stall(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.touch()
    ahead = time.time() + 30 * 86400
    assert derive_status(None, None, ahead, True, log=log) is Status.RUNNING
    os.utime(log, (time.time() - 7200, time.time() - 7200))
    assert derive_status(None, None, ahead, True, log=log) is Status.UNKNOWN
    log.unlink()
    assert derive_status(None, None, ahead, True, log=log) is Status.UNKNOWN


PAUSE = Control(time=NOW - 500, request="pause", result="paused at step 100")
CONTINUE = Control(time=NOW - 400, request="continue", result="continued after 100 s at step 100")


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ([PAUSE], Status.PAUSED),
        ([PAUSE, System(time=NOW - 300, host="a")], Status.PAUSED),
        ([PAUSE, CONTINUE], Status.STALLED),
        ([PAUSE, Step(time=NOW - 300, step=101)], Status.STALLED),
        ([PAUSE, End(time=NOW - 300, status="stopped")], Status.STOPPED),
        ([Control(time=NOW - 500, request="pause", result="done at step 300")], Status.STALLED),
    ],
)
def test_a_paused_run_is_not_stalled(
    tmp_path: Path, process: subprocess.Popen[bytes], records: list[AnyRecord], status: Status
) -> None:
    run = write_run(tmp_path, "a", status=None, start=NOW - 1000, info=info(process))
    with EventWriter(run.metrics) as log:
        for record in records:
            log.write(record)
    os.utime(run.metrics, (NOW - 300, NOW - 300))
    assert SnapshotReader().read(run, NOW).status is status
