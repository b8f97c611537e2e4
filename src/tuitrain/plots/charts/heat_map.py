"""A map of values as lines of text: its shaded cells with frame, labels and legend."""

from __future__ import annotations

from dataclasses import replace

from tuitrain.plots.axes import Range
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.charts.border import Area, Drawing, draw_empty, framed, room_for_values, top
from tuitrain.plots.legend import GAP
from tuitrain.plots.limits import Limits, steady_x
from tuitrain.plots.model import ChartOptions, HeatMap
from tuitrain.plots.readout import readout_of_map
from tuitrain.plots.shades import SHADES, draw_shades, power_label, row_names
from tuitrain.plots.terminal import Line, Span, align, join, line, width
from tuitrain.plots.x_scale import XScale

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
    canvas = Canvas(scale.columns, rows - 2)
    shades = draw_shades(canvas, heat, scale)
    names = [Span(f"{name:>{gutter - 1}} ", "axis") for name in row_names(heat, canvas.rows)]
    lines = [line(name, *drawn, " ") for name, drawn in zip(names, canvas.lines(), strict=True)]
    area = Area(1 + gutter, scale, Limits(x, Range(0, len(heat.rows))))
    return framed(_top(heat, columns, frame, shades, options), lines, columns, frame, (area,), axes, options)


def _top(heat: HeatMap, columns: int, frame: str, limits: Range, options: ChartOptions) -> Line:
    """The upper border: the shades with their range, or the largest value at the crosshair."""
    if options.crosshair is not None and (largest := readout_of_map(heat, options.crosshair)):
        return top(heat.as_plot, columns, frame, values=[largest])
    shades = [Span(shade, f"heat{level}") for level, shade in enumerate(SHADES)]
    legend = line(Span(f"{power_label(limits.low)} ", "quiet"), *shades, Span(f" {power_label(limits.high)}", "quiet"))
    newest = line(Span(heat.value, "value")) if heat.value else ()
    room = room_for_values(heat.title, columns)
    if width(join((newest, legend), GAP)) <= room:
        return top(heat.as_plot, columns, frame, values=[newest, legend])
    # The shades need both ends of their range: the title is cropped for them.
    title = align(heat.title, min(len(heat.title), max(len(heat.title) + room - width(legend), 1)))
    return top(replace(heat.as_plot, title=title), columns, frame, values=[legend])
