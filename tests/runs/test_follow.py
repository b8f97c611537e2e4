from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import write_run
from tuitrain.events import AnyRecord, Eval, EventWriter, Run, Step, encode
from tuitrain.runs import (
    LogFollower,
    RunDirectory,
    RunHistory,
    StreamFollower,
    drain,
    load_history,
)
from tuitrain.runs.follow import LineParser


def line(step: int) -> bytes:
    return encode(Step(time=1000.0 + step, step=step, loss=1.0 / step))


def steps(records: tuple[AnyRecord, ...]) -> list[int]:
    return [record.step for record in records if isinstance(record, Step)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_each_poll_yields_the_records_appended_since_the_last(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1) + line(2))
    assert steps(follower.poll().records) == [1, 2]
    assert not follower.poll()
    append(log, line(3))
    assert steps(follower.poll().records) == [3]


def test_a_torn_last_line_waits_for_its_end(log: Path) -> None:
    follower = LogFollower(log)
    whole = line(2)
    append(log, line(1) + whole[:10])
    assert steps(follower.poll().records) == [1]
    append(log, whole[10:-1])
    assert not follower.poll()
    append(log, b"\n")
    assert steps(follower.poll().records) == [2]


def test_a_missing_log_is_waited_for(log: Path) -> None:
    follower = LogFollower(log)
    assert not follower.poll()
    append(log, line(1))
    batch = follower.poll()
    assert steps(batch.records) == [1]
    assert not batch.reset


def test_broken_lines_are_reported_by_number_and_reading_continues(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1) + b"rubbish\n\n" + line(2) + b'{"type":"step"}\n' + line(3))
    batch = follower.poll()
    assert steps(batch.records) == [1, 2, 3]
    assert [broken.number for broken in batch.broken] == [2, 5]
    assert all(broken.reason for broken in batch.broken)


def test_a_rotated_log_is_read_from_its_start(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1) + line(2))
    follower.poll()
    log.rename(log.with_suffix(".old"))
    append(log, line(5) + line(6) + line(7))
    batch = follower.poll()
    assert batch.reset
    assert steps(batch.records) == [5, 6, 7]


def test_a_truncated_log_is_read_from_its_start(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1) + line(2))
    follower.poll()
    os.truncate(log, 0)
    append(log, line(7))
    batch = follower.poll()
    assert batch.reset
    assert steps(batch.records) == [7]


@pytest.mark.parametrize("count", [2, 3, 9])
def test_a_log_rewritten_in_place_is_read_from_its_start_at_the_same_size_or_longer(log: Path, count: int) -> None:
    follower = LogFollower(log)
    append(log, line(11) + line(12))
    follower.poll()
    with log.open("r+b") as file:
        file.write(b"".join(line(21 + n) for n in range(count)))
    batch = follower.poll()
    assert batch.reset
    assert steps(batch.records) == [21 + n for n in range(count)]


def test_a_log_that_is_moved_away_and_back_is_continued(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1))
    follower.poll()
    aside = log.with_suffix(".away")
    log.rename(aside)
    assert not follower.poll()
    append(aside, line(2))
    aside.rename(log)
    batch = follower.poll()
    assert not batch.reset
    assert steps(batch.records) == [2]


def test_a_log_that_was_removed_and_created_again_is_read_from_its_start(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1))
    follower.poll()
    log.unlink()
    assert not follower.poll()
    append(log, line(3) + line(4))
    batch = follower.poll()
    assert batch.reset
    assert steps(batch.records) == [3, 4]


def test_a_large_log_is_read_in_chunks_with_more_set(log: Path) -> None:
    append(log, b"".join(line(n) for n in range(1, 101)))
    follower = LogFollower(log, first_bytes=1000)
    assert follower.poll().more
    history = drain(follower, RunHistory())
    assert history.step == 100
    assert not follower.poll().more


def test_drain_starts_a_new_history_when_the_file_was_replaced(log: Path) -> None:
    follower = LogFollower(log)
    append(log, line(1) + line(2))
    history = drain(follower, RunHistory())
    log.unlink()
    append(log, line(9))
    replaced = drain(follower, history)
    assert replaced is not history
    assert replaced.steps["step"].tolist() == [9]


@given(st.lists(st.integers(1, 60)), st.integers(1, 40))
def test_records_do_not_depend_on_how_bytes_are_split(cuts: list[int], count: int) -> None:
    data = b"".join(line(n) for n in range(1, count + 1))
    parser, numbers = LineParser(), []
    for cut in [*cuts, len(data)]:
        numbers += steps(parser.feed(data[:cut])[0])
        data = data[cut:]
    assert numbers == list(range(1, count + 1))


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_the_parser_accepts_any_bytes(chunks: list[bytes]) -> None:
    parser = LineParser()
    for chunk in chunks:
        parser.feed(chunk)
    assert steps(parser.feed(b"\n" + line(1))[0]) == [1]


def test_a_pipe_is_followed_to_its_end_and_its_last_line_needs_no_newline() -> None:
    reader, writer = os.pipe()
    try:
        follower = StreamFollower(reader, wait_s=0)
        assert not follower.poll()
        os.write(writer, line(1) + line(2)[:-1])
        assert steps(follower.poll().records) == [1]
        os.close(writer)
        assert steps(follower.poll().records) == [2]
        assert follower.ended
        assert not follower.poll()
    finally:
        os.close(reader)


def test_a_whole_run_is_loaded(tmp_path: Path) -> None:
    history = load_history(write_run(tmp_path, steps=120))
    assert (history.step, len(history.steps), len(history.evals)) == (120, 120, 5)
    assert history.end is not None
    assert history.end.status == "completed"
    assert [sample.step for sample in history.samples] == [50, 100]
    assert [checkpoint.step for checkpoint in history.checkpoints] == [50, 100]
    assert history.system is not None
    assert not history.broken


def test_loading_a_run_without_a_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_history(RunDirectory(tmp_path))


def test_unknown_records_of_a_later_version_are_skipped(log: Path) -> None:
    with EventWriter(log) as writer:
        writer.write(Run(run_id="a", name="a"))
    append(log, b'{"type":"hologram","time":5}\n')
    with EventWriter(log) as writer:
        writer.write(Eval(step=1, loss=2.0))
    history = drain(LogFollower(log), RunHistory())
    assert len(history.evals) == 1
    assert not history.broken
