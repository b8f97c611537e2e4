"""The newest part of a chart, which is shown beside the whole or as a figure of its own."""

from __future__ import annotations

from dataclasses import replace

from tuitrain.plots.axes import Range
from tuitrain.plots.limits import extent
from tuitrain.plots.model import Plot

_SHARE, _LARGEST_SHARE = 0.1, 1 / 3
"""Its share of the whole, and the most when that is too few points."""
_POINTS = 100


def recent_range(plot: Plot, log_x: bool = False) -> Range:
    """The newest part of a plot with data: its last tenth, or 100 points where a tenth has fewer."""
    measured = replace(plot, curves=tuple(curve for curve in plot.curves if not curve.forecast))
    measured = measured if measured.has_data else plot
    low, high = extent(measured, log_x)
    x = max((part.x for part in measured.data if len(part.x)), key=lambda x: float(x[-1]))
    start = min(high - _SHARE * (high - low), float(x[-min(_POINTS, len(x))]))
    return Range(max(start, high - _LARGEST_SHARE * (high - low)), high)
