"""A plot as lines of text, drawn with plotext. No other module imports plotext.

plotext draws into braille cells and sets the axes around them. What to draw comes from the same model and the same
limits as everywhere else, in dots of the canvas: plotext's own logarithm, limits, labels and dates have faults.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from tuitrain.analysis.decimate import IndexArray, pixel
from tuitrain.analysis.metrics import metric_of
from tuitrain.plots.axes import X_TITLES, Range
from tuitrain.plots.event_markers import SIGNS, markers_by_column
from tuitrain.plots.limits import Limits, limits, scaled
from tuitrain.plots.model import ChartOptions, Curve, HeatMap, Plot
from tuitrain.plots.strokes import BROKEN_SIGNS, stroke, uncrowded, walk
from tuitrain.plots.terminal import Line, Span, crop, fit, line, render, width
from tuitrain.plots.ticks import Tick, y_ticks
from tuitrain.plots.x_scale import X_DOTS, XScale
from tuitrain.runs import FloatArray

LEAST_COLUMNS, LEAST_ROWS = 20, 6
"""The smallest chart; anything smaller is blank."""
NO_MAP = "this panel is a map of colours, which has no chart in text; `tuitrain watch` shows it"
_Y_DOTS = 4
"""Rows of dots of a braille character."""
_ROWS_WITH_NAME = 9
"""From this height on the x axis has its name below the ticks."""
_GLYPH_EVERY = 24
"""Columns between the glyphs along a curve."""
_BACKGROUND = " ·╌"
"""Signs that are no part of a curve."""
_GAP = Span("  ")


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
    ticks = _y_ticks(plot, shown.y, canvas_rows)
    gutter = max((len(text) for _, text in ticks), default=0)
    scale = XScale(plot.x_axis, shown.x, columns - gutter - 1, shown.log_x)
    figure = _Figure(scale.columns, canvas_rows)
    _draw(figure, plot, scale, shown.y, options)
    figure.frame(scale, [(_row(at, shown.y, canvas_rows), text) for at, text in ticks], gutter, named)
    return [*head, *figure.lines()]


def draw_canvas(plot: Plot, scale: XScale, y: Range, rows: int, options: ChartOptions) -> list[Line]:
    """Only what lies between the axes, as `rows` lines of the width of the horizontal axis."""
    figure = _Figure(scale.columns, rows)
    _draw(figure, plot, scale, y, options)
    return figure.lines()


def _y_ticks(plot: Plot, y: Range, rows: int) -> list[Tick]:
    return y_ticks(y, max(2, rows // 3), plot.log)


class _Figure:
    """One chart of plotext whose axes count the dots of the canvas, from the left and from the bottom.

    The colour of each role is a number, which stands for the role in the cells that plotext returns.
    """

    def __init__(self, columns: int, rows: int) -> None:
        # Imported here: it takes 60 ms, which only commands that draw should pay.
        from plotext._date import date_class
        from plotext._monitor import monitor_class

        self.columns, self.rows = columns, rows
        self._size = [columns, rows]
        self._roles = ["axis"]
        self._markers: list[tuple[int, str, int]] = []
        self._glyphs: list[tuple[int, str, int]] = []
        self._chart = monitor_class()
        self._chart.set_date(date_class())
        self._chart.set_theme("clear")
        self._chart.set_ticks_color(0)
        self._chart.set_frame(False)
        self._chart.set_xticks([], [])
        self._chart.set_yticks([], [])
        self._chart.set_xlim(0, X_DOTS * columns - 1)
        self._chart.set_ylim(0, _Y_DOTS * rows - 1)

    def line(self, x: IndexArray, y: IndexArray, role: str, *, joined: bool = True) -> None:
        """Draw points, given in dots, and join them by a line."""
        self._chart.draw(x.tolist(), y.tolist(), lines=joined, marker="braille", color=self._colour(role))

    def put(self, columns: ArrayLike, rows: ArrayLike, sign: str, role: str) -> None:
        """Write a sign into cells, counted from the left and from the bottom."""
        x, y = np.broadcast_arrays(self._x(columns), self._y(rows))
        if x.size:
            self._chart.draw(x.ravel().tolist(), y.ravel().tolist(), lines=False, marker=sign, color=self._colour(role))

    def mark(self, column: int, sign: str, role: str) -> None:
        """Write a sign into the lowest cell of a column, or where a curve is there into the highest."""
        self._markers.append((column, sign, self._colour(role)))

    def label(self, column: int, sign: str, role: str) -> None:
        """Write a sign on the line of this role, where nothing lies over it in this column."""
        self._glyphs.append((column, sign, self._colour(role)))

    def frame(self, scale: XScale, y_ticks: Sequence[tuple[int, str]], gutter: int, named: bool) -> None:
        """Add the axes at the left and below. y_ticks: rows with labels, for which there are `gutter` columns."""
        x_ticks = scale.ticks()
        self._chart.set_xaxes(True, False)
        self._chart.set_yaxes(True, False)
        self._chart.set_xticks(self._x([at for at, _ in x_ticks]).tolist(), [text for _, text in x_ticks])
        self._chart.set_yticks(self._y([at for at, _ in y_ticks]).tolist(), [text for _, text in y_ticks])
        self._chart.set_xlabel(X_TITLES[scale.name] + (", log" if scale.log else "") if named else None)
        self._size = [self.columns + gutter + 1, self.rows + 2 + named]

    def lines(self) -> list[Line]:
        """Draw, once, and return the rows from the top. Blank cells take the role of what is left of them."""
        self._chart.set_size(self._size)
        self._chart.build_plot()
        self._write_signs()
        cells = self._chart.matrix
        found = []
        for signs, colours in zip(reversed(cells.marker), reversed(cells.fullground), strict=True):
            texts, roles = [""], ["axis"]
            for sign, colour in zip(signs, colours, strict=True):
                role = roles[-1] if sign == " " else self._roles[colour] if isinstance(colour, int) else "text"
                if role != roles[-1]:
                    texts.append("")
                    roles.append(role)
                texts[-1] += sign
            found.append(tuple(Span(text, role) for text, role in zip(texts, roles, strict=True) if text))
        return found

    def _write_signs(self) -> None:
        """Write what depends on the cells that the lines take."""
        cells = self._chart.matrix
        left, bottom = self._size[0] - self.columns, self._size[1] - self.rows
        for column, sign, colour in self._glyphs:
            column += left
            rows = [row for row in reversed(range(bottom, bottom + self.rows))
                    if cells.fullground[row][column] == colour and _is_line(cells.marker[row][column])]  # fmt: skip
            if rows:
                cells.insert_element(column, rows[len(rows) // 2], sign, colour)
        for column, sign, colour in self._markers:
            ends = (bottom, bottom + self.rows - 1)
            free = [row for row in ends if cells.marker[row][left + column] in _BACKGROUND]
            if free:
                cells.insert_element(left + column, free[0], sign, colour)

    def _colour(self, role: str) -> int:
        if role not in self._roles:
            self._roles.append(role)
        return self._roles.index(role)

    def _x(self, columns: ArrayLike) -> FloatArray:
        """Where the axis has the middle of a cell."""
        return np.asarray(columns, dtype=np.float64) * (X_DOTS * self.columns - 1) / max(self.columns - 1, 1)

    def _y(self, rows: ArrayLike) -> FloatArray:
        return np.asarray(rows, dtype=np.float64) * (_Y_DOTS * self.rows - 1) / max(self.rows - 1, 1)


def _draw(figure: _Figure, plot: Plot, scale: XScale, y: Range, options: ChartOptions) -> None:
    """All that lies between the axes; what comes later lies on top."""
    plot = uncrowded(plot, scale.values, scale.columns)
    every = np.arange(figure.columns)
    for position, _ in _y_ticks(plot, y, figure.rows):
        figure.put(every[1::2], _row(position, y, figure.rows), "·", "grid")
    for level in plot.levels:
        position = float(scaled(np.array([level.y]), plot.log)[0])
        if y.low <= position <= y.high:
            figure.put(every, _row(position, y, figure.rows), "╌", level.role)
    for column, marker in markers_by_column(plot.markers, scale).items():
        if marker.kind == "restart":
            figure.put(column, np.arange(figure.rows), SIGNS[marker.kind], marker.role)
        else:
            figure.mark(column, SIGNS[marker.kind], marker.role)
    if options.crosshair is not None and (column := scale.column(options.crosshair)) >= 0:
        figure.put(column, np.arange(figure.rows), "│", "crosshair")
    strokes = [(curve, stroke(curve, scale, plot.log)) for curve in plot.lines]
    dots = [
        (curve, drawn.x, pixel(np.clip(drawn.y, y.low, y.high), y.low, y.high, _Y_DOTS * figure.rows))
        for curve, drawn in strokes
    ]
    for (_, drawn), (curve, across, heights) in zip(strokes, dots, strict=True):
        if drawn.joined.all():
            figure.line(across, heights, curve.role)
        else:
            # plotext joins all points of a curve, and of several curves in one cell it shows only the last.
            figure.line(*walk(drawn, y, _Y_DOTS * figure.rows), curve.role, joined=False)
    for points in plot.points:
        columns, values = scale.columns_of(points.x), scaled(points.y, plot.log)
        shown = (columns >= 0) & np.isfinite(values)
        figure.put(columns[shown], _rows(values[shown], y, figure.rows), points.glyph, points.role)
    for _, drawn in strokes:
        for sign, columns, row in zip(BROKEN_SIGNS, drawn.broken, (0, figure.rows - 1, 0), strict=True):
            figure.put(np.flatnonzero(columns), row, sign, "bad")
    _draw_glyphs(figure, dots)


def _draw_glyphs(figure: _Figure, dots: Sequence[tuple[Curve, IndexArray, IndexArray]]) -> None:
    """The glyph of a curve at its end, and where there are several also along it: they differ without colour."""
    marked = [each for each in dots if each[0].glyph and len(each[1])]
    for number, (curve, across, heights) in enumerate(marked):
        first = _GLYPH_EVERY // 4 + _GLYPH_EVERY * number // len(marked)
        for column in range(first, figure.columns, _GLYPH_EVERY) if len(marked) > 1 else ():
            figure.label(column, curve.glyph, curve.role)
        figure.put(across[-1] // X_DOTS, heights[-1] // _Y_DOTS, curve.glyph, curve.role)


def _is_line(sign: str) -> bool:
    return "\u2800" < sign <= "\u28ff"


def _rows(values: FloatArray, axis: Range, rows: int) -> IndexArray:
    """The row of each value from the bottom; values outside the axis are at its edge."""
    return np.asarray(pixel(np.clip(values, axis.low, axis.high), axis.low, axis.high, _Y_DOTS * rows) // _Y_DOTS)


def _row(value: float, axis: Range, rows: int) -> int:
    return int(_rows(np.array([value]), axis, rows)[0])


def _head(plot: Plot, shown: Limits, columns: int, most: int) -> list[Line]:
    """Title, newest value and legend, in at most so many lines; `…` where entries of the legend do not fit."""
    title = line(Span(plot.title, "title"), Span(f" {plot.value}" if plot.value else "", "value"))
    lines = [crop(title, columns)]
    for entry in _legend(plot, shown):
        if width(lines[-1]) + len(_GAP.text) + width(entry) <= columns:
            lines[-1] = (*lines[-1], _GAP, *entry)
        elif len(lines) < most:
            lines.append(crop(entry, columns))
        else:
            lines[-1] = (*crop(lines[-1], columns - 2), Span(" …", "quiet"))
            break
    if plot.note and len(lines) < most:
        lines.append(line(Span(plot.note, "quiet")))
    return [fit(each, columns) for each in lines]


def _legend(plot: Plot, limits: Limits) -> Iterable[Line]:
    """An entry for everything that has a sign: curves, points, levels, what is not shown, marks."""

    def entry(sign: str, role: str, name: str) -> Line:
        return line(Span(sign, role), Span(f" {name}", "quiet"))

    for curve in sorted(plot.curves, key=lambda curve: (curve.order, curve.role)):
        if curve.name:
            yield entry(curve.glyph or "─", curve.role, curve.name)
    shown = [points for points in plot.points if len(points.x)]
    yield from (entry(points.glyph, points.role, points.name) for points in shown if points.name)
    if unnamed := [Span(points.glyph, points.role) for points in shown if not points.name]:
        yield line(*unnamed, Span(" validation", "quiet"))
    yield from (entry("╌", level.role, level.name) for level in plot.levels if level.name)
    if plot.log:
        yield line(Span("log", "quiet"))
    for count, where in ((limits.above, "above"), (limits.below, "below")):
        if count:
            yield line(Span(f"{count:,} {where} the axis", "quiet"))
    for marker in {marker.kind: marker for marker in plot.markers}.values():
        yield entry(SIGNS[marker.kind], marker.role, marker.kind)


def _without_data(plot: Plot, columns: int, rows: int) -> list[Line]:
    """The title, and why there is nothing to draw in the middle."""
    sentence = textwrap.wrap(plot.empty, columns - 4)[: rows - 2]
    above = (rows - 1 - len(sentence)) // 2
    body = [*[""] * above, *(f"{' ' * ((columns - len(row)) // 2)}{row}" for row in sentence)]
    lines = [line(Span(plot.title, "title")), *(line(Span(row, "quiet")) for row in body)]
    return [fit(each, columns) for each in [*lines, *[()] * (rows - len(lines))]]
