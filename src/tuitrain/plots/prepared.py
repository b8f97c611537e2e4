"""What one canvas has in sight: its ranges, and its curves reduced to pixels, kept from one drawing to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tuitrain.plots import axes as ax
from tuitrain.plots.axes import Range
from tuitrain.plots.decimated import DecimatedSeries, Outline, Window, fences, scaled
from tuitrain.plots.model import STAR, SUPERSEDED, ChartOptions, Curve, Plot, Points
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import FloatArray

_LEAST_SPAN = 0.15
"""Least height of the y range, as a share of the largest value."""
_LEAST_SPAN_ZOOMED = 0.01
_CROWDED = 6
"""Columns a star needs for itself; where there are more stars than that, a line joins them."""
_OLDEST = 4
"""Sights not used for so many drawings are let go."""


@dataclass
class View:
    """What one canvas keeps from a drawing to the next: its ranges, and what of each curve is in sight."""

    x: Range | None = None
    y: Range | None = None
    _decimated: dict[tuple[object, ...], tuple[DecimatedSeries, int]] = field(default_factory=dict)
    _drawings: int = 0

    def decimated(self, curve: Curve, window: Window) -> DecimatedSeries:
        """The sight of a curve with all its points taken in."""
        key = (curve.identity, window.pixels)
        found, _ = self._decimated.get(key, (None, 0)) if curve.identity else (None, 0)
        if found is None or found.window != window or not found.continues(curve.x, curve.y):
            found = DecimatedSeries(window)
        found.append(curve.x, curve.y)
        if curve.identity:
            self._decimated[key] = found, self._drawings
        return found

    def tidy(self) -> None:
        """Begin a drawing: let go of the decimated that have not been drawn for a while."""
        self._drawings += 1
        old = [key for key, (_, used) in self._decimated.items() if used < self._drawings - _OLDEST]
        for key in old:
            del self._decimated[key]


@dataclass
class ChartCache:
    """What a chart keeps from a drawing to the next, so that axes stand still and only new points cost anything."""

    whole: View = field(default_factory=View)
    recent: View = field(default_factory=View)
    _kept_for: tuple[object, ...] = ()

    def fit(self, plot: Plot, options: ChartOptions) -> None:
        """Forget the ranges when the axes are others."""
        axes = (plot.x_axis, plot.log, plot.growing, options.log_x, options.zoom is None)
        if axes != self._kept_for:
            self.whole.x = self.whole.y = self.recent.x = self.recent.y = None
            self._kept_for = axes


@dataclass(frozen=True)
class PreparedPlot:
    """A plot on an axis: without crowded points, and of each of its curves the sight and the outline."""

    plot: Plot
    scale: XScale
    decimated: tuple[DecimatedSeries, ...]
    outlines: tuple[Outline, ...]


def prepare(plot: Plot, view: View, scale: XScale) -> PreparedPlot:
    """What of a plot is in sight on this axis."""
    drawn = _uncrowded(plot, scale)
    window = Window(scale.range, scale.pixels, scale.log, plot.log)
    decimated = tuple(view.decimated(curve, window) for curve in drawn.curves)
    outlines = tuple(sight.outline(curve.x, curve.y) for curve, sight in zip(drawn.curves, decimated, strict=True))
    return PreparedPlot(drawn, scale, decimated, outlines)


def _uncrowded(plot: Plot, scale: XScale) -> Plot:
    """The plot with points that would hide the curves joined to a line that ends in a star, or thinned out.

    Those of one run alone have a name of their own and become a line; of several runs every so many-th stays. What an
    earlier attempt did comes first, under all else.
    """
    curves = [part for curve in plot.curves for part in (*curve.band, curve)]
    curves.sort(key=lambda curve: curve.role != SUPERSEDED)
    points: list[Points] = []
    for each in plot.points:
        in_sight = int(np.searchsorted(each.x, scale.high, "right") - np.searchsorted(each.x, scale.low))
        surplus = -(-in_sight * _CROWDED // scale.columns)
        if surplus <= 1:
            points.append(each)
        elif each.name:
            curves.append(Curve(each.x, each.y, each.role, each.name, STAR))
        else:
            points.append(replace(each, x=each.x[::surplus], y=each.y[::surplus]))
    return replace(plot, curves=tuple(curves), points=tuple(points))


def lowest(plot: Plot, log: bool) -> float | None:
    """The lowest x; on a logarithmic axis the lowest that it can show."""
    firsts = [int(np.searchsorted(part.x, 0.0, "right")) if log else 0 for part in plot.data]
    found = [float(part.x[first]) for part, first in zip(plot.data, firsts, strict=True) if first < len(part.x)]
    return min(found, default=None)


def extent(plot: Plot, log: bool) -> tuple[float, float]:
    """The first and the last x of a plot that has data, and of what its axis reaches over at least."""
    high = max(float(part.x[-1]) for part in plot.data if len(part.x))
    low = lowest(plot, log)
    low = high if low is None else low
    if plot.x_range is None:
        return low, high
    return low if log and plot.x_range.low <= 0 else min(low, plot.x_range.low), max(high, plot.x_range.high)


def x_range(plot: Plot, options: ChartOptions, view: View) -> Range:
    """The range of the x axis as the axis holds it, as near as possible to that of the last drawing."""
    low, high = extent(plot, options.log_x)
    if options.zoom is not None:
        return _log_range(max(options.zoom.low, low / 2), options.zoom.high) if options.log_x else options.zoom
    if not options.log_x:
        return ax.grown(view.x, low, high, steady=plot.growing, axis=plot.x_axis)
    wanted = _log_range(low, high)
    if view.x is not None and view.x.low <= wanted.low and wanted.high <= view.x.high + 1e-9 and plot.growing:
        return view.x
    return _log_range(low, ax.grown(None, low, high, steady=plot.growing, axis=plot.x_axis).high)


def _log_range(low: float, high: float) -> Range:
    first = math.log10(low)
    return Range(first, max(math.log10(high if high > low else low * 2), first + ax.LEAST_SHARE))


def y_range(prepared: PreparedPlot, before: Range | None, zoomed: bool) -> Range:
    """A range that holds all finite values in sight, as near as possible to that of the last drawing."""
    plot, scale = prepared.plot, prepared.scale
    others = [scaled(points.y[(points.x >= scale.low) & (points.x <= scale.high)], plot.log) for points in plot.points]
    others += [scaled(np.array([level.y]), plot.log) for level in plot.levels if level.in_range]
    others = [found for found in (value[np.isfinite(value)] for value in others) if len(found)]
    values = [*others, *(outline.values for outline in prepared.outlines if len(outline.values))]
    if not values:
        return Range(0, 1)
    bottom, top = min(float(each.min()) for each in values), max(float(each.max()) for each in values)
    if plot.clip:
        bottom, top = _clipped(prepared, others, np.concatenate(values))
    least = _LEAST_SPAN_ZOOMED if zoomed else _LEAST_SPAN
    if plot.from_zero and not plot.log:
        bottom = min(bottom, 0.0)
    elif not plot.log and 0 < top - bottom < least * abs(top):
        # Noise of a per cent on a steady value should look like that, and not like a mountain range.
        middle, half = (top + bottom) / 2, least / 2 * abs(top)
        bottom, top = middle - half, middle + half
    return ax.settled(before, bottom, top)


def _clipped(prepared: PreparedPlot, others: Sequence[FloatArray], values: FloatArray) -> tuple[float, float]:
    """The range of the values that are no outliers."""
    margin = _LEAST_SPAN / 2
    found = [
        sight.fences(curve.y, margin) for curve, sight in zip(prepared.plot.curves, prepared.decimated, strict=True)
    ]
    found += [fences(value, margin) for value in others]
    known = [each for each in found if each is not None]
    firsts = _first_values(prepared) if prepared.plot.keep_first else []
    if not known:
        return float(values.min()), float(values.max())
    low, high = min([*(low for low, _ in known), *firsts]), max([*(high for _, high in known), *firsts])
    inner = values[(values >= low) & (values <= high)]
    return float(inner.min()), float(inner.max())


def _first_values(prepared: PreparedPlot) -> list[float]:
    """Where each curve begins, if that is in sight."""
    firsts = [
        float(scaled(curve.y[:1], prepared.plot.log)[0])
        for curve, sight in zip(prepared.plot.curves, prepared.decimated, strict=True)
        if sight.first == 0 and sight.stop and curve.role != SUPERSEDED
    ]
    return [value for value in firsts if math.isfinite(value)]


def outliers(prepared: PreparedPlot, y: Range) -> tuple[int, int]:
    """How many recorded points in sight lie above and below the range: of each run its first curve."""
    counted = [index for index, curve in enumerate(prepared.plot.curves) if curve.role != SUPERSEDED]
    found = [
        prepared.decimated[index].beyond(prepared.plot.curves[index].y, y.low, y.high)
        for index in counted
        if index == counted[0] or (prepared.plot.curves[index].glyph and prepared.plot.curves[index].glyph != STAR)
    ]
    return sum(above for above, _ in found), sum(below for _, below in found)
