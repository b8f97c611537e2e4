"""The wall time of a run: the sum of its attempts, without the time between them."""

from __future__ import annotations

import pytest

from tuitrain.events import AnyRecord, End, Run, Stage, Step, WallTime


def run(time: float) -> Run:
    return Run(time=time, run_id="r", name="r")


def step(time: float) -> Step:
    return Step(time=time, step=1, loss=1.0)


def stage(time: float) -> Stage:
    return Stage(time=time, stage="reading the data")


def end(time: float) -> End:
    return End(time=time, status="failed")


@pytest.mark.parametrize(
    ("records", "seconds"),
    [
        ([run(0), stage(1), step(5), end(10)], 10),
        ([run(0), step(5), end(10), stage(100), run(103), stage(104), step(108)], 15),
        ([run(0), step(5), stage(100), run(103), step(108), end(110)], 12),
        ([run(0), step(5), end(10), stage(100), end(101)], 10),
        ([run(0), step(5), end(10), end(101)], 10),
        ([run(0), step(5), stage(100), end(101)], 5),
        ([run(0), stage(1), end(2)], 2),
        ([run(0), step(-50)], None),
        ([stage(0), end(1)], None),
    ],
    ids=[
        "one", "two", "crashed", "not-resumed", "stopped-at-once", "crashed-not-resumed", "no-step", "clock", "none",
    ],
)  # fmt: skip
def test_the_time_between_attempts_does_not_count(records: list[AnyRecord], seconds: float | None) -> None:
    log = WallTime()
    for record in records:
        log.absorb(record)
    assert log.seconds() == seconds


def test_a_log_without_a_run_record_has_the_time_between_its_records() -> None:
    log = WallTime()
    for record in (step(3), step(9), end(10)):
        log.absorb(record)
    assert log.seconds() is None
    assert log.seconds(first=3) == 7
