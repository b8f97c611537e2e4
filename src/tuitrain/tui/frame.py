"""One frame of the dashboard as text: for pipes, logs, screen readers and `watch --once`. Textual is not started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from rich.color import ColorSystem

from tuitrain.plots.axes import XAxis
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.panels import OVERVIEW, panel_of
from tuitrain.runs import RunDirectory, RunHistory, derive_status, drain
from tuitrain.runs.follow import LogFollower
from tuitrain.tui.arrangement import GRID_UNITS, HEADER_ROWS, LEAST_CHART_ROWS, Row, arrange
from tuitrain.tui.charts.drawing import draw
from tuitrain.tui.content.headline import header
from tuitrain.tui.content.tabs import alert_count, alerts
from tuitrain.tui.layouts import Sizes
from tuitrain.tui.text import Line, Span, crop, line
from tuitrain.tui.theme import terminal_palette
from tuitrain.tui.view_state import RunView, ViewState

MOST_ROWS = 16
_OVERVIEW: Sizes = tuple((panel.id, 1) for panel in OVERVIEW)


def render_frame(
    runs: Sequence[RunDirectory | RunHistory],
    width: int,
    height: int,
    color: bool,
    *,
    x: XAxis = "step",
    smoothing: float = 0.9,
    panels: Sizes = _OVERVIEW,
    plotext: bool = False,
) -> str:
    """Header, numbers, charts and alerts of these runs, no line wider than `width`, ending in a newline.

    height is a wish: every panel is drawn, with at least 9 rows. color: with the terminal's sixteen colours, whose
    background is not known; without, the text holds no control codes. panels: ids with the columns each takes.
    plotext: whether it draws the charts in place of the rasteriser.
    """
    state = ViewState([view_of(run, index) for index, run in enumerate(runs)], x=x, smoothing=smoothing)
    palette = terminal_palette(color)
    system = ColorSystem.STANDARD if color else None
    rows = [
        "".join(palette[span.role].render(span.text, color_system=system) for span in _stripped(each))
        for each in frame_lines(state, width, height, color, panels, plotext)
    ]
    return "\n".join(rows) + "\n"


def view_of(run: RunDirectory | RunHistory, index: int) -> RunView:
    """A run as the screens hold it, with all that its log says now."""
    if isinstance(run, RunHistory):
        directory, history, read = None, run, None
    else:
        follower = LogFollower(run.metrics)
        directory, history = run, drain(follower, RunHistory())
        read = follower.end_of_lines
    info = directory.read_metadata() if directory else None
    lock, log = (directory.lock, directory.metrics) if directory else (None, None)
    status = derive_status(
        info, history.end, history.last_time, history.has_begun, time.time(), lock=lock, log=log, log_bytes=read
    )
    return RunView(index, directory, history, status, loaded=True)


def frame_lines(
    state: ViewState, width: int, height: int, color: bool, panels: Sizes, plotext: bool = False
) -> list[Line]:
    """The frame: two lines of header for each run, the panels in as many columns as fit, the alerts."""
    lines: list[Line] = []
    for index in range(len(state.runs)):
        lines += header(replace(state, focused=index), width)
    # With room for all rows there is one page.
    rows = arrange(width, LEAST_CHART_ROWS * (len(panels) + 3), [size for _, size in panels], 0.0).rows
    each_rows = max(LEAST_CHART_ROWS, min(MOST_ROWS, (height - HEADER_ROWS - 2) // max(len(rows), 1)))
    for row in rows:
        lines += _drawn(state, row, panels, width, each_rows, color, plotext)
    if alert_count(state):
        lines += [
            (),
            crop(line(Span(" Alerts", "title")), width),
            *(crop(each, width) for each in alerts(state, width)),
        ]
    return lines


def _drawn(state: ViewState, row: Row, panels: Sizes, width: int, rows: int, color: bool, plotext: bool) -> list[Line]:
    """The charts of one row beside one another."""
    charts, units = [], 0
    for cell in row:
        cells = width * (units + cell.span) // GRID_UNITS - width * units // GRID_UNITS
        units += cell.span
        charts.append(_chart(panel_of(panels[cell.panel][0]).build(state), cells, rows, color, plotext))
    return [tuple(span for part in parts for span in part) for parts in zip(*charts, strict=True)]


def _chart(plot: Plot | HeatMap, cells: int, rows: int, color: bool, plotext: bool) -> list[Line]:
    plot = plot.uncoloured if isinstance(plot, Plot) and not color else plot
    return draw(plot, cells, rows, options=ChartOptions(plotext=plotext)).lines


def _stripped(of: Line) -> Line:
    """A line without the spaces at its end."""
    spans = list(of)
    while spans and not spans[-1].text.strip():
        spans.pop()
    if spans:
        spans[-1] = Span(spans[-1].text.rstrip(), spans[-1].role)
    return tuple(spans)
