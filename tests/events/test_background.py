"""The log is written by a thread: a disk that is full, read-only, slow or silent delays nobody, and the log says it."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mounts import block_disk, frozen, needs_root, small_disk, turn_read_only
from tuitrain.events import Alert, AnyRecord, BackgroundWriter, BrokenLineError, Step, background, decode
from tuitrain.events.codec import encode

LINE = len(encode(Step(step=1000, time=1.0)))
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_S", 0.02)
    monkeypatch.setattr(background, "REPORTED_S", 0.04)


def add(log: BackgroundWriter, first: int, last: int) -> None:
    for step in range(first, last + 1):
        log.add(encode(Step(step=step, time=1.0)), step)


def records(data: bytes) -> tuple[list[AnyRecord], int]:
    """The records of a log, and how many of its lines are none."""
    found, broken = list[AnyRecord](), 0
    for line in data.splitlines():
        try:
            record = decode(line)
        except BrokenLineError:
            broken += 1
            continue
        assert record is not None
        found.append(record)
    return found, broken


def steps(found: list[AnyRecord]) -> list[int]:
    return [record.step for record in found if isinstance(record, Step)]


def alerts(found: list[AnyRecord]) -> list[tuple[str, str]]:
    return [(record.code, record.message) for record in found if isinstance(record, Alert)]


@contextmanager
def pipe(tmp_path: Path, most: int = 1 << 20) -> Iterator[tuple[BackgroundWriter, int]]:
    """A log that is a pipe, which takes 4 KiB until somebody reads: writes to it block as those to a silent disk do."""
    path = tmp_path / "log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = BackgroundWriter(path, most_bytes=most)
    import fcntl

    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    yield log, reader
    os.close(reader)


def read_all(reader: int, log: BackgroundWriter) -> bytes:
    """All that is written until the log is closed, by somebody who reads again."""
    os.set_blocking(reader, True)
    parts: list[bytes] = []

    def read() -> None:
        while part := os.read(reader, 1 << 16):
            parts.append(part)

    thread = threading.Thread(target=read)
    thread.start()
    assert log.close(PATIENCE_S)
    thread.join()
    return b"".join(parts)


def test_a_write_that_blocks_delays_nobody_and_loses_nothing(tmp_path: Path) -> None:
    with pipe(tmp_path) as (log, reader):
        add(log, 1, 1000)
        assert not log.flush(0.05)
        add(log, 1001, 1200)
        found, broken = records(read_all(reader, log))
    assert (steps(found), broken) == (list(range(1, 1201)), 0)
    (alert,) = set(alerts(found)) or {("", "")}
    assert alert[0] == "log_delayed" and "did not answer" in alert[1] and "nothing is missing" in alert[1]


def test_what_finds_no_room_while_the_disk_is_silent_is_counted_in_the_log(tmp_path: Path) -> None:
    with pipe(tmp_path, most=100 * LINE) as (log, reader):
        add(log, 1, 1000)
        log.add(encode(Step(step=2000, time=1.0)), 2000, always=True)
        found, broken = records(read_all(reader, log))
    written = steps(found)
    last = written[-2]
    assert written == [*range(1, last + 1), 2000] and last < 400 and broken == 0
    lost = [message for code, message in alerts(found) if code == "records_lost"]
    assert len(lost) == 1
    assert lost[0].startswith(f"{1000 - last:,} records of steps {last + 1:,} to 1,000 are missing here: ")
    place = next(at for at, each in enumerate(found) if isinstance(each, Alert) and each.code == "records_lost")
    assert steps(found[:place]) == written[:-1], "the alert stands where the records would be"


@needs_root
def test_a_full_disk_delays_the_log_and_tears_one_line(tmp_path: Path) -> None:
    errors: list[OSError] = []
    with small_disk(tmp_path / "disk", 64) as disk:
        (disk / "checkpoint").write_bytes(bytes(40 << 10))
        log = BackgroundWriter(disk / "log", failed=errors.append)
        add(log, 1, 600)
        assert not log.flush(PATIENCE_S)
        failing = log.failing
        assert failing is not None and failing[0].errno == errno.ENOSPC
        add(log, 601, 700)
        (disk / "checkpoint").unlink()
        # The disk takes 64 KiB in all, less than these.
        assert not log.close(PATIENCE_S) or 700 * LINE < 64 << 10
        found, broken = records((disk / "log").read_bytes())
    assert [each.errno for each in errors][:1] == [errno.ENOSPC]
    written = steps(found)
    assert written == list(range(1, len(written) + 1)) and broken <= 2


@needs_root
def test_a_disk_that_turns_read_only_leaves_a_readable_log_and_says_so(tmp_path: Path) -> None:
    with block_disk(tmp_path / "disk") as disk:
        log = BackgroundWriter(disk / "log")
        add(log, 1, 50)
        assert log.flush(PATIENCE_S)
        turn_read_only(disk)
        add(log, 51, 60)
        assert not log.flush(PATIENCE_S)
        failing = log.failing
        assert failing is not None and failing[0].errno == errno.EROFS
        assert not log.close(PATIENCE_S)
        assert records((disk / "log").read_bytes())[1] == 0


@needs_root
def test_a_frozen_file_system_is_waited_for_by_the_thread_alone(tmp_path: Path) -> None:
    with block_disk(tmp_path / "disk") as disk:
        log = BackgroundWriter(disk / "log")
        add(log, 1, 10)
        assert log.flush(PATIENCE_S)
        with frozen(disk):
            add(log, 11, 500)
            assert not log.flush(0.1)
        assert log.close(PATIENCE_S)
        found, broken = records((disk / "log").read_bytes())
    assert (steps(found), broken) == (list(range(1, 501)), 0)


def test_lines_are_neither_lost_nor_doubled_by_a_write_that_is_cut(tmp_path: Path) -> None:
    """A limit on the size of files cuts a write of many lines in the middle of one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    told: list[int] = []
    log = BackgroundWriter(tmp_path / "log", interval_s=60.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 * LINE + 7, before[1]))
    try:
        for step in range(1000, 1030):
            log.add(encode(Step(step=step, time=1.0)), step, then=lambda step=step: told.append(step))
        assert not log.flush(PATIENCE_S)
        assert not log.flush(PATIENCE_S)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.close(PATIENCE_S)
    found, broken = records((tmp_path / "log").read_bytes())
    assert (steps(found), broken) == (list(range(1000, 1030)), 1)
    assert told == list(range(1000, 1030)), "each is shown once, whether it could be written or not"


def test_an_error_in_what_is_called_is_raised_where_lines_are_added(tmp_path: Path) -> None:
    log = BackgroundWriter(tmp_path / "log")

    def fail() -> None:
        raise ZeroDivisionError

    log.add(b"{}\n", then=fail)
    assert log.flush(PATIENCE_S)
    log._thread.join(PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        log.add(b"{}\n")
    log.close(PATIENCE_S)
    log.close(PATIENCE_S)
