"""Consecutive steps of a log as columns: the rows that detectors are fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import numpy as np

from tuitrain.alerts.windows import Points
from tuitrain.events import Step
from tuitrain.events.own_metrics import steps_with_declared
from tuitrain.readers.blocks import Steps
from tuitrain.runs.columns import BoolArray, Columns, FloatArray, RowArray, numeric_fields


@dataclass(frozen=True)
class Rows:
    """A part of a table of steps, from row `begin` to row `end`, and the position of each in the log.

    late: which of them add to an earlier step; None: none of them.
    """

    table: Columns
    begin: int
    end: int
    index: RowArray
    late: BoolArray | None = None

    def __len__(self) -> int:
        return self.end - self.begin

    @cached_property
    def step(self) -> FloatArray:
        """The steps."""
        return self.table["step"][self.begin : self.end]

    @cached_property
    def time(self) -> FloatArray:
        """Unix seconds."""
        return self.table["time"][self.begin : self.end]

    @property
    def own_names(self) -> set[str]:
        """The names of all metrics of one's own."""
        return set(self.table.keys) - set(numeric_fields(Step))

    def part(self, begin: int, end: int) -> Rows:
        """The rows from `begin` to `end` of these."""
        late = self.late[begin:end] if self.late is not None else None
        return Rows(self.table, self.begin + begin, self.begin + end, self.index[begin:end], late)

    def points(self, name: str) -> Points:
        """The rows that have a value of a field, or of a metric of one's own."""
        rows, values = self.table.points(name)
        if len(values) == len(self.table):
            return Points(self.index, self.step, self.time, values[self.begin : self.end])
        first, last = np.searchsorted(rows, (self.begin, self.end)).tolist()
        at = rows[first:last] - self.begin
        return Points(self.index[at], self.step[at], self.time[at], values[first:last])

    def column(self, name: str) -> FloatArray:
        """A field of every row; nan where it is unknown."""
        return self.table[name][self.begin : self.end]


def in_order(rows: Rows) -> Rows:
    """Those that are not late."""
    if rows.late is None or not rows.late.any():
        return rows
    kept = np.flatnonzero(~rows.late)
    table = Columns()
    for name in rows.table.keys:
        points = rows.points(name)
        at = points.index
        chosen = np.isin(at, rows.index[kept])
        table.put(name, points.value[chosen], np.searchsorted(rows.index[kept], at[chosen]), len(kept))
    return Rows(table, 0, len(kept), rows.index[kept])


def table_of(steps: Sequence[Step]) -> Columns:
    """A row for each of these records."""
    table = Columns()
    table.extend(steps_with_declared(list(steps)))
    return table


def rows_of_block(block: Steps, index: int) -> Rows:
    """The rows of steps that are columns already, the first of which has this index."""
    table, count = Columns(), len(block.steps)
    table.extend_at_once({"time": block.times, "step": block.steps, **block.values}, count)
    return Rows(table, 0, count, np.arange(index, index + count))


def late_of(steps: Sequence[Step]) -> BoolArray | None:
    """Which of these records are late; None: none of them."""
    late = list(map(attrgetter("late"), steps))
    return np.array([each is True for each in late]) if True in late else None
