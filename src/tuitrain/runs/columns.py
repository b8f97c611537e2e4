"""Columns of numbers: records by step, as growable numpy arrays."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuitrain.events import Record

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
_Scalar = TypeVar("_Scalar", bound=np.generic)


class Columns:
    """A table of float64 columns whose rows are records in the order of their steps.

    A value that a record lacks is absent, which is not the same as a measured `nan`: `series` leaves out absent
    values and keeps `nan` and `inf`. A column takes memory from its first value on.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._length = 0
        self._capacity = 0
        self._values: dict[str, FloatArray] = {}
        self._present: dict[str, BoolArray] = {}
        self._newest: dict[str, float | None] = {}
        """The newest value of each column, as far as it was asked for or came last."""
        self.cuts: list[int] = []
        """Lengths to which the table was cut, in their order: while there is no further one it only grows."""

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, key: str) -> FloatArray:
        """The whole column, absent values as nan. A view: it must not be written to or kept."""
        if key in self._values:
            return self._values[key][: self._length]
        self._known(key)
        return np.full(self._length, np.nan)

    def present(self, key: str) -> BoolArray:
        """Which rows have a value for this key, a measured nan included. A view: it must not be written to or kept."""
        if key in self._present:
            return self._present[key][: self._length]
        self._known(key)
        return np.zeros(self._length, dtype=bool)

    def has(self, key: str) -> bool:
        """Whether any row has a value for this key."""
        return self.last(key) is not None

    def series(self, key: str, x: str = "step") -> tuple[FloatArray, FloatArray]:
        """The points (x, y) of rows that have both values."""
        if key not in self._values or x not in self._values:
            return np.empty(0), np.empty(0)
        both = self.present(key) & self.present(x)
        if both.all():
            return self[x], self[key]
        return self[x][both], self[key][both]

    def last(self, key: str) -> float | None:
        """The newest value of a column, or None when no row has one."""
        if key not in self._newest:
            rows = np.flatnonzero(self._present[key][: self._length]) if key in self._values else np.empty(0, np.intp)
            self._newest[key] = float(self._values[key][rows[-1]]) if len(rows) else None
        return self._newest[key]

    def extend(self, records: Sequence[Record]) -> None:
        """Append one row for each record."""
        start, end = self._length, self._length + len(records)
        self._grow(end)
        for key in self.keys:
            found = _column([getattr(records[0], key, None)] if len(records) == 1 else _values(records, key))
            if found is not None:
                self._set(key, start, end, *found)
            elif key in self._values:
                self._leave_out(key, start, end)
        self._length = end

    def append_row(self, **values: float | None) -> None:
        """Append one row; a value that is None is absent."""
        start = self._length
        self._grow(start + 1)
        for key in self.keys:
            value = values.get(key)
            if value is not None:
                self._set(key, start, start + 1, np.array([value], dtype=np.float64), np.ones(1, dtype=bool))
            elif key in self._values:
                self._leave_out(key, start, start + 1)
        self._length = start + 1

    def cut(self, row: int) -> Columns:
        """Remove the rows from `row` on and return them as a table of their own."""
        tail = self._rows(slice(row, self._length), max(0, self._length - row))
        self._length = min(row, self._length)
        self.cuts.append(row)
        self._newest.clear()
        return tail

    def where(self, rows: BoolArray) -> Columns:
        """A table of its own with only the rows that are true."""
        return self._rows(rows, int(rows.sum()))

    def _rows(self, rows: BoolArray | slice, count: int) -> Columns:
        """A table of its own with these rows, so many."""
        chosen = Columns(self.keys)
        chosen._length = chosen._capacity = count
        for key in self._values:
            chosen._values[key] = self[key][rows].copy()
            chosen._present[key] = self.present(key)[rows].copy()
        return chosen

    def append_columns(self, other: Columns) -> None:
        """Append the rows of another table with the same keys."""
        start, end = self._length, self._length + len(other)
        self._grow(end)
        for key in self.keys:
            if key in other._values:
                self._set(key, start, end, other[key], other.present(key))
            elif key in self._values:
                self._leave_out(key, start, end)
        self._length = end

    def _known(self, key: str) -> None:
        if key not in self.keys:
            raise KeyError(key)

    def _set(self, key: str, start: int, end: int, values: FloatArray, present: BoolArray) -> None:
        if key not in self._values:
            self._values[key] = np.empty(self._capacity)
            self._present[key] = np.empty(self._capacity, dtype=bool)
            self._leave_out(key, 0, start)
        self._values[key][start:end] = values
        self._present[key][start:end] = present
        rows = [-1] if present[-1:].all() and len(present) else np.flatnonzero(present)
        if len(rows):
            self._newest[key] = float(values[rows[-1]])

    def _leave_out(self, key: str, start: int, end: int) -> None:
        self._values[key][start:end] = np.nan
        self._present[key][start:end] = False

    def _grow(self, length: int) -> None:
        if length <= self._capacity:
            return
        self._capacity = max(length, 2 * self._capacity, 256)
        for key in self._values:
            self._values[key] = _enlarged(self._values[key], self._length, self._capacity)
            self._present[key] = _enlarged(self._present[key], self._length, self._capacity)


def _values(records: Sequence[Record], key: str) -> list[Any]:
    """A field of every record."""
    try:
        return list(map(attrgetter(key), records))
    except AttributeError:
        return [getattr(record, key, None) for record in records]


def _column(raw: list[Any]) -> tuple[FloatArray, BoolArray] | None:
    """Values and which of them are there; None when none is."""
    if not raw:
        return None
    first = raw[0]
    if (first is None or first is msgspec.UNSET) and raw.count(first) == len(raw):
        return None
    try:
        # Of floats only: ten times quicker than through numpy.
        return np.frombuffer(array("d", raw)), np.ones(len(raw), dtype=bool)
    except TypeError:
        present = np.array([isinstance(value, float | int) for value in raw])
        values = [value if there else None for value, there in zip(raw, present.tolist(), strict=True)]
        return (np.array(values, dtype=np.float64), present) if present.any() else None


def _enlarged(array: NDArray[_Scalar], length: int, capacity: int) -> NDArray[_Scalar]:
    larger = np.empty(capacity, dtype=array.dtype)
    larger[:length] = array[:length]
    return larger


def numeric_fields(kind: type[Record], *, leave_out: Iterable[str] = ()) -> tuple[str, ...]:
    """The fields of a record type that hold one number."""
    skipped = set(leave_out)
    hints = {field.name: str(field.type) for field in msgspec.structs.fields(kind)}
    return tuple(
        name
        for name, hint in hints.items()
        if name not in skipped and ("float" in hint or "int" in hint) and "list" not in hint and "dict" not in hint
    )
