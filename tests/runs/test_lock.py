"""The lock that a running engine holds, and the status it gives a run whose launcher has ended."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.runs.lock_holder import held
from tests.support import write_run
from tuitrain.events.lock import acquire, no_locks_sentence
from tuitrain.runs import RunMetadata, Status, lock_held, read_snapshot
from tuitrain.runs.status import STALLED_AFTER_S

NO_PROCESS = 2**22 + 1
"""Above the largest pid that Linux gives."""


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert lock_held(lock) is False
    assert not lock.exists()
    with held(lock):
        assert lock_held(lock) is True
        assert lock_held(lock) is True
    assert lock_held(lock) is False
    assert lock.exists()


def test_testing_the_lock_does_not_take_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.touch()
    assert lock_held(lock) is False
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_system_without_locks_leaves_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".lock").touch()
    assert no_locks_sentence(tmp_path / ".lock") is None
    monkeypatch.setattr(fcntl, "flock", no_locks)
    os.close(acquire(tmp_path / ".lock", 0.0))
    assert lock_held(tmp_path / ".lock") is None
    assert "cannot be refused" in (no_locks_sentence(tmp_path / ".lock") or "")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nfs rw,relatime,vers=3,nolock,proto=tcp,local_lock=all", "(nfs, local_lock=all, nolock)"),
        ("nfs4 rw,vers=4.2,proto=tcp,local_lock=none", None),
        ("lustre rw,localflock", "(lustre, localflock)"),
        ("lustre rw,flock", None),
        ("fuse.sshfs rw,user_id=0", "(fuse.sshfs)"),
        ("ext4 rw", None),
    ],
)
def test_locks_that_other_machines_do_not_see_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, said: str | None
) -> None:
    lock = tmp_path / ".lock"
    lock.touch()
    kind, _, options = what.partition(" ")
    mounts = [
        SimpleNamespace(mountpoint=str(place), fstype=fstype, opts=opts)
        for place, fstype, opts in (
            ("/", "nfs", "rw,nolock"), (tmp_path, "autofs", "rw"), (tmp_path, kind, options),
            (tmp_path / "elsewhere", "nfs", "rw,nolock"), (f"{tmp_path}-2", "nfs", "rw,nolock"),
        )
    ]  # fmt: skip
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    sentence = no_locks_sentence(lock)
    assert (sentence is None) == (said is None)
    assert said is None or (said in str(sentence) and "on this machine only" in str(sentence))
    mounts.clear()
    assert no_locks_sentence(lock) is None


def test_a_run_whose_launcher_has_ended_runs_while_the_lock_is_held(tmp_path: Path) -> None:
    info = RunMetadata(name="a", created=1.0, pid=NO_PROCESS, host=socket.gethostname())
    run = write_run(tmp_path, "a", status=None, info=info)
    silent = time.time() + STALLED_AFTER_S + 60
    assert read_snapshot(run).status is Status.CRASHED
    with held(run.lock):
        assert read_snapshot(run).status is Status.RUNNING
        assert read_snapshot(run, now=silent).status is Status.STALLED
    assert read_snapshot(run).status is Status.CRASHED


def test_an_end_record_decides_although_the_process_still_exists(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", status="stopped")
    with held(run.lock):
        assert read_snapshot(run).status is Status.STOPPED
