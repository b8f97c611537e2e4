"""A chart as lines of text: what is plotted, and its drawing by plotext into a frame with axes.

Pure functions without a terminal: the chart widget and `watch --once` draw with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.analysis.decimate import m4, pixel
from tuitrain.analysis.series import AXIS_TITLES
from tuitrain.runs import FloatArray
from tuitrain.tui import axes as ax
from tuitrain.tui.axes import Axes, Range, XAxis
from tuitrain.tui.text import Line, Span, crop, fit, join, line, width, wrap

NO_DATA = "no data yet"
_STAR = "★"
_NON_FINITE = "×"
_LEAST_SPAN = 0.15
"""Least height of the y range, as a share of the largest value."""
_ROWS_WITH_NOTE = 8
_CROWDED = 6
"""Columns a star needs for itself; where there are more stars than that, a line joins them."""


@dataclass(frozen=True)
class Curve:
    """A line through points with x never decreasing; nan and inf interrupt it and are marked. glyph: at its end."""

    x: FloatArray
    y: FloatArray
    role: str
    name: str = ""
    glyph: str = ""


@dataclass(frozen=True)
class Points:
    """Single points, each a star."""

    x: FloatArray
    y: FloatArray
    role: str
    name: str = ""


@dataclass(frozen=True)
class Level:
    """A dashed horizontal line."""

    y: float
    role: str
    name: str = ""
    in_range: bool = True
    """Whether the y axis stretches to show it; otherwise it shows only where the data reach it."""


@dataclass(frozen=True)
class Plot:
    """One chart. Later curves lie over earlier ones; `growing`: more points may come, so axes keep room."""

    title: str
    value: str = ""
    curves: tuple[Curve, ...] = ()
    points: tuple[Points, ...] = ()
    levels: tuple[Level, ...] = ()
    x_axis: XAxis = "step"
    log: bool = False
    from_zero: bool = False
    clip: bool = False
    """Leave outliers out of the y range; the legend says how many."""
    growing: bool = True
    empty: str = NO_DATA
    note: str = ""
    """A sentence below the title, where there are rows for it."""

    @property
    def parts(self) -> tuple[Curve | Points, ...]:
        """All that has points."""
        return (*self.curves, *self.points)

    @property
    def has_data(self) -> bool:
        """Whether there is any point to draw, finite or not."""
        return any(len(part.x) for part in self.parts)


class _Canvas:
    """A grid of cells, row 0 on top, with braille pixels of 2 × 4 a cell behind it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.text = [[" "] * columns for _ in range(rows)]
        self.role = [[""] * columns for _ in range(rows)]

    def put(self, column: int, row: int, text: str, role: str) -> None:
        if 0 <= row < self.rows and 0 <= column < self.columns:
            self.text[row][column], self.role[row][column] = text, role

    def line(self, row: int) -> Line:
        spans: list[Span] = []
        start = 0
        roles = self.role[row]
        for column in range(1, self.columns + 1):
            if column == self.columns or roles[column] != roles[start]:
                spans.append(Span("".join(self.text[row][start:column]), roles[start] or "text"))
                start = column
        return tuple(spans)


def draw(
    plot: Plot, columns: int, rows: int, before: Axes | None = None, focus: bool = False
) -> tuple[list[Line], Axes | None]:
    """The chart in columns × rows cells with its frame, and the axes it used, for the next drawing."""
    if columns < 8 or rows < 3:
        return [line(" " * max(columns, 0))] * max(rows, 0), before
    frame = "frame.focus" if focus else "frame"
    if not plot.has_data:
        return _empty(plot, columns, rows, frame), None
    plot = _uncrowded(plot, columns)
    axes = _axes(plot, before)
    noted = bool(plot.note) and rows >= _ROWS_WITH_NOTE
    body_rows = rows - 2 - noted
    y_ticks = _y_ticks(plot, axes.y, body_rows)
    gutter = max((len(text) for _, text in y_ticks), default=0) + 1
    if columns - 2 - gutter < 8:
        y_ticks, gutter = [], 0
    canvas = _Canvas(columns - 3 - gutter, body_rows)
    _draw_data(canvas, plot, axes)
    lines = [_top(plot, columns, frame, _outliers(plot, axes.y))]
    if noted:
        lines.append((Span("│", frame), *fit(line(Span(f" {plot.note}", "quiet")), columns - 2), Span("│", frame)))
    named = {_row(position, axes.y, body_rows): text for position, text in y_ticks}
    for row in range(body_rows):
        text = named.get(row, "").rjust(gutter - 1)
        gutter_spans = (Span(text + " ", "axis"),) if gutter else ()
        lines.append((Span("│", frame), *gutter_spans, *canvas.line(row), Span(" "), Span("│", frame)))
    lines.append(_bottom(plot, columns, gutter, axes.x, canvas.columns, frame))
    return lines, axes


def _uncrowded(plot: Plot, columns: int) -> Plot:
    """The plot with points that would hide the curves joined to a line that ends in a star, or thinned out.

    Those of one run alone have a name of their own and become a line; of several runs every so many-th stays.
    """
    curves, points = list(plot.curves), []
    for each in plot.points:
        surplus = -(-len(each.x) * _CROWDED // columns)
        if surplus <= 1:
            points.append(each)
        elif each.name:
            curves.append(Curve(each.x, each.y, each.role, each.name, _STAR))
        else:
            points.append(Points(each.x[::surplus], each.y[::surplus], each.role))
    return replace(plot, curves=tuple(curves), points=tuple(points))


def _axes(plot: Plot, before: Axes | None) -> Axes:
    """Ranges that hold all finite data, as near as possible to those of the last drawing."""
    xs = [part.x for part in plot.parts if len(part.x)]
    low, high = min(float(x[0]) for x in xs), max(float(x[-1]) for x in xs)
    x = ax.grown(before.x if before else None, low, high, steady=plot.growing, axis=plot.x_axis)
    values = [_scaled(part.y, plot.log) for part in plot.parts]
    values += [_scaled(np.array([level.y]), plot.log) for level in plot.levels if level.in_range]
    finite = [found for found in (value[np.isfinite(value)] for value in values) if len(found)]
    if not finite:
        return Axes(x, Range(0, 1))
    bottom, top = min(float(v.min()) for v in finite), max(float(v.max()) for v in finite)
    if plot.clip:
        fences = [_fences(value) for value in finite]
        bottom, top = max(bottom, min(low for low, _ in fences)), min(top, max(high for _, high in fences))
    if plot.from_zero and not plot.log:
        bottom = min(bottom, 0.0)
    elif not plot.log and 0 < top - bottom < _LEAST_SPAN * abs(top):
        # Noise of a per cent on a steady value should look like that, and not like a mountain range.
        middle, half = (top + bottom) / 2, _LEAST_SPAN / 2 * abs(top)
        bottom, top = middle - half, middle + half
    return Axes(x, ax.settled(before.y if before else None, bottom, top))


def _fences(values: FloatArray) -> tuple[float, float]:
    """Between these lie all values but outliers: the 2nd and 98th percentile, and as much again beyond each."""
    low, high = np.percentile(values, (2, 98))
    margin = max(float(high - low), _LEAST_SPAN / 2 * abs(float(high)))
    return float(low) - margin, float(high) + margin


def _outliers(plot: Plot, axis: Range) -> str:
    """How many points lie beyond the y range, as `1 below`."""
    above = below = 0
    for curve in plot.curves:
        if curve.glyph or curve is plot.curves[0]:
            y = _scaled(curve.y, plot.log)
            above += int((y > axis.high).sum())
            below += int((y < axis.low).sum())
    return ", ".join(f"{count} {where}" for count, where in ((above, "above"), (below, "below")) if count)


def _scaled(values: FloatArray, log: bool) -> FloatArray:
    """Values as the y axis holds them; what has no logarithm is nan."""
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled: FloatArray = np.where(values > 0, np.log10(values), np.nan)
    return scaled


def _draw_data(canvas: _Canvas, plot: Plot, axes: Axes) -> None:
    for position, _ in _y_ticks(plot, axes.y, canvas.rows):
        row = _row(position, axes.y, canvas.rows)
        for column in range(canvas.columns):
            canvas.put(column, row, "·" if column % 2 else " ", "grid")
    for level in plot.levels:
        position = float(_scaled(np.array([level.y]), plot.log)[0])
        if axes.y.low <= position <= axes.y.high:
            row = _row(position, axes.y, canvas.rows)
            for column in range(canvas.columns):
                canvas.put(column, row, "╌", level.role)
    _draw_curves(canvas, plot, axes)
    for points in plot.points:
        rows = _row_of(_scaled(points.y, plot.log), axes.y, canvas.rows)
        for column, row in zip(_column(points.x, axes.x, canvas.columns), rows, strict=True):
            canvas.put(int(column), int(row), _STAR, points.role)
    for curve in plot.curves:
        y = _scaled(curve.y, plot.log)
        broken = ~np.isfinite(y)
        for column in np.unique(_column(curve.x[broken], axes.x, canvas.columns)):
            canvas.put(int(column), canvas.rows - 1, _NON_FINITE, "bad")
        finite = np.flatnonzero(~broken)
        if curve.glyph and len(finite):
            last = finite[-1:]
            row = _row_of(y[last], axes.y, canvas.rows)[0]
            canvas.put(int(_column(curve.x[last], axes.x, canvas.columns)[0]), int(row), curve.glyph, curve.role)


def _draw_curves(canvas: _Canvas, plot: Plot, axes: Axes) -> None:
    """The lines, by plotext: a plot of its own for each drawing, since its limits and scales stick to it."""
    from plotext._date import date_class
    from plotext._monitor import monitor_class

    figure = monitor_class()
    figure.set_date(date_class())
    figure.set_size([canvas.columns, canvas.rows])
    figure.set_frame(False)
    figure.set_xticks([], [])
    figure.set_yticks([], [])
    # Data reach plotext as pixel numbers: its limits are then the canvas, and nothing is left to round differently.
    figure.set_xlim(0, 2 * canvas.columns - 1)
    figure.set_ylim(0, 4 * canvas.rows - 1)
    drawn = False
    for index, curve in enumerate(plot.curves):
        for columns, rows in _strokes(curve, plot.log, axes, canvas):
            figure.draw(columns, rows, lines=True, marker="braille", color=index + 1)
            drawn = True
    if not drawn:
        return
    figure.build_plot()
    cells, colours = figure.matrix.marker, figure.matrix.fullground
    for row in range(canvas.rows):
        source = canvas.rows - 1 - row
        for column, text in enumerate(cells[source]):
            if text != " " and isinstance(colours[source][column], int):
                canvas.put(column, row, text, plot.curves[colours[source][column] - 1].role)


def _strokes(curve: Curve, log: bool, axes: Axes, canvas: _Canvas) -> list[tuple[list[int], list[int]]]:
    """The decimated line in pixels, in one piece for each stretch without a gap that is a pixel wide or more."""
    y = _scaled(curve.y, log)
    keep = np.flatnonzero(np.isfinite(y) & (curve.x >= axes.x.low) & (curve.x <= axes.x.high))
    if not len(keep):
        return []
    x_pixels = pixel(curve.x[keep], axes.x.low, axes.x.high, 2 * canvas.columns)
    chosen = m4(x_pixels, y[keep])
    # A point beyond the range is drawn at its edge: plotext would walk all the way to it.
    inside = np.clip(y[keep[chosen]], axes.y.low, axes.y.high)
    y_pixels = pixel(inside, axes.y.low, axes.y.high, 4 * canvas.rows)
    missing = np.cumsum(~np.isfinite(y))[keep[chosen]]
    x_pixels = x_pixels[chosen]
    breaks = np.flatnonzero((np.diff(missing) > 0) & (np.diff(x_pixels) > 0)) + 1
    return [
        (columns.tolist(), rows.tolist())
        for columns, rows in zip(np.split(x_pixels, breaks), np.split(y_pixels, breaks), strict=True)
    ]


def _column(x: FloatArray, axis: Range, columns: int) -> FloatArray:
    return pixel(x, axis.low, axis.high, 2 * columns) // 2  # type: ignore[return-value]


def _row_of(y: FloatArray, axis: Range, rows: int) -> FloatArray:
    """Cell rows from the top; values outside lie at the edge, those without a number nowhere (-1)."""
    inside = np.clip(np.nan_to_num(y, nan=axis.low), axis.low, axis.high)
    found = rows - 1 - pixel(inside, axis.low, axis.high, 4 * rows) // 4
    return np.where(np.isnan(y), -1, found)


def _row(y: float, axis: Range, rows: int) -> int:
    return int(_row_of(np.array([y]), axis, rows)[0])


def _y_ticks(plot: Plot, axis: Range, rows: int) -> list[tuple[float, str]]:
    """Positions on the axis with their labels, one for every three rows or so."""
    count = max(2, rows // 3)
    if not plot.log:
        positions, step = ax.ticks(axis, count)
        return list(zip(positions, ax.labels(positions, step), strict=True))
    return [(p, ax.label(10**p, 10.0 ** (math.floor(p + 1e-9) - 1))) for p in ax.log_ticks(axis, count)]


def _top(plot: Plot, columns: int, frame: str, outliers: str = "") -> Line:
    """The upper border: title and newest value at the left, the legend at the right where there is room."""
    title = [Span("╭ ", frame), Span(plot.title, "title")]
    if plot.value:
        title += [Span(" "), Span(plot.value, "value")]
    title.append(Span(" ", frame))
    left = tuple(title)
    if width(left) > columns - 2:
        left = (*crop(left, columns - 3), Span(" ", frame))
    legend = _legend(plot, columns - width(left) - 4, outliers)
    middle = columns - width(left) - width(legend) - (3 if legend else 1)
    right = (Span(" "), *legend, Span(" ", frame)) if legend else ()
    return (*left, Span("─" * middle, frame), *right, Span("╮", frame))


def _legend(plot: Plot, room: int, outliers: str) -> Line:
    """Names with their marks, as many as fit; where those of several runs do not, their marks alone."""
    named = sorted((curve for curve in plot.curves if curve.name), key=lambda curve: curve.role)
    marks = [line(Span(curve.glyph or "─", curve.role)) for curve in named]
    curves = [line(*mark, Span(f" {curve.name}", "quiet")) for mark, curve in zip(marks, named, strict=True)]
    points = [line(Span(_STAR, p.role), Span(f" {p.name}", "quiet")) for p in plot.points if p.name and len(p.x)]
    notes = [line(Span(text, "quiet")) for text in (outliers, "log" if plot.log else "") if text]
    levels = [line(Span("╌", v.role), Span(f" {v.name}", "quiet")) for v in plot.levels if v.name]
    gap = line("  ")
    several = sum(bool(curve.glyph) for curve in named) > 1
    if several and width(join(curves, gap)) > room:
        curves = marks
    # A level cannot be told without its name; what is smooth and what is raw can be seen.
    ranked = [*curves, *points, *notes, *levels] if several else [*levels, *notes, *curves, *points]
    kept = next(n for n in range(len(ranked), -1, -1) if width(join(ranked[:n], gap)) <= max(room, 0))
    shown = ranked[:kept]
    return join((entry for entry in (*curves, *points, *notes, *levels) if entry in shown), gap)


def _bottom(plot: Plot, columns: int, gutter: int, axis: Range, canvas: int, frame: str) -> Line:
    """The lower border with the x axis in it: tick labels under their columns, its name at the left."""
    cells = ["─"] * (columns - 2)
    roles = [frame] * (columns - 2)
    step = _x_step(axis, plot.x_axis, canvas)
    title = AXIS_TITLES[plot.x_axis]
    _write(cells, roles, 0, f" {title} ", "quiet")
    taken = len(title) + 2
    for value in ax.ticks(axis, 1, step)[0]:
        text = ax.time_label(value, step) if plot.x_axis == "time" else ax.label(value, step)
        at = gutter + int(_column(np.array([value]), axis, canvas)[0]) - len(text) // 2
        start = min(at, len(cells) - len(text) - 1)
        if start > taken:
            _write(cells, roles, start - 1, f" {text} ", "axis")
            taken = start + len(text) + 1
    spans: list[Span] = [Span("╰", frame)]
    start = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or roles[index] != roles[start]:
            spans.append(Span("".join(cells[start:index]), roles[start]))
            start = index
    return (*spans, Span("╯", frame))


def _x_step(axis: Range, name: XAxis, columns: int) -> float:
    span, count = axis.high - axis.low, max(2, columns // 9)
    if name == "time":
        return ax.time_step(span, count)
    step = ax.round_step(span, count)
    # There is no step 2.5.
    return math.ceil(step) if step in (2.5, 0.5, 0.25) or step < 1 else step


def _write(cells: list[str], roles: list[str], start: int, text: str, role: str) -> None:
    for index, character in enumerate(text, start):
        if 0 <= index < len(cells):
            cells[index], roles[index] = character, role


def _empty(plot: Plot, columns: int, rows: int, frame: str) -> list[Line]:
    """The frame around a quiet sentence."""
    inner = columns - 2
    words = wrap(plot.empty, max(inner - 4, 2))[: rows - 2]
    first = max(0, (rows - 2 - len(words)) // 2)
    lines = [_top(plot, columns, frame)]
    for row in range(rows - 2):
        text = words[row - first] if 0 <= row - first < len(words) else ""
        lines.append((Span("│", frame), Span(text.center(inner), "quiet"), Span("│", frame)))
    lines.append(line(Span("╰" + "─" * inner + "╯", frame)))
    return lines
