"""The content of the tabs below the charts as lines: samples, console, alerts, configuration."""

from __future__ import annotations

from tuitrain.analysis import units
from tuitrain.analysis.report import describe_config, logged_summary_rows
from tuitrain.text import clean
from tuitrain.tui.content.configuration import config_lines, report_lines, shown_keys, summary
from tuitrain.tui.content.headline import ALERT_ROLES
from tuitrain.tui.content.samples import continued
from tuitrain.tui.text import Line, Span, align, line, paragraphs
from tuitrain.tui.view_state import ViewState

SAMPLES_SHOWN = 50
_COLUMN_CELLS = 48
"""Cells of a column of the configuration."""


def _note(text: str) -> list[Line]:
    return [line(" ", Span(text, "quiet"))]


def samples(state: ViewState, cells: int) -> list[Line]:
    """The samples of the model, the newest first: prompt quiet, continuation plain."""
    view = state.run
    if view is None or not view.history.samples:
        return _note("no samples yet")
    lines: list[Line] = []
    for sample in reversed(view.history.samples[-SAMPLES_SHOWN:]):
        if lines:
            lines.append(())
        lines.append(line(" ", Span(f"step {sample.step:,}", "accent")))
        lines += [line("   ", *row) for row in continued(sample.prompt, sample.text, cells - 4)]
    return lines


def console(state: ViewState, cells: int) -> list[Line]:
    """The end of the engine's output."""
    view = state.run
    if view is None or not view.console:
        return _note("no console output")
    return [line(" ", clean(text)) for text in view.console]


def alerts(state: ViewState, cells: int) -> list[Line]:
    """The alerts, the newest first, and the lines of the log that could not be read."""
    view = state.run
    if view is None or not alert_count(state):
        return _note("no alerts")
    lines: list[Line] = [line(" ", Span("✗ ", "bad"), view.problem)] if view.problem else []
    for alert, _ in reversed(view.alerts):
        role = ALERT_ROLES[alert.level]
        at = f"step {alert.step:,}" if alert.step is not None else ""
        clock = units.moment(alert.time, "%d %b %H:%M:%S")
        head = line(" ", Span(align(alert.level, 9), role), Span(f"{clock}  ", "quiet"), Span(align(at, 14), "quiet"))
        lines += paragraphs(alert.message, cells - 1, first=head)
    for broken in reversed(view.history.broken):
        lines.append(line(" ", Span("unread   ", "warn"), f"line {broken.number} of the log: {clean(broken.reason)}"))
    return lines


def alert_count(state: ViewState) -> int:
    """Alerts, broken lines and reading problems of the run in focus."""
    view = state.run
    return len(view.alerts) + view.history.broken_count + bool(view.problem) if view else 0


def config(state: ViewState, cells: int) -> list[Line]:
    """The configuration in as many columns as fit; values that differ from the preset are marked."""
    history = state.run.history if state.run is not None else None
    run = history.run if history is not None else None
    if history is None or run is None or not (run.config or history.logged_summary):
        return _note("no configuration in the log")
    described = describe_config(run)
    lines = config_lines(described, shown_keys(described, everything=True, query=None), cells - 1, None, _COLUMN_CELLS)
    if logged := logged_summary_rows(history):
        lines = [*report_lines([("logged summary", logged)], cells - 1), (), *lines]
    return [line(" ", *each) for each in (summary(described), (), *lines)]
