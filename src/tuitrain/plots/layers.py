"""A plot on a canvas: grid, levels, curves, markers, crosshair, points and glyphs, each over the one before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tuitrain.plots.axes import Range
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.event_markers import SIGNS, markers_by_column
from tuitrain.plots.limits import scaled
from tuitrain.plots.model import ChartOptions, Curve, Plot
from tuitrain.plots.raster import BLANK, Y_DOTS
from tuitrain.plots.strokes import BROKEN_SIGNS, Stroke, stroke
from tuitrain.plots.ticks import Tick
from tuitrain.plots.x_scale import X_DOTS, XScale

_GLYPH_EVERY = 24
"""Columns between the glyphs along a curve."""

Owner = NDArray[np.intp]
Rasterize = Callable[[Sequence[Stroke], Range, int, int], tuple[NDArray[np.uint8], Owner]]
"""As `raster.rasterize`."""


def draw_layers(
    canvas: Canvas,
    plot: Plot,
    scale: XScale,
    y: Range,
    ticks: Sequence[Tick],
    options: ChartOptions,
    rasterize: Rasterize,
) -> None:
    """Draw all that lies between the axes. ticks: of the y axis, at which the grid has lines."""
    for position, _ in ticks:
        canvas.fill(row_of(position, y, canvas.rows), " ·", "grid")
    for level in plot.levels:
        position = float(scaled(np.array([level.y]), plot.log)[0])
        if y.low <= position <= y.high:
            canvas.fill(row_of(position, y, canvas.rows), "╌", level.role)
    lines = plot.lines
    strokes = [stroke(each, scale, plot.log) for each in lines]
    dots, owner = rasterize(strokes, y, canvas.columns, canvas.rows)
    canvas.lay(dots, BLANK, owner, [each.role for each in lines])
    _draw_markers(canvas, plot, scale, owner)
    if options.crosshair is not None and (column := scale.column(options.crosshair)) >= 0:
        _fill_free(canvas, column, "│", "crosshair", owner)
    _draw_glyphs(canvas, lines, owner)
    for points in plot.points:
        columns = scale.columns_of(points.x).tolist()
        for column, value in zip(columns, scaled(points.y, plot.log).tolist(), strict=True):
            if column >= 0 and math.isfinite(value):
                canvas.put(column, row_of(value, y, canvas.rows), points.glyph, points.role)
    for curve, drawn in zip(lines, strokes, strict=True):
        for sign, row, cells in zip(BROKEN_SIGNS, (canvas.rows - 1, 0, canvas.rows - 1), drawn.broken, strict=True):
            for column in np.flatnonzero(cells).tolist():
                canvas.put(column, row, sign, "bad")
        if curve.glyph and len(drawn.x):
            row = row_of(float(drawn.y[-1]), y, canvas.rows)
            canvas.put(int(drawn.x[-1]) // X_DOTS, row, curve.glyph, curve.role)


def row_of(y: float, axis: Range, rows: int) -> int:
    """The row of a value from the top; values outside lie at the edge."""
    share = (min(max(y, axis.low), axis.high) - axis.low) / axis.span
    return rows - 1 - math.floor(round(0.5 + (Y_DOTS * rows - 1) * share, 8)) // Y_DOTS


def _draw_markers(canvas: Canvas, plot: Plot, scale: XScale, owner: Owner) -> None:
    """A sign at the bottom where no curve is, otherwise at the top; a restart is a dotted line between the curves."""
    for column, marker in markers_by_column(plot.markers, scale).items():
        sign = SIGNS[marker.kind]
        if marker.kind == "restart":
            _fill_free(canvas, column, sign, marker.role, owner)
            continue
        free = [row for row in (canvas.rows - 1, 0) if owner[row, column] < 0]
        if free:
            canvas.put(column, free[0], sign, marker.role)


def _fill_free(canvas: Canvas, column: int, sign: str, role: str, owner: Owner) -> None:
    """A vertical line behind the curves."""
    for row in np.flatnonzero(owner[:, column] < 0).tolist():
        canvas.put(column, row, sign, role)


def _draw_glyphs(canvas: Canvas, curves: Sequence[Curve], owner: Owner) -> None:
    """The glyphs of several runs along their curves, so that they differ without colour."""
    marked = [index for index, curve in enumerate(curves) if curve.glyph]
    for number, index in enumerate(marked if len(marked) > 1 else ()):
        first = _GLYPH_EVERY // 4 + _GLYPH_EVERY * number // len(marked)
        for column in range(first, canvas.columns, _GLYPH_EVERY):
            rows = np.flatnonzero(owner[:, column] == index)
            if len(rows):
                canvas.put(column, int(rows[len(rows) // 2]), curves[index].glyph, curves[index].role)
