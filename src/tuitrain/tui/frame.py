"""One frame of the dashboard as text: for pipes, logs, screen readers and `watch --once`. Textual is not started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from tuitrain.alerts import Rules, watched_history
from tuitrain.plots.axes import XAxis
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import ChartOptions, Plot
from tuitrain.plots.panels.choice import layout_panels, with_own
from tuitrain.plots.panels.layouts import SHIPPED, Sizes, parse
from tuitrain.plots.terminal import render
from tuitrain.runs import RunDirectory, RunHistory, derive_status, open_follower
from tuitrain.runs.updates import UpdatedRun
from tuitrain.tui.arrangement import GRID_UNITS, HEADER_ROWS, LEAST_CHART_ROWS, arrange
from tuitrain.tui.content.headline import header
from tuitrain.tui.content.tabs import alert_count, alerts
from tuitrain.tui.text import Line, Span, crop, line
from tuitrain.tui.view_state import RunView, ViewState

RULES = Rules()
MOST_ROWS = 16
MOST_PANELS = 12
_OVERVIEW = parse(SHIPPED["overview"])[0]


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
    rules: Rules = RULES,
) -> str:
    """Header, numbers, charts and alerts of these runs, no line wider than `width`, ending in a newline.

    height: of the terminal; the frame is higher where it has more panels than fit with 9 rows each. color: with the
    terminal's sixteen colours; without, the text holds no control codes. panels: ids with the columns each takes.
    plotext: whether plotext draws the charts, not the rasteriser. rules: of the alerts.
    """
    state = ViewState([view_of(run, index, rules) for index, run in enumerate(runs)], x=x, smoothing=smoothing)
    return render(frame_lines(state, width, height, color, panels, plotext), color)


def view_of(run: RunDirectory | RunHistory, index: int, rules: Rules = RULES) -> RunView:
    """A run as the screens show it, after all of its log was read."""
    if isinstance(run, RunHistory):
        status = derive_status(None, run.end, run.last_time, run.has_begun)
        return RunView(index, None, run, status, loaded=True)
    view, followed = RunView(index, run, watched_history(rules)), UpdatedRun(run, open_follower(run))
    while not view.loaded and (update := followed.read_update()) is not None:
        view.absorb(update)
    return view


def frame_lines(
    state: ViewState, width: int, height: int, color: bool, panels: Sizes, plotext: bool = False
) -> list[Line]:
    """The frame: two lines of header for each run, the panels in as many columns as fit, the alerts."""
    chosen = layout_panels(panels, state)
    every = with_own(chosen, state)
    shown = dict(islice(every.items(), max(MOST_PANELS, len(chosen))))
    lines = [each for index in range(len(state.runs)) for each in header(replace(state, focused=index), width)]
    # With room for all rows there is one page.
    rows = arrange(width, LEAST_CHART_ROWS * (len(shown) + 3), list(shown.values()), 0.0).rows
    chart_rows = max(LEAST_CHART_ROWS, min(MOST_ROWS, (height - HEADER_ROWS - 2) // max(len(rows), 1)))
    names = list(shown)
    for row in rows:
        charts, units = [], 0
        for panel, span in row.items():
            cells = width * (units + span) // GRID_UNITS - width * units // GRID_UNITS
            units += span
            plot = names[panel].build(state)
            if isinstance(plot, Plot) and not color:
                plot = plot.uncoloured
            charts.append(draw(plot, cells, chart_rows, options=ChartOptions(plotext=plotext)).lines)
        lines += [tuple(span for part in parts for span in part) for parts in zip(*charts, strict=True)]
    if left_out := len(every) - len(shown):
        more = f" {left_out:,} more metrics: `tuitrain plot -m NAME` draws one, `tuitrain show` lists them"
        lines.append(crop(line(Span(more, "quiet")), width))
    if alert_count(state):
        lines += [(), *(crop(each, width) for each in (line(Span(" Alerts", "title")), *alerts(state, width)))]
    return lines
