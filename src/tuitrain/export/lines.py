"""Long series as short ones that draw the same line, and limits that a few wild points do not spoil."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuitrain.analysis.decimate import m4, pixel
from tuitrain.analysis.smoothing import smooth
from tuitrain.runs import FloatArray

PIXEL_COLUMNS = 2000
"""More columns than a panel has at any usual resolution, so that decimation cannot be seen."""


def thin(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points that draw the same line, M4 per pixel column; a gap (nan, inf) stays a gap, as one nan.

    x must not decrease; points without an x are left out.
    """
    known = np.isfinite(x)
    x, y = x[known], y[known]
    finite = np.isfinite(y)
    if not finite.any():
        return x[:0], y[:0]
    keep = np.flatnonzero(finite)
    span = (float(x[keep[0]]), float(x[keep[-1]]))
    if len(keep) > 4 * PIXEL_COLUMNS and span[1] > span[0]:
        keep = keep[m4(pixel(x[keep], *span, PIXEL_COLUMNS), y[keep])]
    gaps = np.flatnonzero(~finite)
    if len(gaps):
        # One of each row of missing points between two that are kept is enough to break the line there.
        gaps = gaps[np.unique(np.searchsorted(keep, gaps), return_index=True)[1]]
    order = np.sort(np.concatenate((keep, gaps)))
    return x[order], np.where(finite[order], y[order], np.nan)


def smoothing_window(points: int) -> int:
    """Over how many points to smooth a curve of so many: 1 %, at most 1,000; 1 leaves it as it is."""
    return min(max(points // 100, 1 if points < 20 else 3), 1000)


def smoothed(values: FloatArray) -> FloatArray:
    """An exponential moving average run forwards and then backwards, so that the curve does not lag behind its points.

    nan and inf stay gaps.
    """
    weight = 1 - 1 / smoothing_window(int(np.isfinite(values).sum()))
    forwards = smooth(values, weight)
    backwards: FloatArray = smooth(forwards[::-1], weight)[::-1]
    return backwards


@dataclass(frozen=True)
class Limits:
    """The y range of a panel, and how many points it leaves out above and below."""

    low: float
    high: float
    above: int = 0
    below: int = 0

    @property
    def note(self) -> str:
        """`12 points above`, or nothing when every point is shown."""
        parts = [f"{n:,} {'point' if n == 1 else 'points'} {where}" for n, where in self._hidden() if n]
        return ", ".join(parts)

    def _hidden(self) -> tuple[tuple[int, str], ...]:
        return (self.above, "above"), (self.below, "below")


def loss_limits(*series: FloatArray) -> Limits | None:
    """A range for falling curves: the high start is cut off if it would take more than twice the room of the rest.

    None without a finite value.
    """
    values = _finite(*series)
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    rest = float(np.quantile(values, 0.95))
    top = low + 2.0 * (rest - low)
    if len(values) < 20 or rest <= low or high <= low + 3.0 * (rest - low):
        top = high
    # A constant series needs room that survives the rounding of its own size, and that of exp beside it.
    pad = 0.06 * (top - low) or max(0.05 * abs(high), 1e-6)
    shown = top + (pad if top == high else 0.0)
    return Limits(low - pad, shown, above=int((values > shown).sum()))


def level_limits(*series: FloatArray) -> Limits | None:
    """A range for curves that hold a level: 98 % of the points and at least ±10 % of the median, so noise stays small.

    None without a finite value.
    """
    values = _finite(*series)
    if not len(values):
        return None
    middle = float(np.median(values))
    low, high = (float(edge) for edge in np.quantile(values, (0.01, 0.99)))
    low, high = min(low, middle - 0.1 * abs(middle)), max(high, middle + 0.1 * abs(middle))
    pad = 0.08 * (high - low) or 1.0
    low, high = low - pad, high + pad
    if float(values.min()) >= 0:
        low = max(low, 0.0)
    return Limits(low, high, above=int((values > high).sum()), below=int((values < low).sum()))


def _finite(*series: FloatArray) -> FloatArray:
    values = np.concatenate([np.asarray(part, dtype=np.float64) for part in series])
    finite: FloatArray = values[np.isfinite(values)]
    return finite
