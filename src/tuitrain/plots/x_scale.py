"""The horizontal axis of a canvas: which cell a value lies in, and which value a cell shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuitrain.plots import ticks
from tuitrain.plots.axes import PlotAxis, Range
from tuitrain.runs import FloatArray

X_DOTS = 2
"""Pixels that a terminal cell is wide: the columns of a braille character."""
_TICK_CELLS = 9
_ROUNDING = 5e-9
"""Half a unit of the eighth decimal of a pixel."""


IndexArray = NDArray[np.intp]


def pixel(values: FloatArray, low: float, high: float, pixels: int) -> IndexArray:
    """The pixel of each value on an axis from low (middle of pixel 0) to high (middle of the last pixel)."""
    position = 0.5 + (pixels - 1) * (values - low) / (high - low)
    return np.floor(np.round(position, 8)).astype(np.intp)


@dataclass(frozen=True)
class XScale:
    """An axis of `columns` cells. range: as the axis holds it, log10 of the values where `log`."""

    name: PlotAxis
    range: Range
    columns: int
    log: bool = False

    @property
    def pixels(self) -> int:
        """Braille dots along the axis."""
        return X_DOTS * self.columns

    @property
    def values(self) -> Range:
        """The range in the unit of the axis."""
        return self.range.values(self.log)

    @property
    def low(self) -> float:
        """The value at the left end."""
        return self.values.low

    @property
    def high(self) -> float:
        """The value at the right end."""
        return self.values.high

    @property
    def edges(self) -> FloatArray:
        """Where each pixel but the first begins, in the unit of the axis, as `pixel` rounds."""
        shares = (np.arange(1, self.pixels) - 0.5 - _ROUNDING) / (self.pixels - 1)
        at = self.range.low + shares * self.range.span
        return 10**at if self.log else at

    def position(self, value: float) -> float:
        """A value as the axis holds it."""
        return math.log10(value) if self.log else value

    def columns_of(self, values: FloatArray) -> IndexArray:
        """The cell of each value; -1 outside the range."""
        ends = self.values
        clipped = np.clip(values, ends.low, ends.high)
        if self.log:
            clipped = np.clip(np.log10(clipped), self.range.low, self.range.high)
        columns = pixel(clipped, self.range.low, self.range.high, self.pixels) // X_DOTS
        return np.where((values >= ends.low) & (values <= ends.high), columns, -1)

    def column(self, value: float) -> int:
        """The cell of one value; -1 outside the range."""
        return int(self.columns_of(np.array([value]))[0])

    def value_at(self, column: float) -> float:
        """The value in the middle of a cell."""
        share = (X_DOTS * column + 0.5) / (self.pixels - 1)
        at = self.range.low + min(max(share, 0.0), 1.0) * self.range.span
        return 10**at if self.log else at

    def ticks(self) -> list[tuple[int, str]]:
        """Cells with their labels, from left to right."""
        every = ticks.x_ticks(self.name, self.range, max(2, self.columns // _TICK_CELLS), self.log)
        columns = ((self.column(10**at if self.log else at), text) for at, text in every)
        return [(column, text) for column, text in columns if column >= 0]

    def exact(self, value: float) -> str:
        """A value in full: `12,340`, `1h 04m 12s`, `14:03:22`, `3.214e18`."""
        return ticks.x_text(self.name, value, self.values.span)
