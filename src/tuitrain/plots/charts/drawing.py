"""A plot as lines of text: curves, axes and frame in a given number of cells.

Pure functions without a terminal: the chart widget and `watch --once` draw with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from tuitrain.plots import raster, text
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.charts.border import Area, Drawing, draw_empty, framed, room_for_values, top
from tuitrain.plots.charts.heat_map import draw_heat_map
from tuitrain.plots.layers import draw_layers, row_of
from tuitrain.plots.legend import GAP, legend_rows, wrapped
from tuitrain.plots.limits import Limits, has_log_x, limits, steady_x, x_range
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.readout import readout
from tuitrain.plots.recent import recent_range
from tuitrain.plots.strokes import uncrowded
from tuitrain.plots.terminal import Line, Span, fit, join, line
from tuitrain.plots.ticks import y_ticks
from tuitrain.plots.x_scale import XScale
from tuitrain.text import shortened

_ROWS_WITH_NOTE = 8
_USUAL_TITLE = 28
"""Characters of the longest title of a declared metric. A longer one has at most half of the width."""
_MIN_CANVAS = 8
_COLUMNS_WITH_RECENT = 60
"""A chart at least this wide can show its newest part beside the whole."""
_USUAL_GUTTER = 5
"""Cells of the labels at the left and the blank after them, as a first guess."""


def draw(
    plot: Plot | HeatMap,
    columns: int,
    rows: int,
    before: Drawing | None = None,
    focus: bool = False,
    options: ChartOptions | None = None,
) -> Drawing:
    """The chart in columns × rows cells with its frame. before: the last drawing, whose ranges are kept if they fit."""
    if columns < 8 or rows < 3:
        return Drawing([line(" " * max(columns, 0))] * max(rows, 0))
    frame, options = "frame.focus" if focus else "frame", options or ChartOptions()
    plot = replace(plot, title=shortened(plot.title, max(columns // 2, _USUAL_TITLE)))
    if isinstance(plot, HeatMap):
        return draw_heat_map(plot, columns, rows, before, frame, options)
    if not plot.has_data:
        return draw_empty(plot, columns, rows, frame)
    axes = (plot.x_axis, plot.log, plot.growing, has_log_x(plot, options), options.zoom is None)
    kept = [area.limits for area in before.areas] if before is not None and before.axes == axes else []
    notes = [line(Span(plot.note, "quiet"))] if plot.note and rows >= _ROWS_WITH_NOTE else []
    room = room_for_values(f"{plot.title} {plot.value}".rstrip(), columns)
    below = legend_rows(plot, room, columns - 4) if options.crosshair is None and rows >= _ROWS_WITH_NOTE else []
    notes += below
    canvases = _canvases(plot, options, kept, columns - 3, rows - 2 - len(notes))
    values = _readout(plot, options, [area for area, _ in canvases], columns)
    if values is not None and rows >= _ROWS_WITH_NOTE:
        # What does not fit into the border takes rows from the canvas.
        values, *others = wrapped(values, room_for_values(plot.title, columns), columns - 4)
        notes += [join(each, GAP) for each in others][: rows - _ROWS_WITH_NOTE + 1]
        if others:
            canvases = _canvases(plot, options, kept, columns - 3, rows - 2 - len(notes))
    areas = tuple(area for area, _ in canvases)
    head = top(plot, columns, frame, areas[0].limits.outliers, values, runs_below=bool(below))
    lines = [line(" ", *fit(note, columns - 3)) for note in notes]
    lines += [line(*chain(*row), " ") for row in zip(*(drawn for _, drawn in canvases), strict=True)]
    return framed(head, lines, columns, frame, areas, axes, options)


def _readout(plot: Plot, options: ChartOptions, areas: Sequence[Area], columns: int) -> list[Line] | None:
    """The values at the crosshair; None where it is off or outside the range."""
    if options.crosshair is None:
        return None
    scale = next((area.scale for area in areas if area.scale.column(options.crosshair) >= 0), None)
    return None if scale is None else readout(plot, options.crosshair, scale, room_for_values(plot.title, columns))


def _canvases(
    plot: Plot, options: ChartOptions, kept: Sequence[Limits], columns: int, rows: int
) -> list[tuple[Area, list[Line]]]:
    """The canvas of the whole and, where that is asked for and fits, beside it the one of the newest part."""
    before = kept[0] if kept else None
    if not options.recent or options.zoom is not None or columns < _COLUMNS_WITH_RECENT:
        return [_canvas(plot, options, before, 1, columns, rows)]
    wide = columns * 2 // 3
    whole = _canvas(plot, options, before, 1, wide, rows)
    newest = recent_range(plot, has_log_x(plot, options))
    before = kept[1] if len(kept) > 1 else None
    shown = steady_x(before.x if before else None, newest.low, newest.high, grows=plot.growing, axis=plot.x_axis)
    recent = replace(options, zoom=shown, log_x=False)
    beside = replace(plot, levels=tuple(replace(level, in_range=False) for level in plot.levels))
    area, drawn = _canvas(beside, recent, before, wide + 2, columns - wide - 1, rows)
    return [whole, (area, [(Span(" "), *row) for row in drawn])]


def _canvas(
    plot: Plot, options: ChartOptions, kept: Limits | None, left: int, columns: int, rows: int
) -> tuple[Area, list[Line]]:
    """One canvas in columns × rows cells from cell `left` on, with the labels of its y axis at the left."""
    x = x_range(plot, options, kept.x if kept else None).values(has_log_x(plot, options))
    # A line that joins points counts for the y range, whose labels take room from the canvas.
    shown = limits(uncrowded(plot, x, columns - _USUAL_GUTTER), options, kept)
    ticks = y_ticks(shown.y, max(1, (rows + 1) // 3), plot.log)
    gutter = max((len(text) for _, text in ticks), default=0) + 1
    if columns - gutter < _MIN_CANVAS:
        gutter = 0
    scale = XScale(plot.x_axis, shown.x, columns - gutter, shown.log_x)
    plot = uncrowded(plot, x, scale.columns)
    canvas = Canvas(scale.columns, rows)
    rasterize = text.rasterize if options.plotext else raster.rasterize
    draw_layers(canvas, plot, scale, shown.y, ticks, options, rasterize)
    drawn = canvas.lines()
    labels = {row_of(position, shown.y, rows): text for position, text in ticks}
    if gutter:
        drawn = [(Span(labels.get(n, "").rjust(gutter - 1) + " ", "axis"), *cells) for n, cells in enumerate(drawn)]
    return Area(left + gutter, scale, shown), drawn
