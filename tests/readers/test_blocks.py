"""Rows that are read many at once give what they give one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import history_contents
from tuitrain.events import AnyRecord
from tuitrain.readers import blocks
from tuitrain.readers.blocks import Steps, one_by_one
from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.jsonl import JsonLinesParser
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Reading, Row, RunInfo
from tuitrain.readers.records import RecordReader
from tuitrain.runs import RunHistory
from tuitrain.runs.curve import points_of


class ReadingsReader:
    """Gives the next of some readings at each poll."""

    def __init__(self, readings: list[Reading]) -> None:
        self.info = RunInfo("a")
        self._readings = iter(readings)

    def poll(self) -> Reading:
        return next(self._readings)


def read(readings: Callable[[], list[Reading]], fewest: int) -> tuple[RunHistory, list[AnyRecord | Steps]]:
    """The history and the records, of which those of at least `fewest` rows may come at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "FEWEST", fewest)
        polls = readings()
        reader = RecordReader(ReadingsReader(polls), "id", NameMapping(), lambda: 5.0)
        history, records = RunHistory(), list[AnyRecord | Steps]()
        for _ in polls:
            batch = reader.poll().records
            history.absorb(batch)
            records += batch
        return history, records


def check(readings: Callable[[], list[Reading]]) -> None:
    """Compare what comes at once with what comes one by one."""
    history, records = read(readings, fewest=2)
    expected, singles = read(readings, fewest=1000)
    assert repr(list(one_by_one(records))) == repr(singles)
    assert repr(points_of(records)) == repr(points_of(singles))
    assert history_contents(history) == history_contents(expected)


NAMES = ("loss", "train/loss", "tokens", "mfu", "val_loss", "own", "late", "accuracy", "step_time", "slowest_rank")
VALUES = [[1.5, 7.0], [0.5, math.nan, math.inf], [-1.0, 2.0], [0.0, 1e300, 2.0**63]]
STARTS = st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0, 8.0, -1.0, 0.5, 0.5, 2.0**53 - 2])
MOVES = st.sampled_from([[1.0], [1.0], [1.0], [1.0, 2.0], [1.0, 0.0, -1.0]])
TIMES = st.sampled_from([[None], [None], [1780308000.0], [1780308000.0, 1780308001.5], [-4.0, 1e12, math.nan, None]])


@st.composite
def parts(draw: st.DrawFn) -> list[Row]:
    """Some rows of a log with the same names, whose steps mostly count up."""
    x, moves = draw(STARTS), draw(MOVES)
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    values, times = draw(st.sampled_from(VALUES)), draw(TIMES)
    has_step = draw(st.booleans())
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        row = {name: draw(st.sampled_from(values)) for name in names}
        rows.append(Row(x, row, draw(st.sampled_from(times)), int(abs(x)) if has_step else None))
        x += draw(st.sampled_from(moves))
    return rows


LOGS = st.lists(parts(), min_size=1, max_size=8)


@given(LOGS, st.booleans())
@example([[Row(0.0, {"loss": 3.0})], [Row(1.0, {"own": 2.0}), Row(2.0, {"own": 1.0})]], True)
def test_rows_that_come_at_once_are_those_that_come_one_by_one(log: list[list[Row]], one_poll: bool) -> None:
    log = [list(chain.from_iterable(log))] if one_poll else log
    check(lambda: [Reading([*rows]) for rows in log])


@given(LOGS, st.booleans())
def test_a_table_is_read_at_once_as_it_is_line_by_line(log: list[list[Row]], one_poll: bool) -> None:
    header = "".join(f"{name}," for name in ("step", "time", *NAMES)) + "\n"
    log = [list(chain.from_iterable(log))] if one_poll else log
    pieces = ["".join(map(line, rows)).encode() for rows in log]

    def readings() -> list[Reading]:
        parser = DelimitedParser("a")
        return [parser.feed(header.encode()), *map(parser.feed, pieces)]

    check(readings)


def line(row: Row) -> str:
    cells = [row.x, row.time, *(row.values.get(name) for name in NAMES)]
    return "".join("," if cell is None else f"{cell!r}," for cell in cells) + "\n"


def test_plain_rows_come_at_once() -> None:
    table = "step,loss,tokens,own\n" + "".join(f"{step},1.5,{step * 512},nan\n" for step in range(100))
    _, (_, steps) = read(lambda: [DelimitedParser("a").feed(table.encode())], blocks.FEWEST)
    assert isinstance(steps, Steps)
    lines = "".join(f'{{"step": {step}, "loss": 1.5}}\n' for step in range(100))
    _, (_, steps) = read(lambda: [JsonLinesParser("a").feed(lines.encode())], blocks.FEWEST)
    assert isinstance(steps, Steps)
