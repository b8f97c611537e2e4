"""One frame of the dashboard as text: for pipes, logs, screen readers and `watch --once`. Textual is not started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rich.color import ColorSystem

from tuitrain.runs import RunDirectory, RunHistory, derive_status, drain
from tuitrain.runs.follow import LogFollower
from tuitrain.tui.charts.axes import XAxis
from tuitrain.tui.charts.drawing import draw
from tuitrain.tui.charts.plot import Plot
from tuitrain.tui.content.headline import header
from tuitrain.tui.content.tabs import alert_count, alerts
from tuitrain.tui.layout import HEADER_ROWS
from tuitrain.tui.panels import OVERVIEW
from tuitrain.tui.state import Board, RunView
from tuitrain.tui.text import Line, Span, line
from tuitrain.tui.theme import terminal_palette

LEAST_ROWS = 9
MOST_ROWS = 16


def render_frame(
    runs: Sequence[RunDirectory | RunHistory], width: int, height: int, color: bool, *, x: XAxis = "step"
) -> str:
    """Header, numbers, charts and alerts of these runs, no line wider than `width`, ending in a newline.

    height is a wish: every panel is drawn, with at least 9 rows. color: with the terminal's sixteen colours; without,
    the text holds no control codes.
    """
    board = Board([view_of(run, index) for index, run in enumerate(runs)], x=x)
    palette = terminal_palette(color)
    system = ColorSystem.STANDARD if color else None
    rows = [
        "".join(palette[span.role].render(span.text, color_system=system) for span in _stripped(each))
        for each in frame_lines(board, width, height, color)
    ]
    return "\n".join(rows) + "\n"


def view_of(run: RunDirectory | RunHistory, index: int) -> RunView:
    """A run as the screens hold it, with all that its log says now."""
    if isinstance(run, RunHistory):
        directory, history = None, run
    else:
        directory, history = run, drain(LogFollower(run.metrics), RunHistory())
    info = directory.read_info() if directory else None
    lock = directory.lock if directory else None
    status = derive_status(info, history.end, history.last_time, len(history.steps) > 0, time.time(), lock=lock)
    return RunView(index, directory, history, status, loaded=True)


def frame_lines(board: Board, width: int, height: int, color: bool) -> list[Line]:
    """The frame: two lines of header for each run, the panels in as many columns as fit, the alerts."""
    lines: list[Line] = []
    for index in range(len(board.views)):
        board.focused = index
        lines += header(board, width)
    board.focused = 0
    columns = 3 if width >= 150 else 2 if width >= 100 else 1
    rows = -(-len(OVERVIEW) // columns)
    each_rows = max(LEAST_ROWS, min(MOST_ROWS, (height - HEADER_ROWS - 2) // rows))
    for first in range(0, len(OVERVIEW), columns):
        charts = []
        for column, panel in enumerate(OVERVIEW[first : first + columns]):
            cells = width * (column + 1) // columns - width * column // columns
            plot = panel.build(board)
            assert isinstance(plot, Plot), "The overview has no heat map."
            if not color:
                # Raw and smoothed curve differ by their colour alone.
                plot = replace(plot, curves=tuple(curve for curve in plot.curves if curve.name != "raw"))
            charts.append(draw(plot, cells, each_rows)[0])
        lines += [tuple(span for part in parts for span in part) for parts in zip(*charts, strict=True)]
    if alert_count(board):
        lines += [(), line(Span(" Alerts", "title")), *alerts(board, width)]
    return lines


def _stripped(of: Line) -> Line:
    """A line without the spaces at its end."""
    spans = list(of)
    while spans and not spans[-1].text.strip():
        spans.pop()
    if spans:
        spans[-1] = Span(spans[-1].text.rstrip(), spans[-1].role)
    return tuple(spans)
