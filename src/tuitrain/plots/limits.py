"""The ranges of a chart's axes: one rule for outliers and limits that screens, files and figures share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tuitrain.analysis.limits import LARGEST, SMALLEST, drawable
from tuitrain.plots.axes import PlotAxis, Range
from tuitrain.plots.model import SUPERSEDED, ChartOptions, Curve, Plot
from tuitrain.plots.ticks import round_step, time_step
from tuitrain.runs import FloatArray

SMALLEST_SHARE = 1e-9
"""The smallest span of a range, as a share of its largest value: beyond it the numbers have no more digits."""
_MIN_SPAN, _MIN_SPAN_ZOOMED = 0.15, 0.01
"""Smallest height of the y range, as a share of the largest value."""
_KEPT_SHARE = 0.4
"""A y range is kept while the data fill at least this share of it."""
_SAMPLE = 4096
"""About so many values suffice for the percentiles that define outliers."""


@dataclass(frozen=True)
class Limits:
    """The ranges of both axes, as the axes hold them, and how many recorded points lie above and below the y range.

    log_x: whether the x axis is logarithmic, as asked for and where there are positive values.
    """

    x: Range
    y: Range
    above: int = 0
    below: int = 0
    log_x: bool = False

    @property
    def outliers(self) -> str:
        """How many points lie beyond the y range, as `2 above, 1 below`; empty if none does."""
        counts = ((self.above, "above"), (self.below, "below"))
        return ", ".join(f"{count:,} {side}" for count, side in counts if count)


def limits(plot: Plot, options: ChartOptions | None = None, kept: Limits | None = None) -> Limits:
    """The limits of a plot that has data, viewed with these options.

    kept: the limits before the plot grew, with the same options: they stay as far as the data allow, so that the axes
    do not move.
    """
    options = options or ChartOptions()
    log_x = has_log_x(plot, options)
    x = x_range(plot, options, kept.x if kept else None)
    values = x.values(log_x)
    shown = _shown(plot, values)
    at_edges = [height for line in plot.lines for height in crossings(line, x, log_x, plot.log) if height is not None]
    heights = [*(end for each in shown for end in (each.low, each.high)), *at_edges]
    if not heights:
        return Limits(x, Range(0, 1), log_x=log_x)
    bottom, top = low, high = min(heights), max(heights)
    if plot.clip and shown:
        fences = _common_fences(plot, shown, values)
        inner = [height for height in at_edges if fences.low <= height <= fences.high]
        inner += [end for each in shown for end in each.within(fences, plot.log)]
        low, high = min(inner), max(inner)
    y = _y_range(plot, low, high, kept.y if kept else None, options.zoom is not None)
    # The ends of the range are rounded.
    slack = SMALLEST_SHARE * y.span
    beyond = bottom < y.low - slack or y.high + slack < top
    above, below = _count_beyond(plot, values, y) if beyond else (0, 0)
    return Limits(x, y, above, below, log_x)


def scaled(values: FloatArray, log: bool) -> FloatArray:
    """Values as an axis holds them; what has no logarithm is -inf, as if it lay below every axis."""
    values = drawable(values)
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values), np.where(np.isnan(values), np.nan, -np.inf))


def visible(x: FloatArray, values: Range) -> tuple[int, int]:
    """The first point in a range of x, and the one after the last."""
    return int(np.searchsorted(x, values.low, "left")), int(np.searchsorted(x, values.high, "right"))


def crossings(curve: Curve, x: Range, log_x: bool, log_y: bool = False) -> list[float | None]:
    """The heights at which a line that continues beyond the x range crosses its low and its high end.

    As the axis holds them; None at an end where no line crosses it.
    """
    first, stop = visible(curve.x, x.values(log_x))
    heights: list[float | None] = []
    for before, edge in ((first - 1, x.low), (stop - 1, x.high)):
        heights.append(None)
        if not 0 <= before < len(curve.x) - 1:
            continue
        at = scaled(curve.x[before : before + 2], log_x)
        of = scaled(curve.y[before : before + 2], log_y)
        if np.isfinite(at).all() and np.isfinite(of).all() and at[0] <= edge < at[1]:
            heights[-1] = float(np.interp(edge, at, of))
    return heights


def has_log_x(plot: Plot, options: ChartOptions) -> bool:
    """Whether the x axis is logarithmic: as asked for, where there is a positive value and it is no clock."""
    return options.log_x and plot.x_axis != "clock" and _lowest(plot, log=True) is not None


def x_range(plot: Plot, options: ChartOptions, kept: Range | None = None) -> Range:
    """The range of the x axis of a plot that has data, as the axis holds it."""
    log = has_log_x(plot, options)
    low, high = extent(plot, log)
    if options.zoom is not None:
        return _log_range(max(options.zoom.low, low / 2), options.zoom.high) if log else options.zoom
    if not log:
        return steady_x(kept, low, high, grows=plot.growing, axis=plot.x_axis)
    wanted = _log_range(low, high)
    if kept is not None and kept.low <= wanted.low and wanted.high <= kept.high + 1e-9 and plot.growing:
        return kept
    return _log_range(low, steady_x(None, low, high, grows=plot.growing, axis=plot.x_axis).high)


def extent(plot: Plot, log: bool) -> tuple[float, float]:
    """The first and the last x of a plot that has data, and of what its axis covers at least."""
    high = max(float(part.x[-1]) for part in plot.data if len(part.x))
    low = _lowest(plot, log)
    low = high if low is None else low
    if plot.x_range is None:
        return low, high
    return low if log and plot.x_range.low <= 0 else min(low, plot.x_range.low), max(high, plot.x_range.high)


def _lowest(plot: Plot, log: bool) -> float | None:
    """The lowest x; on a logarithmic axis the lowest that it can show."""
    firsts = [int(np.searchsorted(part.x, 0.0, "right")) if log else 0 for part in plot.data]
    lows = [float(part.x[first]) for part, first in zip(plot.data, firsts, strict=True) if first < len(part.x)]
    return min(lows, default=None)


def _log_range(low: float, high: float) -> Range:
    first = math.log10(low)
    return Range(first, max(math.log10(high if high > low else low * 2), first + SMALLEST_SHARE))


def steady_x(kept: Range | None, low: float, high: float, *, grows: bool = True, axis: PlotAxis = "step") -> Range:
    """The x range for data from low to high.

    grows: more data may come, so the range ends at the next round number and only changes when they pass it.
    """
    if kept is not None and kept.low <= low and high <= kept.high and grows:
        return kept
    if high - low <= SMALLEST_SHARE * max(abs(low), abs(high)):
        return Range(low, low + max(1.0, SMALLEST_SHARE * abs(low)))
    low = 0.0 if 0 <= low < 0.2 * high else low
    if not grows:
        return Range(low, high)
    step = time_step(high - low, 10) if axis in ("time", "clock") else round_step(high - low, 10)
    return Range(low, max(math.ceil(high / step - 1e-9) * step, low + step))


def steady_y(kept: Range | None, low: float, high: float) -> Range:
    """The y range for data from low to high, with round ends: kept until they leave it or fill less than 40 % of it."""
    if kept is not None and kept.low <= low and high <= kept.high and (high - low) / kept.span >= _KEPT_SHARE:
        return kept
    if high - low <= SMALLEST_SHARE * max(abs(low), abs(high)):
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = round_step(high - low, 8)
    return Range(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def _y_range(plot: Plot, bottom: float, top: float, kept: Range | None, zoomed: bool) -> Range:
    smallest = (_MIN_SPAN_ZOOMED if zoomed else _MIN_SPAN) * abs(top)
    if plot.from_zero and not plot.log:
        bottom = min(bottom, 0.0)
    elif not plot.log and 0 < top - bottom < smallest:
        # Noise of one per cent on a steady value should look small.
        middle = (top + bottom) / 2
        bottom, top = middle - smallest / 2, middle + smallest / 2
    return steady_y(kept, bottom, top)


class _Shown(NamedTuple):
    """The values of one curve, points or level that can be drawn. low, high: their ends, as the axis holds them.

    recorded: whether outliers are defined by them. A smoothed curve spreads an outlier over its window, so where the
    raw curve is drawn as well that one decides.
    """

    values: FloatArray
    low: float
    high: float
    recorded: bool = True

    def within(self, fences: Range, log: bool) -> list[float]:
        """The lowest and the highest value between the fences; empty without any."""
        if fences.low <= self.low and self.high <= fences.high:
            return [self.low, self.high]
        positions = scaled(self.values, log)
        inside = positions[(positions >= fences.low) & (positions <= fences.high)]
        return [float(inside.min()), float(inside.max())] if len(inside) else []


def _shown(plot: Plot, x: Range) -> list[_Shown]:
    raw_roles = {curve.role.removesuffix(".faint") for curve in plot.curves if not curve.smoothing}
    parts = [(each.y[slice(*visible(each.x, x))], True) for each in plot.points]
    parts += [
        (each.y[slice(*visible(each.x, x))], not (each.smoothing and each.role in raw_roles)) for each in plot.lines
    ]
    parts += [(np.array([level.y]), True) for level in plot.levels if level.in_range]
    return [each._replace(recorded=recorded) for y, recorded in parts if (each := _usable(y, plot.log)) is not None]


def _usable(values: FloatArray, log: bool) -> _Shown | None:
    """The values that an axis can show; None without any."""
    lowest = SMALLEST if log else -LARGEST
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    # A nan among them makes both comparisons false.
    if not (lowest <= low and high <= LARGEST):
        values = values.astype(np.float64)
        values = values[(values >= lowest) & (values <= LARGEST)]
        return _usable(values, log)
    return _Shown(values, *scaled(np.array([low, high]), log).tolist())


def _common_fences(plot: Plot, shown: Sequence[_Shown], x: Range) -> Range:
    """Values outside are outliers of every series; the first of a curve is none where the plot keeps it."""
    every = [_fences(each.values, plot.log) for each in ([each for each in shown if each.recorded] or shown)]
    low, high = min(each.low for each in every), max(each.high for each in every)
    if plot.keep_first:
        firsts = [curve.y[:1] for curve in plot.curves if curve.role != SUPERSEDED and not visible(curve.x, x)[0]]
        kept = [each.low for first in firsts if (each := _usable(first, plot.log)) is not None]
        low, high = min([low, *kept]), max([high, *kept])
    return Range(low, high)


def _fences(values: FloatArray, log: bool) -> Range:
    """Between these lie all values but outliers: the 2nd and 98th percentile, and as much again beyond each."""
    # A power of two, so that the sample changes seldom.
    stride = 1 << max(len(values) // _SAMPLE, 1).bit_length() - 1
    ordered = np.sort(scaled(values[::stride], log))
    low, high = (_quantile(ordered, share) for share in (0.02, 0.98))
    room = max(high - low, _MIN_SPAN / 2 * abs(high))
    return Range(low - room, high + room)


def _quantile(ordered: FloatArray, share: float) -> float:
    """The quantile of sorted values, linear between two of them; numpy's own takes a dozen times as long."""
    at = share * (len(ordered) - 1)
    before = int(at)
    after = min(before + 1, len(ordered) - 1)
    return float(ordered[before] + (at - before) * (ordered[after] - ordered[before]))


def _count_beyond(plot: Plot, x: Range, y: Range) -> tuple[int, int]:
    """How many recorded points within the x range lie above and below the y range: of each run its first curve."""
    measured = [curve for curve in plot.curves if curve.role != SUPERSEDED]
    above = below = 0
    for curve in (*measured[:1], *(each for each in measured[1:] if each.glyph)):
        shown = _usable(curve.y[slice(*visible(curve.x, x))], plot.log)
        values = scaled(shown.values, plot.log) if shown else np.empty(0)
        above, below = above + int((values > y.high).sum()), below + int((values < y.low).sum())
    return above, below
