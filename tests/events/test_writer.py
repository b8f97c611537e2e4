from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest

from tuitrain.events import BrokenLineError, EventWriter, Step, decode
from tuitrain.events.codec import encode


def steps(path: Path) -> list[int]:
    return [record.step for line in path.read_bytes().splitlines() if isinstance(record := decode(line), Step)]


def test_records_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "run" / "metrics.jsonl") as log:
        log.write(Step(step=1))
        assert steps(log.path) == [1]


def test_an_existing_log_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        with EventWriter(path) as log:
            log.write(Step(step=step))
    assert steps(path) == [1, 2]


def test_a_line_torn_by_a_crash_does_not_damage_the_next_record(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with EventWriter(path) as log:
        log.write(Step(step=1))
        log.write(Step(step=2))
    path.write_bytes(path.read_bytes()[:-20])
    with EventWriter(path) as log:
        log.write(Step(step=3))
    first, torn, last = path.read_bytes().splitlines()
    assert decode(first) is not None
    assert isinstance(record := decode(last), Step)
    assert record.step == 3
    with pytest.raises(BrokenLineError):
        decode(torn)


def test_opening_a_whole_log_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with EventWriter(path) as log:
        log.write(Step(step=1))
    before = path.read_bytes()
    EventWriter(path).close()
    assert path.read_bytes() == before


def test_lines_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    log = EventWriter(tmp_path / "metrics.jsonl")
    start = threading.Barrier(4)

    def write(base: int) -> None:
        start.wait()
        for number in range(200):
            log.write(Step(step=base + number))

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(steps(log.path)) == sorted(1000 * n + number for n in range(4) for number in range(200))


def test_closing_twice_is_allowed_and_writing_afterwards_is_an_error(tmp_path: Path) -> None:
    log = EventWriter(tmp_path / "metrics.jsonl")
    log.close()
    log.close()
    with pytest.raises(OSError, match=r"."):
        log.write(Step(step=1))


def test_a_line_cut_by_a_full_disk_is_terminated_before_the_next_one(tmp_path: Path) -> None:
    """A limit on the size of files simulates the full disk."""
    path = tmp_path / "metrics.jsonl"
    whole = encode(Step(step=1, time=1.0))
    with EventWriter(path) as log:
        log.write(Step(step=1, time=1.0))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, before[1]))
        try:
            for _ in range(2):
                with pytest.raises(OSError, match="too large"):
                    log.write(Step(step=2, time=2.0))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        log.write(Step(step=2, time=2.0))
    lines = path.read_bytes().split(b"\n")
    assert [lines[0] + b"\n", lines[-2] + b"\n"] == [whole, encode(Step(step=2, time=2.0))]
    assert len(lines) == 4 and len(lines[1]) == 10
