"""Columns of numbers by the name of their metric: a table whose rows are records, as growable numpy arrays."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter, methodcaller
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuitrain.events import Record, Step
from tuitrain.events.own_metrics import own_metrics

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
RowArray = NDArray[np.intp]
_AT_ONCE = 300
"""So many records are turned into columns at once: of more the first are no longer in the processor's cache."""
_values = methodcaller("values")
_Scalar = TypeVar("_Scalar", bound=np.generic)


class Columns:
    """A table of float64 columns whose rows are records in the order of their steps.

    A column exists from its first value on, under any name, and takes memory only for the values it has. A value that
    a record lacks is absent, which is not the same as a measured `nan`: `series` leaves out absent values and keeps
    `nan` and `inf`.
    """

    def __init__(self) -> None:
        self._length = 0
        self._columns: dict[str, _Column] = {}
        self.cuts: list[int] = []
        """Lengths to which the table was cut, in their order: while there is no further one it only grows."""

    def __len__(self) -> int:
        return self._length

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the columns that have a value: the fields of a `step` record in their order, then others."""
        fields = numeric_fields(Step)
        return (*(key for key in fields if key in self._columns), *sorted(self._columns.keys() - set(fields)))

    def __getitem__(self, key: str) -> FloatArray:
        """The whole column, absent values as nan. It must not be written to or kept: it may be a view."""
        column = self._columns.get(key)
        if column is None:
            return np.full(self._length, np.nan)
        if column.count == self._length:
            return column.values
        dense = np.full(self._length, np.nan)
        dense[column.rows] = column.values
        return dense

    def present(self, key: str) -> BoolArray:
        """Which rows have a value for this key, a measured nan included."""
        present = np.zeros(self._length, dtype=bool)
        if key in self._columns:
            present[self._columns[key].rows] = True
        return present

    def has(self, key: str) -> bool:
        """Whether any row has a value for this key."""
        return key in self._columns

    def count(self, key: str) -> int:
        """How many rows have a value for this key."""
        return self._columns[key].count if key in self._columns else 0

    def points(self, key: str) -> tuple[RowArray, FloatArray]:
        """The rows that have a value for this key, and the values. They must not be written to or kept."""
        column = self._columns.get(key)
        return (np.empty(0, np.intp), np.empty(0)) if column is None else (column.rows, column.values)

    def series(self, key: str, x: str = "step") -> tuple[FloatArray, FloatArray]:
        """The points (x, y) of rows that have both values."""
        rows, values = self.points(key)
        if x not in self._columns:
            return np.empty(0), np.empty(0)
        if self._columns[x].count < self._length:
            both = self.present(x)[rows]
            rows, values = rows[both], values[both]
        return self[x][rows], values

    def last(self, key: str) -> float | None:
        """The newest value of a column, or None when no row has one."""
        column = self._columns.get(key)
        return None if column is None else float(column.values[-1])

    def extend(self, records: Sequence[Record]) -> None:
        """Append one row for each of these records of one type: its numeric fields."""
        kind = type(records[0]) if records else Record
        columns: list[list[Any]] = [[] for _ in kind.__struct_fields__]
        for begin in range(0, len(records), _AT_ONCE):
            rows = map(msgspec.structs.astuple, records[begin : begin + _AT_ONCE])
            for column, part in zip(columns, zip(*rows, strict=True), strict=True):
                column += part
        for key, raw in zip(kind.__struct_fields__, columns, strict=True):
            if raw and key in numeric_fields(kind):
                values, present = numbers(raw)
                if len(values):
                    self._append(key, values, self._length if present is None else self._length + present)
        # Most logs have no metrics of one's own, which takes less to see than to turn none into columns.
        if "metrics" in kind.__struct_fields__ and any(map(attrgetter("metrics"), records)):
            self._extend_own(records)
        self._length += len(records)

    def _extend_own(self, records: Sequence[Any]) -> None:
        """Append the values of the metrics of one's own, for the rows from the end of the table on."""
        row = self._length
        # Records with the same names in the same order are turned at once: four times quicker.
        for names, group in groupby(map(own_metrics, records), tuple):
            rows = list(group)
            for name, raw in zip(names, zip(*map(_values, rows), strict=True), strict=True):
                values, present = numbers(raw)
                if len(values):
                    self._append(name, values, row if present is None else row + present)
            row += len(rows)

    def extend_at_once(self, columns: Mapping[str, FloatArray], count: int) -> None:
        """Append so many rows that have a value in each of these columns."""
        for key, values in columns.items():
            self._append(key, values, self._length)
        self._length += count

    def append_row(self, values: Mapping[str, float | None]) -> None:
        """Append one row; a value that is None is absent."""
        for key, value in values.items():
            if value is not None:
                self._append(key, np.array([value], dtype=np.float64), self._length)
        self._length += 1

    def put(self, key: str, values: FloatArray, rows: RowArray, length: int) -> None:
        """Make the column of a table that is to have this length."""
        if len(values):
            self._append(key, values, rows)
        self._length = length

    def append_columns(self, other: Columns) -> None:
        """Append the rows of another table."""
        for key in other.keys:
            rows, values = other.points(key)
            self._append(key, values, self._length + rows)
        self._length += len(other)

    def cut(self, row: int) -> Columns:
        """Remove the rows from `row` on and return them as a table of their own."""
        tail = Columns()
        tail._length = max(0, self._length - row)
        for key, column in list(self._columns.items()):
            rows, values = column.cut(row)
            if len(values):
                tail._append(key, values, rows - row)
            if not column.count:
                del self._columns[key]
        self._length = min(row, self._length)
        self.cuts.append(row)
        return tail

    def _append(self, key: str, values: FloatArray, rows: RowArray | int) -> None:
        """Append values to a column, for these rows or for consecutive ones from a row on."""
        if key not in self._columns:
            self._columns[key] = _Column(rows if isinstance(rows, int) else int(rows[0]))
        self._columns[key].extend(values, rows)


class _Column:
    """The values of one metric and the rows they belong to, which rise."""

    def __init__(self, first: int) -> None:
        self.count = 0
        self._first = first
        self._values = np.empty(0)
        self._rows: RowArray | None = None
        """None as long as the rows are consecutive."""

    @property
    def values(self) -> FloatArray:
        return self._values[: self.count]

    @property
    def rows(self) -> RowArray:
        if self._rows is None:
            return np.arange(self._first, self._first + self.count)
        return self._rows[: self.count]

    def extend(self, values: FloatArray, rows: RowArray | int) -> None:
        """Append values for these rows or for consecutive ones from a row on."""
        end = self.count + len(values)
        if not isinstance(rows, int) and int(rows[-1]) - int(rows[0]) + 1 == len(rows):
            rows = int(rows[0])
        if self._rows is None and not (isinstance(rows, int) and rows == self._first + self.count):
            self._rows = self.rows
        if self._rows is not None:
            self._rows = _with_room(self._rows, self.count, end)
            self._rows[self.count : end] = np.arange(rows, rows + len(values)) if isinstance(rows, int) else rows
        self._values = _with_room(self._values, self.count, end)
        self._values[self.count : end] = values
        self.count = end

    def cut(self, row: int) -> tuple[RowArray, FloatArray]:
        """Remove what belongs to the rows from `row` on and return it."""
        rows = self.rows
        at = int(np.searchsorted(rows, row))
        removed = rows[at:].copy(), self.values[at:].copy()
        self.count = at
        return removed


def _with_room(values: NDArray[_Scalar], count: int, needed: int) -> NDArray[_Scalar]:
    """The array, or a larger one with the same first `count` values, with room for `needed` values."""
    if needed <= len(values):
        return values
    larger = np.empty(max(needed, 2 * len(values), 16), dtype=values.dtype)
    larger[:count] = values[:count]
    return larger


def numbers(raw: Sequence[Any]) -> tuple[FloatArray, RowArray | None]:
    """The values that are present, and their indices; None is all of them."""
    try:
        # Of floats only: ten times quicker than through numpy.
        return np.frombuffer(array("d", raw)), None
    except TypeError:
        if raw.count(raw[0]) == len(raw):
            return np.empty(0), None
        present = [index for index, value in enumerate(raw) if isinstance(value, float | int)]
        return np.array([raw[index] for index in present], dtype=np.float64), np.array(present, dtype=np.intp)


@cache
def numeric_fields(kind: type[Record]) -> tuple[str, ...]:
    """The fields of a record type that hold one number."""
    hints = {field.name: str(field.type) for field in msgspec.structs.fields(kind)}
    return tuple(
        name
        for name, hint in hints.items()
        if ("float" in hint or "int" in hint) and "list" not in hint and "dict" not in hint
    )
