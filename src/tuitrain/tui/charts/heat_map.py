"""A map of values as shaded cells: rows over an x axis, on a logarithmic scale, with its frame, labels and legend."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tuitrain.plots.axes import Range
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.limits import Limits, steady_x
from tuitrain.plots.model import ChartOptions, HeatMap
from tuitrain.plots.ticks import label
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import FloatArray
from tuitrain.tui.charts.border import Area, Drawing, draw_empty, framed, room_for_values, top
from tuitrain.tui.charts.readout import GAP
from tuitrain.tui.text import Line, Span, align, join, line, width

SHADES = "··░░▒▒▓█"
"""From the least to the largest, one for each of the theme's `heat` colours: visible also without colour."""
_BROKEN = "×"
"""A value that is not finite."""
_MIN_DECADES = 0.5
"""The smallest range of the shades: values nearer together look alike."""
_MIN_ROWS, _MIN_COLUMNS = 4, 8


def draw_heat_map(
    heat: HeatMap, columns: int, rows: int, before: Drawing | None, frame: str, options: ChartOptions
) -> Drawing:
    """The map in columns × rows cells with its frame. before: the last drawing, whose x range is kept if it fits."""
    gutter = max((len(name) for name in heat.rows), default=0) + 1
    if not len(heat.x) or rows < _MIN_ROWS or columns - 3 - gutter < _MIN_COLUMNS:
        return draw_empty(heat.as_plot, columns, rows, frame)
    axes = (heat.x_axis, heat.growing)
    kept = before.areas[0].limits.x if before is not None and before.axes == axes and before.areas else None
    ends = float(heat.x[0]), float(heat.x[-1])
    x = options.zoom or steady_x(kept, *ends, grows=heat.growing, axis=heat.x_axis)
    scale = XScale(heat.x_axis, x, columns - 3 - gutter)
    cells = _cells(heat, scale)
    shades = _shade_range(cells)
    canvas, labels = Canvas(scale.columns, rows - 2), [""] * (rows - 2)
    for row, (low, high) in enumerate(reversed(_shares(len(heat.rows), canvas.rows))):
        _shade(canvas, row, cells[low:high], shades)
        # Where a row of the map is several rows high, the lowest of them has its name; the top is always named.
        labels[row] = heat.rows[low if row else high - 1]
        if row and labels[row - 1] == labels[row]:
            labels[row - 1] = ""
    names = [Span(f"{name:>{gutter - 1}} ", "axis") for name in labels]
    lines = [line(name, *drawn, " ") for name, drawn in zip(names, canvas.lines(), strict=True)]
    area = Area(1 + gutter, scale, Limits(x, Range(0, len(heat.rows))))
    return framed(_top(heat, columns, frame, shades, options), lines, columns, frame, (area,), axes, options)


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


def _top(heat: HeatMap, columns: int, frame: str, limits: Range, options: ChartOptions) -> Line:
    """The upper border: the shades with their range, or the largest value at the crosshair."""
    if options.crosshair is not None:
        row = int(np.searchsorted(heat.x, options.crosshair, "right")) - 1
        values = heat.values[max(row, 0)]
        if np.isfinite(values).any():
            largest = int(np.nanargmax(values))
            text = line(Span(f"largest {values[largest]:.3g}", "value"), Span(f" in {heat.rows[largest]}", "quiet"))
            return top(heat.as_plot, columns, frame, values=[text])
    shades = [Span(shade, f"heat{level}") for level, shade in enumerate(SHADES)]
    legend = line(Span(f"{_power(limits.low)} ", "quiet"), *shades, Span(f" {_power(limits.high)}", "quiet"))
    newest = line(Span(heat.value, "value")) if heat.value else ()
    room = room_for_values(heat.title, columns)
    if width(join((newest, legend), GAP)) <= room:
        return top(heat.as_plot, columns, frame, values=[newest, legend])
    # The shades need both ends of their range: the title is cropped for them.
    title = align(heat.title, min(len(heat.title), max(len(heat.title) + room - width(legend), 1)))
    return top(replace(heat.as_plot, title=title), columns, frame, values=[legend])


def _power(position: float) -> str:
    """A value given by its log10, with one digit."""
    value = 10**position
    return label(value, 10.0 ** math.floor(position))
