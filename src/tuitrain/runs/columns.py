"""Columns of numbers: records by step, as growable numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuitrain.events import Record

FloatArray = NDArray[np.float64]
_Scalar = TypeVar("_Scalar", bound=np.generic)


class Columns:
    """A table of float64 columns whose rows are records in the order of their steps.

    A value that a record lacks is absent, which is not the same as a measured `nan`: `series` leaves out absent
    values and keeps `nan` and `inf`.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._length = 0
        self._values = {key: np.empty(0) for key in self.keys}
        self._present = {key: np.empty(0, dtype=bool) for key in self.keys}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, key: str) -> FloatArray:
        """The whole column, absent values as nan. A view: it must not be written to or kept."""
        return self._values[key][: self._length]

    def present(self, key: str) -> NDArray[np.bool_]:
        """Which rows have a value for this key, a measured nan included. A view: it must not be written to or kept."""
        return self._present[key][: self._length]

    def has(self, key: str) -> bool:
        """Whether any row has a value for this key."""
        return key in self._present and bool(self._present[key][: self._length].any())

    def series(self, key: str, x: str = "step") -> tuple[FloatArray, FloatArray]:
        """The points (x, y) of rows that have both values."""
        if key not in self._values or x not in self._values:
            return np.empty(0), np.empty(0)
        both = self._present[key][: self._length] & self._present[x][: self._length]
        if both.all():
            return self[x], self[key]
        return self[x][both], self[key][both]

    def last(self, key: str) -> float | None:
        """The newest value of a column, or None when no row has one."""
        if key not in self._present:
            return None
        rows = np.flatnonzero(self._present[key][: self._length])
        return float(self._values[key][rows[-1]]) if len(rows) else None

    def extend(self, records: Sequence[Record]) -> None:
        """Append one row for each record."""
        start, end = self._length, self._length + len(records)
        self._grow(end)
        for key in self.keys:
            raw = [getattr(record, key, None) for record in records]
            column = np.array([None if value is msgspec.UNSET else value for value in raw], dtype=np.float64)
            self._values[key][start:end] = column
            present = np.ones(len(raw), dtype=bool)
            if np.isnan(column).any():
                present = np.array([isinstance(value, float | int) for value in raw])
            self._present[key][start:end] = present
        self._length = end

    def cut(self, row: int) -> Columns:
        """Remove the rows from `row` on and return them as a table of their own."""
        tail = Columns(self.keys)
        tail._length = self._length - row
        for key in self.keys:
            tail._values[key] = self._values[key][row : self._length].copy()
            tail._present[key] = self._present[key][row : self._length].copy()
        self._length = row
        return tail

    def where(self, rows: NDArray[np.bool_]) -> Columns:
        """A table of its own with only the rows that are true."""
        chosen = Columns(self.keys)
        chosen._length = int(rows.sum())
        for key in self.keys:
            chosen._values[key] = self[key][rows]
            chosen._present[key] = self.present(key)[rows]
        return chosen

    def append_columns(self, other: Columns) -> None:
        """Append the rows of another table with the same keys."""
        start, end = self._length, self._length + len(other)
        self._grow(end)
        for key in self.keys:
            self._values[key][start:end] = other._values[key][: len(other)]
            self._present[key][start:end] = other._present[key][: len(other)]
        self._length = end

    def _grow(self, length: int) -> None:
        capacity = len(next(iter(self._values.values()), ()))
        if length <= capacity:
            return
        capacity = max(length, 2 * capacity, 256)
        for key in self.keys:
            self._values[key] = _enlarged(self._values[key], self._length, capacity)
            self._present[key] = _enlarged(self._present[key], self._length, capacity)


def _enlarged(array: NDArray[_Scalar], length: int, capacity: int) -> NDArray[_Scalar]:
    larger = np.zeros(capacity, dtype=array.dtype)
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
