"""A plot as lines of text: curves, axes and frame in a given number of cells.

Pure functions without a terminal: the chart widget and `watch --once` draw with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tuitrain.analysis.decimate import pixel
from tuitrain.plots import axes as ax
from tuitrain.plots.axes import Range
from tuitrain.plots.decimated import BROKEN, scaled
from tuitrain.plots.model import ChartOptions, Plot
from tuitrain.plots.prepared import ChartCache, PreparedPlot, View, extent, lowest, outliers, prepare, x_range, y_range
from tuitrain.plots.x_scale import XScale
from tuitrain.tui.charts.border import Bottom, legend_rows, room_for_values, top
from tuitrain.tui.charts.canvas import Canvas
from tuitrain.tui.charts.overlay import GAP, draw_crosshair, draw_glyphs, draw_markers, readout, wrapped
from tuitrain.tui.charts.raster import BLANK, Y_DOTS, Stroke, rasterize
from tuitrain.tui.text import Line, Span, fit, join, line, wrap

_ROWS_WITH_NOTE = 8
_LEAST_CANVAS = 8
_COLUMNS_WITH_RECENT = 60
"""A chart at least this wide can show its newest part beside the whole."""
_RECENT, _MOST_RECENT = 0.1, 1 / 3
"""Its share of the whole, and the most when that is too few points."""
_RECENT_POINTS = 100
_USUAL_GUTTER = 5
"""Cells of the labels at the left and the blank after them, as a first guess."""


class Area(NamedTuple):
    """A canvas in the drawing: its first cell from the left, and its horizontal axis."""

    left: int
    scale: XScale


class Drawing(NamedTuple):
    """The lines of a chart and where its canvases are in them."""

    lines: list[Line]
    areas: tuple[Area, ...]


@dataclass(frozen=True)
class _Part:
    """One canvas with its labels at the left."""

    rows: list[Line]
    gutter: int
    scale: XScale
    outliers: tuple[int, int]

    @property
    def columns(self) -> int:
        return self.gutter + self.scale.columns


def draw(
    plot: Plot,
    columns: int,
    rows: int,
    cache: ChartCache | None = None,
    focus: bool = False,
    options: ChartOptions | None = None,
) -> Drawing:
    """The chart in columns × rows cells with its frame. cache: of the last drawing, and for the next."""
    if columns < 8 or rows < 3:
        return Drawing([line(" " * max(columns, 0))] * max(rows, 0), ())
    frame = "frame.focus" if focus else "frame"
    if not plot.has_data:
        return Drawing(_empty(plot, columns, rows, frame), ())
    cache, options = cache or ChartCache(), options or ChartOptions()
    options = replace(options, log_x=options.log_x and plot.x_axis != "clock" and lowest(plot, log=True) is not None)
    cache.fit(plot, options)
    notes = [line(Span(plot.note, "quiet"))] if plot.note and rows >= _ROWS_WITH_NOTE else []
    below = legend_rows(plot, columns) if options.crosshair is None and rows >= _ROWS_WITH_NOTE else []
    notes += below
    parts = _parts(plot, options, cache, columns - 3, rows - 2 - len(notes))
    values = _readout(plot, options, parts, columns)
    if values is not None and rows >= _ROWS_WITH_NOTE:
        # What does not fit into the border takes rows from the canvas.
        values, *others = wrapped(values, room_for_values(plot.title, columns), columns - 4)
        notes += [join(each, GAP) for each in others][: rows - _ROWS_WITH_NOTE + 1]
        if others:
            parts = _parts(plot, options, cache, columns - 3, rows - 2 - len(notes))
    beyond = _outliers(*parts[0].outliers)
    lines = [top(plot, columns, frame, beyond, values, runs_below=bool(below))]
    lines += [(Span("│ ", frame), *fit(note, columns - 3), Span("│", frame)) for note in notes]
    edge, right = Span("│", frame), (Span(" "), Span("│", frame))
    lines += [(edge, *(span for row in together for span in row), *right)
              for together in zip(*(part.rows for part in parts), strict=True)]  # fmt: skip
    bottom = Bottom(columns, frame)
    bottom.title(parts[0].scale, options.zoom is not None)
    areas, left = [], 0
    for part in parts:
        bottom.scale(part.scale, left + part.gutter, options.crosshair)
        areas.append(Area(1 + left + part.gutter, part.scale))
        left += part.columns
    lines.append(bottom.line())
    return Drawing(lines, tuple(areas))


def _readout(plot: Plot, options: ChartOptions, parts: list[_Part], columns: int) -> list[Line] | None:
    """The values at the crosshair; None where it is off or out of sight."""
    if options.crosshair is None:
        return None
    scale = next((part.scale for part in parts if part.scale.column(options.crosshair) >= 0), None)
    return None if scale is None else readout(plot, options.crosshair, scale, room_for_values(plot.title, columns))


def _parts(plot: Plot, options: ChartOptions, cache: ChartCache, columns: int, rows: int) -> list[_Part]:
    """The canvas of the whole and, where that is wished for and fits, beside it the one of the newest part."""
    if not options.recent or options.zoom is not None or columns < _COLUMNS_WITH_RECENT:
        return [_part(plot, options, cache.whole, columns, rows)]
    measured = replace(plot, curves=tuple(curve for curve in plot.curves if not curve.forecast))
    measured = measured if measured.has_data else plot
    low, high = extent(measured, options.log_x)
    start = min(high - _RECENT * (high - low), _place_from_end(measured, _RECENT_POINTS))
    start = max(start, high - _MOST_RECENT * (high - low))
    newest = ax.grown(cache.recent.x, start, high, steady=plot.growing, axis=plot.x_axis)
    cache.recent.x = newest
    recent = replace(options, zoom=newest, log_x=False)
    wide = columns * 2 // 3
    levels = tuple(replace(level, in_range=False) for level in plot.levels)
    beside = _part(replace(plot, levels=levels), recent, cache.recent, columns - wide - 1, rows)
    apart = replace(beside, rows=[(Span(" "), *row) for row in beside.rows], gutter=beside.gutter + 1)
    return [_part(plot, options, cache.whole, wide, rows), apart]


def _place_from_end(plot: Plot, count: int) -> float:
    """Where the curve that reaches farthest has its last points begin."""
    x = max((curve.x for curve in plot.data if len(curve.x)), key=lambda x: float(x[-1]))
    return float(x[-min(count, len(x))])


def _part(plot: Plot, options: ChartOptions, view: View, columns: int, rows: int) -> _Part:
    """One canvas in columns × rows cells, with the labels of its y axis at the left."""
    view.tidy()
    x = x_range(plot, options, view)
    # The labels take room from the canvas, but the y range does not depend on its width: those of the last drawing
    # have the right width nearly always.
    gutter = _gutter(plot, view.y, rows, columns) if view.y is not None else min(_USUAL_GUTTER, columns - 1)
    prepared = prepare(plot, view, XScale(plot.x_axis, x, columns - gutter, options.log_x))
    y = y_range(prepared, view.y, options.zoom is not None)
    if (needed := _gutter(plot, y, rows, columns)) != gutter:
        gutter = needed
        prepared = prepare(plot, view, replace(prepared.scale, columns=columns - gutter))
    view.x, view.y = x, y
    canvas = Canvas(prepared.scale.columns, rows)
    _draw_data(canvas, prepared, y, options)
    named = {_row(position, y, rows): text for position, text in ax.y_ticks(y, rows, plot.log)} if gutter else {}
    lines = [
        ((Span(named.get(row, "").rjust(gutter - 1) + " ", "axis"), *cells) if gutter else cells)
        for row, cells in enumerate(canvas.lines())
    ]
    return _Part(lines, gutter, prepared.scale, outliers(prepared, y))


def _gutter(plot: Plot, y: Range, rows: int, columns: int) -> int:
    """The room for the labels of the y axis, with a blank at their right; none where the canvas would be too small."""
    needed = max((len(text) for _, text in ax.y_ticks(y, rows, plot.log)), default=0) + 1
    return needed if columns - needed >= _LEAST_CANVAS else 0


def _draw_data(canvas: Canvas, prepared: PreparedPlot, y: Range, options: ChartOptions) -> None:
    plot, scale = prepared.plot, prepared.scale
    for position, _ in ax.y_ticks(y, canvas.rows, plot.log):
        canvas.fill(_row(position, y, canvas.rows), " ·", "grid")
    for level in plot.levels:
        position = float(scaled(np.array([level.y]), plot.log)[0])
        if y.low <= position <= y.high:
            canvas.fill(_row(position, y, canvas.rows), "╌", level.role)
    strokes = []
    for outline in prepared.outlines:
        # A point beyond the range is drawn at its edge.
        heights = pixel(np.clip(outline.values, y.low, y.high), y.low, y.high, Y_DOTS * canvas.rows)
        strokes.append(Stroke(outline.pixels, heights, outline.joined))
    dots, owner = rasterize(strokes, canvas.columns, canvas.rows)
    canvas.lay(dots, BLANK, owner, [curve.role for curve in plot.curves])
    draw_markers(canvas, plot.markers, scale, owner)
    if options.crosshair is not None:
        draw_crosshair(canvas, options.crosshair, scale, owner)
    draw_glyphs(canvas, plot.curves, owner)
    for points in plot.points:
        columns = scale.columns_of(points.x).tolist()
        for column, value in zip(columns, scaled(points.y, plot.log).tolist(), strict=True):
            if column >= 0 and math.isfinite(value):
                canvas.put(column, _row(value, y, canvas.rows), points.glyph, points.role)
    for curve, sight, stroke in zip(plot.curves, prepared.decimated, strokes, strict=True):
        for kind, row in zip(range(len(BROKEN)), (canvas.rows - 1, 0, canvas.rows - 1), strict=True):
            for column in np.flatnonzero(sight.broken[kind]).tolist():
                canvas.put(column, row, BROKEN[kind], "bad")
        if curve.glyph and len(stroke.x):
            row = canvas.rows - 1 - int(stroke.y[-1]) // Y_DOTS
            canvas.put(int(stroke.x[-1]) // 2, row, curve.glyph, curve.role)


def _row(y: float, axis: Range, rows: int) -> int:
    """The row of a value from the top; values outside lie at the edge."""
    share = (min(max(y, axis.low), axis.high) - axis.low) / (axis.high - axis.low)
    return rows - 1 - math.floor(round(0.5 + (Y_DOTS * rows - 1) * share, 8)) // Y_DOTS


def _outliers(above: int, below: int) -> str:
    """How many points lie beyond the y range, as `1 below`."""
    return ", ".join(f"{count:,} {where}" for count, where in ((above, "above"), (below, "below")) if count)


def _empty(plot: Plot, columns: int, rows: int, frame: str) -> list[Line]:
    """The frame around a quiet sentence."""
    inner = columns - 2
    words = wrap(plot.empty, max(inner - 4, 2))[: rows - 2]
    first = max(0, (rows - 2 - len(words)) // 2)
    # Levels and marks belong to curves; without any they would tell of nothing that can be prepared.
    lines = [top(Plot(plot.title, plot.value), columns, frame)]
    for row in range(rows - 2):
        text = words[row - first] if 0 <= row - first < len(words) else ""
        lines.append((Span("│", frame), Span(text.center(inner), "quiet"), Span("│", frame)))
    lines.append(line(Span("╰" + "─" * inner + "╯", frame)))
    return lines
