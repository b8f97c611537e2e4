"""Rows of another tool, and steps of ours, that come many at once: as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuitrain.events import AnyRecord, Step
from tuitrain.events.own_metrics import names_declared
from tuitrain.readers.model import Row, Rows

FloatArray = NDArray[np.float64]
FEWEST = 64
"""Rows from which on columns are quicker."""
LARGEST_EXACT = 2**53
"""Below it every whole number is a float."""
WHOLE = frozenset({"tokens", "grad_nonfinite", "slowest_rank"})
"""The fields of a step, besides its number, that are whole numbers."""


@dataclass(frozen=True)
class Steps:
    """At least two steps that count up and have the same fields and metrics of one's own: a column for each of both.

    steps and the fields in WHOLE hold whole numbers that a `step` record can have. times are in Unix seconds. No
    column is written to.
    """

    times: FloatArray
    steps: FloatArray
    values: dict[str, FloatArray]

    @cached_property
    def ends(self) -> list[Step]:
        """The first two steps and the newest one."""
        rows = [0, 1, -1]
        values = {key: column[rows] for key, column in self.values.items()}
        return Steps(self.times[rows], self.steps[rows], values).records()

    def records(self) -> list[Step]:
        """The same one by one."""
        fields = {key: values for key, values in self.values.items() if names_declared([key])}
        own = {key: values for key, values in self.values.items() if key not in fields}
        count = len(self.steps)
        records = []
        for time, step, of_step, metrics in zip(
            self.times.tolist(), self.steps.tolist(), _tables(fields, count), _tables(own, count), strict=True
        ):
            of_step |= {key: int(of_step[key]) for key in WHOLE & of_step.keys()}
            if metrics:
                of_step["metrics"] = metrics
            records.append(Step(time=time, step=int(step), **of_step))
        return records


def one_by_one(records: Iterable[AnyRecord | Steps]) -> Iterator[AnyRecord]:
    """The records, those of steps that come many at once one after the other."""
    for record in records:
        if isinstance(record, Steps):
            yield from record.records()
        else:
            yield record


def rows_of(block: Rows) -> list[Row]:
    """The rows of a block one by one."""
    count = len(block.x)
    times = [None] * count if block.time is None else block.time.tolist()
    steps = [None] * count if block.step is None else map(int, block.step.tolist())
    return list(map(Row, block.x.tolist(), _tables(block.values, count), times, steps))


def as_block(rows: Sequence[Row]) -> Rows | None:
    """Rows that have the same names in the same order as a block; None where they can't be or need not be one."""
    if len(rows) < FEWEST:
        return None
    columns = zip(*(row.values.values() for row in rows), strict=True)
    times, steps = [row.time for row in rows], [row.step for row in rows]
    return block_of([row.x for row in rows], dict(zip(rows[0].values, columns, strict=True)), times, steps)


def block_of(
    x: Sequence[float],
    values: Mapping[str, Sequence[float | None]],
    time: Sequence[float | None],
    step: Sequence[int | None],
) -> Rows | None:
    """The block with these columns; None where they are short or lack a value, or where a step is no exact float."""
    if not values or len(x) < FEWEST:
        return None
    try:
        times, steps = (None if all(each is None for each in column) else _column(column) for column in (time, step))
        block = Rows(_column(x), {name: _column(column) for name, column in values.items()}, times, steps)
    except TypeError:
        return None
    return block if steps is None or steps.max() < LARGEST_EXACT else None


def _column(numbers: Sequence[Any]) -> FloatArray:
    """The numbers as an array, ten times quicker than through numpy. Raises TypeError where there is another value."""
    return np.frombuffer(array("d", numbers))


def _tables(columns: Mapping[str, FloatArray], count: int) -> list[dict[str, Any]]:
    """The values of each row by their names."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows] if columns else [{} for _ in range(count)]
