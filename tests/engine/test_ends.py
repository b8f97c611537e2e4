"""The end of a run whose last checkpoint cannot be written, or whose directory is removed.

A limit on the size of files simulates a full disk.
"""

from __future__ import annotations

import errno
import resource
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
from engine_runs import make_run, of_type, read_log, run_engine, start_engine
from tests.warm_engine import WarmProcess

from tuitrain import events
from tuitrain_engine import checkpoint, lifecycle
from tuitrain_engine.control import Control
from tuitrain_engine.journal import Journal, JournalError
from tuitrain_engine.peers import Peers

LIMIT = 100_000
"""More than the log and the token shards of such a run, less than its checkpoints."""


def limit_files(pid: int, size: int = LIMIT) -> None:
    """Limit every file of the process to this many bytes from now on."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def assert_failed_to_save(run_dir: Path, process: WarmProcess | subprocess.CompletedProcess[str]) -> None:
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "failed"
    assert f"step-{end.step:08d} could not be written" in end.reason
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("evaluations", "background"), [(0, True), (5, True), (0, False)], ids=["plain", "eval-too", "synchronous"]
)
def test_a_run_whose_last_checkpoint_cannot_be_written_has_failed(
    tmp_path: Path, evaluations: int, background: bool
) -> None:
    run_dir = make_run(
        tmp_path, eval={"interval": evaluations}, checkpoint={"interval": 2, "async_save": background},
    )  # fmt: skip
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    process = run_engine(run_dir, before=limit)
    assert_failed_to_save(run_dir, process)
    assert "Traceback" not in process.stderr
    assert [alert.step for alert in of_type(read_log(run_dir), events.Alert)] == [2, 4, 5]
    again = run_engine(run_dir, "train", "--resume")
    assert again.returncode == 3 and "no complete checkpoint" in again.stderr


@pytest.mark.parametrize("way", ["control file", "SIGTERM"])
def test_a_stop_whose_checkpoint_cannot_be_written_has_failed(tmp_path: Path, way: str) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000}, checkpoint={"interval": 3}, eval={"interval": 0})
    process = start_engine(run_dir)
    for line in process.stdout:
        if line.startswith("saved"):
            break
    limit_files(process.pid)
    if way == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        (run_dir / "control" / "stop").touch()
    process.communicate(timeout=60)
    assert_failed_to_save(run_dir, process)
    newest = checkpoint.newest(run_dir)
    assert newest is not None and newest.step % 3 == 0


def test_a_run_continues_without_its_control_directory_and_under_another_name(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000}, checkpoint={"interval": 0}, eval={"interval": 0})
    process = start_engine(run_dir)
    (run_dir / "control").rmdir()
    while not (run_dir / "control").is_dir():
        assert process.poll() is None
    moved = run_dir.rename(tmp_path / "moved")
    (moved / "control" / "stop").touch()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""
    end = read_log(moved)[-1]
    assert isinstance(end, events.End) and end.status == "stopped"
    newest = checkpoint.newest(moved)
    assert newest is not None and newest.step == end.step
    assert not run_dir.exists()


def test_a_run_whose_directory_is_removed_ends_with_one_sentence(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000}, checkpoint={"interval": 0}, eval={"interval": 0})
    process = start_engine(run_dir)
    shutil.rmtree(run_dir)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == f"{run_dir} was removed.\n"
    assert not run_dir.exists()


def test_a_record_that_could_not_be_written_is_retried_once_there_is_space(tmp_path: Path) -> None:
    journal, before = Journal(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)

    def free_space() -> bool:
        had_none = resource.getrlimit(resource.RLIMIT_FSIZE) != before
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return had_none

    try:
        limit_files(0, 10)
        with pytest.raises(JournalError, match=r"metrics\.jsonl cannot be written: File too large"):
            journal.write(events.Step(step=1))
        journal.make_room = free_space
        journal.write(events.Step(step=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        journal.close()
    torn, whole = (tmp_path / "metrics.jsonl").read_bytes().splitlines()
    assert len(torn) == 10
    record = events.decode(whole)
    assert isinstance(record, events.Step) and record.step == 2


def test_a_run_whose_end_cannot_be_written_does_not_exit_as_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    run_dir = make_run(tmp_path, train={"max_steps": 1}, eval={"interval": 0}, sampling={"interval": 0})
    write = events.EventWriter.write

    def full(log: events.EventWriter, record: events.Record) -> None:
        if isinstance(record, events.End):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(log, record)

    monkeypatch.setattr(events.EventWriter, "write", full)
    assert lifecycle.run_attempt(run_dir, Control(run_dir), Peers(run_dir, 0, 1), resume=False) == 1
    assert "metrics.jsonl cannot be written: No space left on device" in capsys.readouterr().err
    assert not of_type(read_log(run_dir), events.End)
