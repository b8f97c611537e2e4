"""Curves reduced to what draws the same line in a given number of cells (M4 decimation).

Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014: a line chart of a given width
is reproduced exactly by the first, last, lowest and highest point of each pixel column.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tuitrain.analysis.limits import LARGEST, SMALLEST
from tuitrain.plots.axes import Range
from tuitrain.plots.limits import crossings, scaled, visible
from tuitrain.plots.model import STAR, Curve, Plot, Points
from tuitrain.plots.x_scale import X_DOTS, IndexArray, XScale, pixel
from tuitrain.runs import FloatArray

BROKEN_SIGNS = ("×", "↑", "↓")
"""The signs of nan, of inf, and of -inf or what has no logarithm."""
_POINT_COLUMNS = 6
"""Columns a single point needs for itself; where there are more points than that, a line joins them."""


@dataclass(frozen=True)
class Stroke:
    """A line in pixel columns: x in pixels from the left, y as the axis holds it.

    joined[i]: whether point i + 1 continues point i. broken[kind, cell]: the cells with a value that cannot be drawn,
    by the kinds of `BROKEN_SIGNS`.
    """

    x: IndexArray
    y: FloatArray
    joined: NDArray[np.bool_]
    broken: NDArray[np.bool_]


def stroke(curve: Curve, scale: XScale, log_y: bool) -> Stroke:
    """The part of a curve within an axis, up to its edges.

    Of each pixel column it has the first, lowest, highest and last value (M4): which of the middle two comes first
    changes no pixel.
    """
    edges = scale.edges
    broken = np.zeros((len(BROKEN_SIGNS), scale.columns), dtype=bool)
    part = slice(*visible(curve.x, scale.values))
    x, y = curve.x[part], curve.y[part]
    gaps = np.zeros(0, dtype=np.intp)
    lowest = SMALLEST if log_y else -LARGEST
    columns, starts, ends, extremes = _columns(x, y, edges)
    # A nan among them makes both comparisons false.
    if not ((extremes >= lowest) & (extremes <= LARGEST)).all():
        y = y.astype(np.float64)
        drawable = (y >= lowest) & (y <= LARGEST)
        cells = np.searchsorted(edges, x, "right") // X_DOTS
        for kind, chosen in enumerate((np.isnan(y), y > LARGEST, y < lowest)):
            broken[kind, cells[chosen]] = True
        gaps = np.cumsum(~drawable, dtype=np.intp)[drawable]
        x, y = x[drawable], y[drawable]
        columns, starts, ends, extremes = _columns(x, y, edges)
    heights = scaled(np.stack((y[starts], *extremes, y[ends - 1]), axis=1).ravel(), log_y)
    pixels = np.repeat(columns, 4)
    joined = np.ones(max(len(pixels) - 1, 0), dtype=bool)
    if len(gaps):
        # A gap between the last point of a column and the first of the next interrupts the line.
        joined[3::4] = gaps[starts[1:]] == gaps[ends[:-1] - 1]
    low, high = crossings(curve, scale.range, scale.log, log_y)
    if low is not None:
        joined = np.insert(joined, 0, True)[: len(pixels)]
        pixels, heights = np.insert(pixels, 0, 0), np.insert(heights, 0, low)
    if high is not None:
        joined = np.append(joined, True)[: len(pixels)]
        pixels, heights = np.append(pixels, scale.pixels - 1), np.append(heights, high)
    return Stroke(pixels, heights, joined, broken)


def _columns(x: FloatArray, y: FloatArray, edges: FloatArray) -> tuple[IndexArray, IndexArray, IndexArray, FloatArray]:
    """The pixel columns that have points, of each the first point and the one past its last, and its extremes of y."""
    bounds = np.concatenate(([0], np.searchsorted(x, edges), [len(x)]))
    columns = np.flatnonzero(np.diff(bounds))
    starts, ends = bounds[columns], bounds[columns + 1]
    extremes = [each.reduceat(y, starts) if len(y) else y for each in (np.minimum, np.maximum)]
    return columns, starts, ends, np.stack(extremes).astype(np.float64)


def uncrowded(plot: Plot, shown: Range, columns: int) -> Plot:
    """The plot with crowded points, which would hide the curves, joined to a line or thinned out.

    shown: the range of x, in the unit of its axis, that is drawn in so many columns.

    Those of one run alone have a name and become a line that ends in a star; of several runs every n-th point stays.
    """
    curves, points = list(plot.curves), list[Points]()
    for each in plot.points:
        first, stop = visible(each.x, shown)
        every = -(-(stop - first) * _POINT_COLUMNS // max(columns, 1))
        if every <= 1:
            points.append(each)
        elif each.name:
            curves.append(Curve(each.x, each.y, each.role, each.name, STAR))
        else:
            points.append(replace(each, x=each.x[::every], y=each.y[::every]))
    return replace(plot, curves=tuple(curves), points=tuple(points))


def walk(stroke: Stroke, y_range: Range, pixels: int) -> tuple[IndexArray, IndexArray]:
    """Every pixel of a stroke, in order, y from the bottom; pixels in which a segment ends come once."""
    heights = pixel(np.clip(stroke.y, y_range.low, y_range.high), y_range.low, y_range.high, pixels)
    dx, dy = np.diff(stroke.x), np.diff(heights)
    steps = np.maximum(np.abs(dx), np.abs(dy))
    # A point that nothing continues stands for itself, and so does the last one.
    counts = np.append(np.where(stroke.joined, steps, 1), 1)
    divisor = np.maximum(np.append(steps, 1), 1)
    segment = np.repeat(np.arange(len(counts)), counts)
    along = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    divisor = divisor[segment]
    x = stroke.x[segment] + along * np.append(dx, 0)[segment] // divisor
    y = heights[segment] + along * np.append(dy, 0)[segment] // divisor
    return x, y
