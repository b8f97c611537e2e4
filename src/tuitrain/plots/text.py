"""A plot as lines of text, drawn with plotext. No other module imports plotext.

plotext draws the curves into braille cells and the axes around them. What to draw comes from the same model and the
same limits as everywhere else, in dots of the canvas: plotext's own logarithm, limits, labels and dates have faults.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuitrain.analysis.metrics import metric_of
from tuitrain.plots.axes import Range, x_title
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.layers import Owner, draw_layers, row_of
from tuitrain.plots.legend import GAP, legend_of, wrapped
from tuitrain.plots.limits import Limits, limits
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.raster import BLANK, Y_DOTS
from tuitrain.plots.strokes import Stroke, uncrowded, walk
from tuitrain.plots.terminal import Line, Span, crop, fit, join, line, render, width
from tuitrain.plots.ticks import Tick, y_ticks
from tuitrain.plots.x_scale import X_DOTS, XScale, pixel

LEAST_COLUMNS, LEAST_ROWS = 20, 6
"""The smallest chart; anything smaller is blank."""
NO_MAP = "this panel is a map of colours, which has no chart in text; `tuitrain watch` shows it"
_ROWS_WITH_NAME = 9
"""From this height on the x axis has its name below the ticks."""


def chart_text(plot: Plot | HeatMap, columns: int, rows: int, color: bool, options: ChartOptions | None = None) -> str:
    """The chart as text, each line ending in a newline; color: with escape sequences, else without control codes."""
    if isinstance(plot, Plot) and not color:
        plot = plot.uncoloured
    return render(draw_text(plot, columns, rows, options), color)


def without_focus(plot: Plot | HeatMap) -> Plot | HeatMap:
    """A plot of several runs without the newest value and the events of the one in focus, which text does not show."""
    if isinstance(plot, HeatMap):
        return plot
    metric = metric_of(plot.metric)
    return replace(plot, title=metric.label if plot.title == metric.title else plot.title, value="", markers=())


def draw_text(plot: Plot | HeatMap, columns: int, rows: int, options: ChartOptions | None = None) -> list[Line]:
    """The chart with title, legend and axes, as `rows` lines of exactly `columns` terminal cells."""
    if columns < LEAST_COLUMNS or rows < LEAST_ROWS:
        return [fit((), max(columns, 0))] * max(rows, 0)
    if isinstance(plot, HeatMap):
        plot = replace(plot.as_plot, empty=plot.empty if not len(plot.x) else NO_MAP)
    if not plot.has_data:
        return _without_data(plot, columns, rows)
    options = options or ChartOptions()
    # Nothing is added to this text: the axes end where the data end.
    plot = replace(plot, growing=False)
    shown = limits(plot, options)
    head = _head(plot, shown, columns, (rows - 3) // 3)
    named = rows >= _ROWS_WITH_NAME
    canvas_rows = rows - len(head) - 2 - named
    ticks = y_ticks(shown.y, max(1, (canvas_rows + 1) // 3), plot.log)
    gutter = max((len(text) for _, text in ticks), default=0)
    scale = XScale(plot.x_axis, shown.x, columns - gutter - 1, shown.log_x)
    chart = _new_chart(scale.columns, canvas_rows)
    _add_axes(chart, scale, shown.y, ticks, canvas_rows, named)
    chart.set_size([columns, rows - len(head)])
    canvas = Canvas(scale.columns, canvas_rows)
    plot = uncrowded(plot, scale.values, scale.columns)
    draw_layers(canvas, plot, scale, shown.y, ticks, options, partial(rasterize, chart=chart))
    frame = ["".join(row) for row in reversed(chart.matrix.marker)]
    left = [Span(row[: gutter + 1], "axis") for row in frame[:canvas_rows]]
    body = [(labels, *cells) for labels, cells in zip(left, canvas.lines(), strict=True)]
    return [*head, *body, *((Span(row, "axis"),) for row in frame[canvas_rows:])]


def rasterize(
    strokes: Sequence[Stroke], y: Range, columns: int, rows: int, chart: Any = None
) -> tuple[NDArray[np.uint8], Owner]:
    """The same as `raster.rasterize`, but for floating-point errors of plotext. chart: an empty one, with its axes."""
    chart = chart or _new_chart(columns, rows)
    for index, each in enumerate(strokes):
        joined = bool(each.joined.all())
        heights = pixel(np.clip(each.y, y.low, y.high), y.low, y.high, Y_DOTS * rows)
        # plotext joins all points of a curve, and of several curves in one cell it shows only the last.
        x, heights = (each.x, heights) if joined else walk(each, y, Y_DOTS * rows)
        # The colour is the number of the stroke, and read back from the cells.
        chart.draw(x.tolist(), heights.tolist(), lines=joined, marker="braille", color=(0, *divmod(index, 256)))
    chart.build_plot()
    canvas = slice(None, -rows - 1, -1), slice(-columns, None)
    colours = [row[canvas[1]] for row in chart.matrix.fullground[canvas[0]]]
    codes = np.array([[ord(sign) for sign in row[canvas[1]]] for row in chart.matrix.marker[canvas[0]]])
    owner = np.array([[256 * each[1] + each[2] if isinstance(each, tuple) else -1 for each in row] for row in colours])
    return np.where(owner < 0, 0, codes - BLANK).astype(np.uint8), owner


def _new_chart(columns: int, rows: int) -> Any:
    """A chart of plotext without axes, which counts the dots of the canvas, from the left and from the bottom."""
    # Imported here: it takes 60 ms, which only commands that draw should pay.
    import plotext

    # A figure of its own: plotext's functions draw on the one that `main` returns, which no two threads can use.
    chart = type(plotext.main())().monitor
    chart.set_theme("clear")
    chart.set_size([columns, rows])
    chart.set_frame(False)
    chart.set_xticks([], [])
    chart.set_yticks([], [])
    chart.set_xlim(0, X_DOTS * columns - 1)
    chart.set_ylim(0, Y_DOTS * rows - 1)
    # Without any point it draws no axes.
    chart.draw([0], [0], lines=False, marker=" ")
    return chart


def _add_axes(chart: Any, scale: XScale, y: Range, ticks: Sequence[Tick], rows: int, named: bool) -> None:
    """Add the axes at the left and below, the lower one with its name if there is room for it."""
    x_ticks = scale.ticks()
    chart.set_xaxes(True, False)
    chart.set_yaxes(True, False)
    # plotext has the middle of a cell at its share of the way from the first to the last dot.
    across = [at * (X_DOTS * scale.columns - 1) / max(scale.columns - 1, 1) for at, _ in x_ticks]
    heights = [(rows - 1 - row_of(at, y, rows)) * (Y_DOTS * rows - 1) / max(rows - 1, 1) for at, _ in ticks]
    # Not by set_xticks: that puts them in a random order, and the first of two labels that touch is written.
    chart.xticks[0], chart.xlabels[0] = across, [text for _, text in x_ticks]
    chart.yticks[0], chart.ylabels[0] = heights, [text for _, text in ticks]
    chart.set_xlabel(x_title(scale.name) + (", log" if scale.log else "") if named else None)


def _head(plot: Plot, shown: Limits, columns: int, most: int) -> list[Line]:
    """Title, newest value and legend, in at most so many lines; `…` where entries of the legend do not fit."""
    title = line(Span(plot.title, "title"), Span(f" {plot.value}" if plot.value else "", "value"))
    legend = legend_of(plot, shown.outliers and f"{shown.outliers} the axis")
    entries = [*legend.curves, *legend.points, *legend.levels, *legend.notes, *legend.events]
    first, *others = wrapped(entries, columns - width(title) - width(GAP), columns)
    lines = [crop(join((title, *first), GAP), columns), *(crop(join(row, GAP), columns) for row in others)]
    if len(lines) > most:
        lines = [*lines[: most - 1], (*crop(lines[most - 1], columns - 2), Span(" …", "quiet"))]
    if plot.note and len(lines) < most:
        lines.append(line(Span(plot.note, "quiet")))
    return [fit(each, columns) for each in lines]


def _without_data(plot: Plot, columns: int, rows: int) -> list[Line]:
    """The title, and why there is nothing to draw in the middle."""
    sentence = textwrap.wrap(plot.empty, columns - 4)[: rows - 2]
    above = (rows - 1 - len(sentence)) // 2
    body = [*[""] * above, *(f"{' ' * ((columns - len(row)) // 2)}{row}" for row in sentence)]
    lines = [line(Span(plot.title, "title")), *(line(Span(row, "quiet")) for row in body)]
    return [fit(each, columns) for each in [*lines, *[()] * (rows - len(lines))]]
