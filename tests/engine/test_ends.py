"""The end of a run whose last checkpoint cannot be written, or whose directory is removed.

A limit on the size of files simulates a full disk.
"""

from __future__ import annotations

import errno
import resource
import shutil
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from engine_runs import make_run, of_type, read_log, run_engine, start_engine
from tests.mounts import block_disk, frozen, needs_root, wait_until
from tests.warm_engine import WarmProcess

from tuitrain import events
from tuitrain_engine import checkpoint, lifecycle
from tuitrain_engine import journal as journal_module
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


@pytest.mark.parametrize("way", ["request", "SIGTERM"])
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


def test_a_record_that_could_not_be_written_is_retried_once_there_is_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, before = Journal(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        limit_files(0, 10)
        journal.write(events.Step(step=1))
        with pytest.raises(JournalError, match=r"metrics\.jsonl cannot be written: File too large\."):
            journal.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.write(events.Step(step=2))
    journal.close()
    torn, *whole = (tmp_path / "metrics.jsonl").read_bytes().splitlines()
    assert len(torn) == 10
    assert [record.step for record in map(events.decode, whole) if isinstance(record, events.Step)] == [1, 2]
    assert capsys.readouterr().err.count("It is tried again for 10 minutes.") == 1


def test_a_log_that_cannot_be_written_for_long_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, before = Journal(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        limit_files(0, 10)
        journal.write(events.Step(step=1))
        with pytest.raises(JournalError):
            journal.flush()
        monkeypatch.setattr(journal_module, "PATIENCE_S", 0.0)
        with pytest.raises(JournalError, match=r"cannot be written for 0 minutes: File too large\."):
            journal.write(events.Step(step=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        journal.close()


@needs_root
def test_training_goes_on_while_no_write_ends_and_while_the_disk_is_full(tmp_path: Path) -> None:
    """On a real file system that freezes, thaws and fills; in the end the log has every step."""
    with block_disk(tmp_path / "disk", 32) as disk:
        run_dir = make_run(disk, train={"max_steps": 100_000}, checkpoint={"interval": 0}, eval={"interval": 0})
        process = start_engine(run_dir)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        used = psutil.Process(process.pid).cpu_times
        with frozen(disk):
            began, before = time.time(), used().user
            wait_until(lambda: used().user > before + 0.5)
            thawed = time.time()
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
        assert "metrics.jsonl cannot be written: No space left on device. It is" in process.stderr.readline()
        before = used().user
        wait_until(lambda: used().user > before + 0.5)
        full = time.time()
        filler.unlink()
        (run_dir / "control" / "stop").touch()
        assert process.wait(60) == 0
        lines = (run_dir / "metrics.jsonl").read_bytes().splitlines()
    records = [events.decode(line) for line in lines if line.endswith(b"}")]
    steps = [record for record in records if isinstance(record, events.Step)]
    assert [each.step for each in steps] == list(range(1, len(steps) + 1))
    assert sum(began < each.time < thawed for each in steps) > 5, "steps were trained meanwhile"
    assert sum(thawed < each.time < full for each in steps) > 5
    assert len(lines) - len(records) <= 1, "only the line is torn that met the full disk"
    assert isinstance(records[-1], events.End) and records[-1].status == "stopped"


def test_a_run_whose_end_cannot_be_written_does_not_exit_as_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    run_dir = make_run(tmp_path, train={"max_steps": 1}, eval={"interval": 0}, sampling={"interval": 0})
    append = events.EventWriter.append

    def full(log: events.EventWriter, lines: bytes) -> None:
        if b'"type":"end"' in lines:
            log.whole_lines = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        append(log, lines)

    monkeypatch.setattr(events.EventWriter, "append", full)
    assert lifecycle.run_attempt(run_dir, Control(run_dir), Peers(run_dir, 0, 1), resume=False) == 1
    assert "metrics.jsonl cannot be written: No space left on device" in capsys.readouterr().err
    assert not of_type(read_log(run_dir), events.End)
