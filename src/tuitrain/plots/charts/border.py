"""The frame of a chart: title, legend or values at the crosshair above; the horizontal axis with its ticks below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from tuitrain.plots.axes import x_title
from tuitrain.plots.canvas import Canvas
from tuitrain.plots.legend import GAP, fitting_legend
from tuitrain.plots.limits import Limits
from tuitrain.plots.model import ChartOptions, Plot
from tuitrain.plots.terminal import Line, Span, crop, join, line, width, wrap
from tuitrain.plots.ticks import range_text
from tuitrain.plots.x_scale import XScale


class Area(NamedTuple):
    """A canvas in the drawing: its first cell from the left, its horizontal axis, the limits of its axes."""

    left: int
    scale: XScale
    limits: Limits


class Drawing(NamedTuple):
    """The lines of a chart, its canvases, and the kinds of axes for which their ranges can be kept."""

    lines: list[Line]
    areas: tuple[Area, ...] = ()
    axes: tuple[object, ...] = ()


def framed(
    top: Line,
    rows: Iterable[Line],
    columns: int,
    frame: str,
    areas: tuple[Area, ...] = (),
    axes: tuple[object, ...] = (),
    options: ChartOptions | None = None,
) -> Drawing:
    """The drawing of an upper border, rows two cells narrower than it, and the lower border with the axes."""
    bottom, options = Bottom(columns, frame), options or ChartOptions()
    if areas:
        bottom.title(areas[0].scale, options.zoom is not None)
    for area in areas:
        bottom.scale(area.scale, area.left, options.crosshair)
    side = Span("│", frame)
    return Drawing([top, *((side, *row, side) for row in rows), bottom.line()], areas, axes)


def draw_empty(plot: Plot, columns: int, rows: int, frame: str) -> Drawing:
    """The frame around the sentence that is shown without data."""
    inner = columns - 2
    words = wrap(plot.empty, max(inner - 4, 2))[: rows - 2]
    first = max(0, (rows - 2 - len(words)) // 2)
    texts = [*[""] * first, *words, *[""] * (rows - 2 - first - len(words))]
    # Levels and markers belong to curves: without any there is no legend.
    head = top(Plot(plot.title, plot.value), columns, frame)
    return framed(head, [line(Span(text.center(inner), "quiet")) for text in texts], columns, frame)


def top(
    plot: Plot,
    columns: int,
    frame: str,
    outliers: str = "",
    values: Sequence[Line] | None = None,
    runs_below: bool = False,
) -> Line:
    """The upper border: title and newest value at the left, the legend at the right where there is room.

    values: those at the crosshair, in place of newest value and legend. runs_below: whether the names of the runs
    are in `legend_rows`.
    """
    title = [Span("╭ ", frame), Span(plot.title, "title")]
    if plot.value and values is None:
        title += [Span(" "), Span(plot.value, "value")]
    title.append(Span(" ", frame))
    left = tuple(title)
    if width(left) > columns - 2:
        left = (*crop(left, columns - 3), Span(" ", frame))
    room = columns - width(left) - 4
    right = fitting_legend(plot, room, outliers, runs_below) if values is None else join(values, GAP)
    if values is not None and width(right) > room:
        right = crop(right, max(room, 0))
    middle = columns - width(left) - width(right) - (3 if right else 1)
    ending = (Span(" "), *right, Span(" ", frame)) if right else ()
    return (*left, Span("─" * middle, frame), *ending, Span("╮", frame))


def room_for_values(title: str, columns: int) -> int:
    """Cells at the right of a title in the upper border."""
    return columns - cell_len(title) - 7


class Bottom:
    """The lower border. Texts written first stay; a later one that would touch them is left out."""

    def __init__(self, columns: int, frame: str) -> None:
        self._canvas = Canvas(columns, 1)
        self._canvas.put(0, 0, f"╰{'─' * (columns - 2)}╯", frame)
        self._free = [False, *[True] * (columns - 2), False]

    def write(self, start: int, text: str, role: str) -> bool:
        """Write a text with a blank at each side, which are in its role, too; False where there is no room.

        start: of the text itself, in cells from the left.
        """
        cells = slice(start - 1, start + len(text) + 1)
        if start < 2 or cells.stop > len(self._free) or not all(self._free[cells]):
            return False
        self._canvas.put(start - 1, 0, f" {text} ", role)
        self._free[cells] = [False] * (len(text) + 2)
        return True

    def scale(self, scale: XScale, left: int, crosshair: float | None) -> None:
        """The ticks of an axis whose first cell is `left`, and the exact position of the crosshair."""
        last = len(self._free) - 2
        if crosshair is not None and (column := scale.column(crosshair)) >= 0:
            text = scale.exact(crosshair)
            # At the ends it moves aside so that it stays whole.
            self.write(min(max(left + column - len(text) // 2, 2), last - len(text)), text, "value")
        for column, text in scale.ticks():
            self.write(min(left + column - len(text) // 2, last - len(text)), text, "axis")

    def title(self, scale: XScale, zoomed: bool) -> None:
        """The name of the axis at the left, with its range while zoomed."""
        name = x_title(scale.name) + (", log" if scale.log else "")
        if not (zoomed and self.write(2, f"{name} {range_text(scale.name, scale.values)}", "accent")):
            self.write(2, name, "quiet")

    def line(self) -> Line:
        """The border."""
        return self._canvas.lines()[0]
