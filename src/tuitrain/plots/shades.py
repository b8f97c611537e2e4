"""A map of values as shaded cells of a canvas: rows over an x axis, on a logarithmic scale."""

from __future__ import annotations

import math

import numpy as np

from tuitrain.plots.axes import Range
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.model import HeatMap
from tuitrain.plots.ticks import label
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import FloatArray

SHADES = "··░░▒▒▓█"
"""From the least to the largest, one for each of the theme's `heat` colours: visible also without colour."""
_BROKEN = "×"
"""A value that is not finite."""
_MIN_DECADES = 0.5
"""The smallest range of the shades: values nearer together look alike."""


def draw_shades(canvas: Canvas, heat: HeatMap, scale: XScale) -> Range:
    """Shade all cells of a canvas. Returns the range of the shades, log10."""
    cells = _cells(heat, scale)
    shades = _shade_range(cells)
    for row, (low, high) in enumerate(reversed(_shares(len(heat.rows), canvas.rows))):
        _shade(canvas, row, cells[low:high], shades)
    return shades


def row_names(heat: HeatMap, rows: int) -> list[str]:
    """The names beside the rows of a canvas, from the top.

    Where a row of the map is several rows high, the lowest of them has its name; the top is always named.
    """
    names = [""] * rows
    for row, (low, high) in enumerate(reversed(_shares(len(heat.rows), rows))):
        names[row] = heat.rows[low if row else high - 1]
        if row and names[row - 1] == names[row]:
            names[row - 1] = ""
    return names


def _shares(count: int, rows: int) -> list[tuple[int, int]]:
    """Which of `count` rows of the map each row of cells shows, from the lowest."""
    lows = [row * count // rows for row in range(rows)]
    return [(low, max(low + 1, (row + 1) * count // rows)) for row, low in enumerate(lows)]


def _cells(heat: HeatMap, scale: XScale) -> FloatArray:
    """log10 of the largest value of each row of the map in each column (rows × columns).

    A column without a reading shows the one before; nan is where there is none, or a value that is not finite.
    """
    edges = np.linspace(scale.low, scale.high, scale.columns + 1)
    ends = np.searchsorted(heat.x, edges[1:])
    ends[-1] = np.searchsorted(heat.x, edges[-1], "right")
    starts = np.concatenate((np.searchsorted(heat.x, edges[:1]), ends[:-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(heat.values[: ends[-1]])
    logs[~np.isfinite(logs)] = np.nan
    # A last row for columns that begin after all readings.
    logs = np.pad(logs, ((0, 1), (0, 0)), constant_values=-np.inf)
    # The maximum of numpy keeps nan, which must be visible.
    largest = np.maximum.reduceat(logs, starts)
    cells = np.where((ends > starts)[:, None], largest, logs[starts - 1])
    cells[(ends == starts) & ((starts == 0) | (edges[:-1] > heat.x[-1]))] = np.inf
    return cells.T


def _shade_range(cells: FloatArray) -> Range:
    """The range of the shades, log10: all shown values but for outliers."""
    finite = cells[np.isfinite(cells)]
    if not len(finite):
        return Range(-1.0, 0.0)
    low, high = (float(value) for value in np.percentile(finite, (1, 99)))
    missing = _MIN_DECADES - (high - low)
    return Range(low - missing / 2, high + missing / 2) if missing > 0 else Range(low, high)


def _shade(canvas: Canvas, row: int, cells: FloatArray, limits: Range) -> None:
    values = cells.max(axis=0)
    levels = (values - limits.low) / (limits.high - limits.low) * len(SHADES)
    for column, (value, level) in enumerate(zip(values.tolist(), levels.tolist(), strict=True)):
        if math.isnan(value):
            canvas.put(column, row, _BROKEN, "bad")
        elif math.isfinite(value):
            shade = min(max(int(level), 0), len(SHADES) - 1)
            canvas.put(column, row, SHADES[shade], f"heat{shade}")


def power_label(position: float) -> str:
    """A value given by its log10, with one digit."""
    value = 10**position
    return label(value, 10.0 ** math.floor(position))
