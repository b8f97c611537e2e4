"""Consecutive steps of a log as columns: the rows that detectors are fed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter

import numpy as np

from tuitrain.analysis.alerts.windows import Points
from tuitrain.events import Step
from tuitrain.readers.blocks import Steps
from tuitrain.runs.columns import FloatArray, RowArray, numbers, numeric_fields

Values = tuple[FloatArray, RowArray | None]
"""Values, and the rows that have them; None is all of them."""
_NOTHING: Values = np.empty(0), np.empty(0, np.intp)


class Rows(ABC):
    """Steps, and the position of each in the log."""

    index: RowArray

    @property
    @abstractmethod
    def step(self) -> FloatArray:
        """The steps."""

    @property
    @abstractmethod
    def time(self) -> FloatArray:
        """Unix seconds."""

    @property
    @abstractmethod
    def own_names(self) -> set[str]:
        """The names of all metrics of one's own."""

    @abstractmethod
    def part(self, begin: int, end: int | None) -> Rows:
        """The rows from `begin` to `end`."""

    @abstractmethod
    def in_order(self) -> Rows:
        """Those that are not late."""

    @abstractmethod
    def _values(self, name: str) -> Values:
        """Those of a field, or of a metric of one's own."""

    def __len__(self) -> int:
        return len(self.index)

    def points(self, name: str) -> Points:
        """The rows that have a value of a field, or of a metric of one's own."""
        values, rows = self._values(name)
        if rows is None:
            return Points(self.index, self.step, self.time, values)
        return Points(self.index[rows], self.step[rows], self.time[rows], values)

    def column(self, name: str) -> FloatArray:
        """A field of every row; nan where it is unknown."""
        values, rows = self._values(name)
        if rows is None:
            return values
        column = np.full(len(self), np.nan)
        column[rows] = values
        return column


class StepRows(Rows):
    """Those of records. A column is made when it is asked for."""

    def __init__(self, steps: Sequence[Step], index: RowArray) -> None:
        self._steps, self.index = steps, index

    @cached_property
    def step(self) -> FloatArray:
        return self._values("step")[0]

    @cached_property
    def time(self) -> FloatArray:
        return self._values("time")[0]

    @cached_property
    def own_names(self) -> set[str]:
        return set().union(*{tuple(step.metrics) for step in self._steps if step.metrics})

    def part(self, begin: int, end: int | None) -> Rows:
        return self if begin == 0 and end is None else StepRows(self._steps[begin:end], self.index[begin:end])

    def in_order(self) -> Rows:
        late = list(map(attrgetter("late"), self._steps))
        if True not in late:
            return self
        kept = [at for at, each in enumerate(late) if each is not True]
        return StepRows([self._steps[at] for at in kept], self.index[kept])

    def _values(self, name: str) -> Values:
        if not self._steps:
            return _NOTHING
        if name in numeric_fields(Step):
            values, rows = numbers(list(map(attrgetter(name), self._steps)))
        else:
            values, rows = numbers([step.metrics.get(name) if step.metrics else None for step in self._steps])
        return (values, rows) if len(values) else _NOTHING


class BlockRows(Rows):
    """Those of another tool's log, which come as columns."""

    def __init__(self, block: Steps, index: RowArray) -> None:
        self._block, self.index = block, index

    @property
    def step(self) -> FloatArray:
        return self._block.steps

    @property
    def time(self) -> FloatArray:
        return self._block.times

    @property
    def own_names(self) -> set[str]:
        return self._block.values.keys() - set(numeric_fields(Step))

    def part(self, begin: int, end: int | None) -> Rows:
        block, rows = self._block, slice(begin, end)
        values = {name: column[rows] for name, column in block.values.items()}
        return BlockRows(Steps(block.times[rows], block.steps[rows], values), self.index[rows])

    def in_order(self) -> Rows:
        return self

    def _values(self, name: str) -> Values:
        values = self._block.values.get(name)
        return _NOTHING if values is None else (values, None)
