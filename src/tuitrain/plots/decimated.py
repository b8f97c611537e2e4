"""What of a curve is in sight: the points that suffice to draw it, kept up as the curve grows at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuitrain.analysis.decimate import IndexArray
from tuitrain.analysis.limits import LARGEST, SMALLEST, drawable
from tuitrain.plots.axes import Range
from tuitrain.runs import FloatArray

X_DOTS = 2
"""Pixels that a terminal cell is wide: the columns of a braille character."""
_SAMPLE = 4096
"""About so many values suffice for the percentiles that tell outliers."""
_REGROWN = 1.05
"""The percentiles are taken again when the part in sight has grown by this factor."""
_ROUNDING = 5e-9
"""Half a unit of the eighth decimal of a pixel."""
BROKEN = ("×", "↑", "↓")
"""The marks of nan, of inf, and of -inf or what has no logarithm."""


@dataclass(frozen=True)
class Window:
    """What a canvas shows: the x range as the axis holds it (log10 of x where that is logarithmic), and its pixels."""

    x: Range
    pixels: int
    log_x: bool = False
    log_y: bool = False

    @property
    def data(self) -> Range:
        """The x range in the units of the data."""
        return Range(10**self.x.low, 10**self.x.high) if self.log_x else self.x

    @property
    def edges(self) -> FloatArray:
        """Where each pixel but the first begins, in the units of the data, as `analysis.decimate.pixel` rounds."""
        shares = (np.arange(1, self.pixels) - 0.5 - _ROUNDING) / (self.pixels - 1)
        at = self.x.low + shares * (self.x.high - self.x.low)
        return 10**at if self.log_x else at


def scaled(values: FloatArray, log: bool) -> FloatArray:
    """Values as an axis holds them; what has no logarithm is -inf, as if it lay below every axis."""
    values = drawable(values)
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values), np.where(np.isnan(values), np.nan, -np.inf))


def _largest(values: FloatArray) -> float:
    """LARGEST, or the largest number that these can be."""
    return float(np.finfo(np.float32).max) if values.dtype == np.float32 else LARGEST


class Outline(NamedTuple):
    """A line to draw: columns in pixels, values as the y axis holds them, whether each point is joined to the next."""

    pixels: IndexArray
    values: FloatArray
    joined: NDArray[np.bool_]


class DecimatedSeries:
    """A curve in a window. `append` reads only the points added since; x never decreases, past points never change.

    Of each pixel column it keeps the first, lowest, highest and last value (M4, see `analysis.decimate`): which of
    the middle two comes first changes no pixel. broken[kind, cell]: columns with a point that cannot be drawn, by the
    kinds of `BROKEN`.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.broken: NDArray[np.bool_] = np.zeros((len(BROKEN), window.pixels // 2 + 1), dtype=bool)
        self.first = self.stop = 0
        """The points in the range are those from `first` to before `stop`."""
        self._edges = window.edges
        # For each column with points in it: its pixel, the M4 values, the gaps before its first and its last point.
        self._pixels: IndexArray = np.empty(0, dtype=np.intp)
        self._four: FloatArray = np.empty((0, 4))
        self._gaps: IndexArray = np.empty((0, 2), dtype=np.intp)
        self._total = 0
        self._end = (0.0, 0.0)
        # The newest column may still grow: its points are read again, from this one on.
        self._open = self._gaps_before_open = 0
        self._limits: tuple[float, float] | None = None
        self._counted = self._above = self._below = 0
        self._fences: tuple[float, float] | None = None
        self._fenced = 0

    def continues(self, x: FloatArray, y: FloatArray) -> bool:
        """Whether the points taken in so far are still the beginning of the curve."""
        last = self._total - 1
        return len(x) >= self._total and (last < 0 or _same(self._end, (float(x[last]), float(y[last]))))

    def append(self, x: FloatArray, y: FloatArray) -> None:
        """Take in the points after those already taken in."""
        if len(x) == self._total:
            return
        window, data = self.window, self.window.data
        if not self._total:
            self.first = int(np.searchsorted(x, data.low, "left"))
            self._open = self._counted = self.first
        self.stop = int(np.searchsorted(x, data.high, "right"))
        self._total, self._end = len(x), (float(x[-1]), float(y[-1]))
        if self.stop <= self._open:
            return
        part_x, part_y = x[self._open : self.stop], y[self._open : self.stop]
        # As `drawable` has it, at the cost of one look; what is too small becomes 0 among the four values below.
        usable: NDArray[np.bool_] = np.abs(part_y) <= _largest(part_y)
        if window.log_y:
            # Of fewer bits SMALLEST is 0.
            usable = usable & (part_y > 0) & (part_y >= SMALLEST)
        gaps: IndexArray = np.zeros(len(part_y), dtype=np.intp)
        places: IndexArray = np.arange(self._open, self.stop)
        if not usable.all():
            self._mark(part_x[~usable], part_y[~usable])
            gaps = np.cumsum(~usable, dtype=np.intp)[usable]
            part_x, part_y, places = part_x[usable], part_y[usable], places[usable]
        if not len(part_y):
            return
        columns, starts, ends = _columns(part_x, self._edges)
        self._pixels = np.concatenate((self._pixels[:-1], columns))
        extremes = np.minimum.reduceat(part_y, starts), np.maximum.reduceat(part_y, starts)
        four = np.stack((part_y[starts], *extremes, part_y[ends - 1]), axis=1)
        self._four = np.concatenate((self._four[:-1], scaled(four, window.log_y)))
        gaps += self._gaps_before_open
        self._gaps = np.concatenate((self._gaps[:-1], np.stack((gaps[starts], gaps[ends - 1]), axis=1)))
        self._open, self._gaps_before_open = int(places[starts[-1]]), int(gaps[starts[-1]])

    def _mark(self, x: FloatArray, y: FloatArray) -> None:
        columns = np.searchsorted(self._edges, x, "right") // 2
        for kind, found in enumerate((np.isnan(y), y > _largest(y), (y <= 0) | (y < SMALLEST))):
            self.broken[kind, columns[found]] = True

    def outline(self, x: FloatArray, y: FloatArray) -> Outline:
        """The line, its way in and out of sight included."""
        pixels, values = np.repeat(self._pixels, 4), self._four.ravel()
        joined = np.ones(len(pixels), dtype=bool)
        joined[3:-1:4] = self._gaps[1:, 0] == self._gaps[:-1, 1]
        joined = joined[:-1]
        for beyond, edge in ((self.first - 1, self.window.x.low), (self.stop - 1, self.window.x.high)):
            crossing = self._crossing(x, y, beyond, edge)
            if crossing is None:
                continue
            if edge == self.window.x.low:
                pixels, values = np.concatenate(([0], pixels)), np.concatenate(([crossing], values))
            else:
                last = self.window.pixels - 1
                pixels, values = np.concatenate((pixels, [last])), np.concatenate((values, [crossing]))
            if len(pixels) > 1:
                joined = np.concatenate(([True], joined) if edge == self.window.x.low else (joined, [True]))
        return Outline(pixels, values, joined)

    def _crossing(self, x: FloatArray, y: FloatArray, before: int, edge: float) -> float | None:
        """The height at which the line from a point to the next crosses an edge of the range."""
        if not 0 <= before < len(x) - 1:
            return None
        at, of = scaled(x[before : before + 2], self.window.log_x), scaled(y[before : before + 2], self.window.log_y)
        if not (np.isfinite(at).all() and np.isfinite(of).all() and at[0] <= edge < at[1]):
            return None
        return float(np.interp(edge, at, of))

    def beyond(self, y: FloatArray, low: float, high: float) -> tuple[int, int]:
        """How many finite points in sight lie above and below these limits, as the y axis holds them."""
        if self._limits != (low, high):
            self._limits, self._counted, self._above, self._below = (low, high), self.first, 0, 0
        if self.stop > self._counted:
            new = y[self._counted : self.stop]
            new = scaled(new, True) if self.window.log_y else new
            largest = _largest(new)
            self._above += int(((new > high) & (new <= largest)).sum())
            self._below += int(((new < low) & (new >= -largest)).sum())
            self._counted = self.stop
        return self._above, self._below

    def fences(self, y: FloatArray, margin: float) -> tuple[float, float] | None:
        """Between these lie all values but outliers: the 2nd and 98th percentile, and as much again beyond each.

        margin: the least room beyond each, as a share of the upper one. None without finite values in sight.
        """
        size = self.stop - self.first
        if self._fences is None or size > self._fenced * _REGROWN:
            # A power of two, so that the sample changes seldom.
            stride = 1 << max(size // _SAMPLE, 1).bit_length() - 1
            sample = scaled(y[self.first : self.stop : stride], self.window.log_y)
            self._fences, self._fenced = fences(sample, margin), size
        return self._fences


def fences(values: FloatArray, margin: float) -> tuple[float, float] | None:
    """The same for an array of values."""
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered):
        return None
    low, high = (_at_share(ordered, share) for share in (0.02, 0.98))
    room = max(high - low, margin * abs(high))
    return low - room, high + room


def _at_share(ordered: FloatArray, share: float) -> float:
    """The percentile of sorted values, linear between two of them; numpy's own takes a dozen times as long."""
    place = share * (len(ordered) - 1)
    before = int(place)
    after = min(before + 1, len(ordered) - 1)
    return float(ordered[before] + (place - before) * (ordered[after] - ordered[before]))


def _columns(x: FloatArray, edges: FloatArray) -> tuple[IndexArray, IndexArray, IndexArray]:
    """The pixel columns that have points, and of each the first point and the one past its last."""
    inner = np.searchsorted(x, edges)
    starts, ends = np.concatenate(([0], inner)), np.concatenate((inner, [len(x)]))
    columns = np.flatnonzero(ends > starts)
    return columns, starts[columns], ends[columns]


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))
