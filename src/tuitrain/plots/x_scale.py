"""The horizontal axis of one canvas: where values lie, which ticks it has, and how its values are written."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from tuitrain.analysis.decimate import IndexArray, pixel
from tuitrain.plots import axes as ax
from tuitrain.plots.axes import Range, XAxis
from tuitrain.plots.decimated import X_DOTS
from tuitrain.runs import FloatArray

_TICK_CELLS = 9
_DAY = 86400


@dataclass(frozen=True)
class XScale:
    """An axis of `columns` cells. range: as the axis holds it, log10 of the values where `log`."""

    name: XAxis
    range: Range
    columns: int
    log: bool = False

    @property
    def pixels(self) -> int:
        """Braille dots along the axis."""
        return X_DOTS * self.columns

    @property
    def low(self) -> float:
        """The value at the left end."""
        return self._value(self.range.low)

    @property
    def high(self) -> float:
        """The value at the right end."""
        return self._value(self.range.high)

    def _value(self, position: float) -> float:
        return 10**position if self.log else position

    def position(self, value: float) -> float:
        """A value as the axis holds it."""
        return math.log10(value) if self.log else value

    def columns_of(self, values: FloatArray) -> IndexArray:
        """The cell of each value; -1 where it is out of sight."""
        inside = (values >= self.low) & (values <= self.high)
        placed = np.clip(values, self.low, self.high)
        placed = np.clip(np.log10(placed), self.range.low, self.range.high) if self.log else placed
        return np.where(inside, pixel(placed, self.range.low, self.range.high, self.pixels) // X_DOTS, -1)

    def column(self, value: float) -> int:
        """The cell of one value; -1 where it is out of sight."""
        if not self.low <= value <= self.high:
            return -1
        share = (self.position(value) - self.range.low) / (self.range.high - self.range.low)
        return int(round(0.5 + (self.pixels - 1) * min(max(share, 0.0), 1.0), 8)) // X_DOTS

    def value_at(self, column: float) -> float:
        """The value in the middle of a cell."""
        share = (X_DOTS * column + 0.5) / (self.pixels - 1)
        return self._value(self.range.low + min(max(share, 0.0), 1.0) * (self.range.high - self.range.low))

    def ticks(self) -> list[tuple[int, str]]:
        """Cells with their labels, from left to right."""
        count = max(2, self.columns // _TICK_CELLS)
        if self.log:
            positions = ax.log_ticks(self.range, count)
            found = list(zip((10**p for p in positions), ax.log_labels(positions, self._short), strict=True))
        elif self.name == "clock":
            found = _clock_ticks(self.range, count)
        else:
            step = self._step(count)
            found = [(value, self._short(value, step)) for value in ax.ticks(self.range, 1, step)[0]]
        return [(column, text) for value, text in found if (column := self.column(value)) >= 0]

    def _step(self, count: int) -> float:
        span = self.range.high - self.range.low
        if self.name == "time":
            return ax.time_step(span, count)
        step = ax.round_step(span, count)
        if self.name == "flops":
            return step
        # There is no step 2.5.
        return math.ceil(step) if step < 1 or step == 2.5 else step

    def _short(self, value: float, step: float) -> str:
        return ax.time_label(value, step) if self.name == "time" else ax.label(value, step)

    def exact(self, value: float) -> str:
        """A value in full: `12,340`, `1h 04m 12s`, `14:03:22`, `3.214e18`."""
        match self.name:
            case "clock":
                pattern = "%H:%M:%S" if self.high - self.low < _DAY else "%-d %b %H:%M:%S"
                return time.strftime(pattern, time.localtime(value))
            case "time":
                return _duration(value)
            case "flops":
                return f"{value:.4g}"
            case _:
                return f"{value:,.0f}"

    def in_sight(self) -> str:
        """The range in short: `1.2k–3.4k`."""
        low, high = self.low, self.high
        if self.name == "clock":
            return f"{self.exact(low)}–{self.exact(high)}"
        step = 10.0 ** math.floor(math.log10(max(high - low, 1e-300)) - 1)
        return f"{self._short(low, step)}–{self._short(high, step)}"


def _clock_ticks(axis: Range, count: int) -> list[tuple[float, str]]:
    """Round local times; midnights carry the date."""
    step = ax.time_step(axis.high - axis.low, count)
    found = []
    for index in range(math.floor(axis.low / step) - 1, math.ceil(axis.high / step) + 2):
        # Round in local time: 6 h are 00:00, 06:00 … here and not in Greenwich, also after the clocks were changed.
        at = index * step - _utc_offset(index * step)
        at = index * step - _utc_offset(at) if step >= 60 else index * step
        if axis.low <= at <= axis.high:
            local = time.localtime(at)
            midnight = not (local.tm_hour or local.tm_min or local.tm_sec)
            pattern = "%-d %b" if midnight or step >= _DAY else "%H:%M" if step >= 60 else "%H:%M:%S"
            found.append((at, time.strftime(pattern, local)))
    return found


def _utc_offset(at: float) -> float:
    return float(time.localtime(at).tm_gmtoff)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < _DAY:
        return f"{whole // 3600}h {whole // 60 % 60:02d}m {whole % 60:02d}s"
    return f"{whole // _DAY}d {whole // 3600 % 24:02d}h {whole // 60 % 60:02d}m"
