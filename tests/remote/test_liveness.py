"""Whether a run on another machine lives: its process is looked for there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.remote.conftest import LocalSsh, shell_with
from tests.support import write_run
from tuitrain.events.lock import exclusive
from tuitrain.launch import LaunchError
from tuitrain.launch.requests import send_request
from tuitrain.launch.stop import stop_run
from tuitrain.remote import sync
from tuitrain.runs import RunDirectory, RunMetadata, Status, read_snapshot
from tuitrain.runs.remote import ENDS, REQUEST, find_remote_runs


def started(folder: Path, process: psutil.Process | None = None, **facts: object) -> RunDirectory:
    """A run that was silent for long, of a process here."""
    values = {"name": "a", "created": 1.0, "host": socket.gethostname()} | facts
    if process is not None:
        values = {"pid": process.pid, "pid_started": process.create_time()} | values
    return write_run(folder, status=None, steps=5, start=time.time() - 1000, info=RunMetadata(**values))  # type: ignore[arg-type]


def there(run: RunDirectory) -> RunDirectory:
    return find_remote_runs([f"here:{run.path}"], ENDS)[0][0]


@pytest.fixture
def sleeper() -> psutil.Process:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield psutil.Process(process.pid)  # type: ignore[misc]
    process.kill()
    process.wait()


@pytest.mark.parametrize("without", ["", "flock getconf"])
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox ash"])
def test_a_process_there_is_known_to_live_or_not(
    local_ssh: LocalSsh, sleeper: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str,
    without: str,
) -> None:  # fmt: skip
    """Silent for long it is stalled while its process lives, and crashed once that is gone."""
    names = {"find", "dd", "tail", "head", "ls", "mkdir", "stat", "uname", "flock", "getconf"} - set(without.split())
    environment = shell_with(tmp_path / "tools", shell, *names)
    monkeypatch.setenv("TUITRAIN_SSH", f"{environment} {local_ssh.use(shell)}")
    run = started(tmp_path / "runs", sleeper)
    lives = there(run)
    # The time of its last write is that of now.
    os.utime(lives.metrics, (1.0, 1.0))
    assert read_snapshot(lives).status is Status.STALLED
    reused = started(tmp_path / "reused", sleeper, pid_started=sleeper.create_time() - 100)
    assert read_snapshot(there(reused)).status is Status.CRASHED
    elsewhere = started(tmp_path / "elsewhere", sleeper, host="another")
    assert read_snapshot(there(elsewhere)).status is Status.UNKNOWN
    sleeper.kill()
    while sleeper.is_running() and sleeper.status() != psutil.STATUS_ZOMBIE:
        threading.Event().wait(0.01)
    sync.close(sync._OPEN)
    crashed = read_snapshot(there(run))
    assert crashed.status is Status.CRASHED and crashed.reason == "the process is gone and left no end record"
    if not without and shutil.which("flock") and "busybox" not in shell:
        sync.close(sync._OPEN)
        with exclusive(run.lock, 0.0):
            assert read_snapshot(there(run)).status in (Status.STALLED, Status.RUNNING), "its log is still written"


def test_a_request_to_a_crashed_run_there_is_refused(
    local_ssh: LocalSsh, sleeper: psutil.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever waits for the end of a run learns that its process is gone."""
    monkeypatch.setattr(sync, "PROCESSES_S", 0.05)
    run = started(tmp_path / "runs", sleeper)
    remote = find_remote_runs([f"here:{run.path}"], REQUEST)[0][0]
    assert "requested" in send_request(remote, "checkpoint")
    ended: list[object] = []
    waiting = threading.Thread(target=lambda: ended.append(stop_run(remote, report=lambda text: ended.append(text))))
    waiting.start()
    while not (run.control / "stop").exists():
        threading.Event().wait(0.01)
    sleeper.kill()
    waiting.join(60)
    assert ended[-1] is Status.CRASHED
    with pytest.raises(LaunchError, match="crashed: only a live run reads requests"):
        send_request(remote, "checkpoint")
