"""The tabs below the charts: samples, console log, alerts, configuration. Each turns a run into lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tuitrain.analysis import units
from tuitrain.analysis.facts import changes_from_preset
from tuitrain.events.text import clean
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.content.samples import continued
from tuitrain.tui.text import Line, Span, align, line, wrap
from tuitrain.tui.view_state import ViewState

SAMPLES_SHOWN = 50
_CONFIG_CELLS = 48
_CONFIG_KEY_CELLS = 22
_LEVELS = {"info": "quiet", "warning": "warn", "critical": "bad"}


@dataclass(frozen=True)
class Tab:
    """One tab: its lines at a width. count: how many things in it want attention; follow: whether it grows below."""

    id: str
    title: str
    lines: Callable[[ViewState, int], list[Line]]
    count: Callable[[ViewState], int] | None = None
    follow: bool = False

    def title_of(self, state: ViewState) -> str:
        """The title, with the number of things in it that want attention."""
        count = self.count(state) if self.count else 0
        return f"{self.title} {count}" if count else self.title


def _nothing(text: str) -> list[Line]:
    return [line(" ", Span(text, "quiet"))]


def samples(state: ViewState, cells: int) -> list[Line]:
    """What the model wrote, the newest first: prompt quiet, continuation plain."""
    view = state.run
    if view is None or not view.history.samples:
        return _nothing("no samples yet")
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
        return _nothing("no console output")
    return [line(" ", clean(text)) for text in view.console]


def alerts(state: ViewState, cells: int) -> list[Line]:
    """What somebody should know, the newest first, and what could not be read."""
    view = state.run
    if view is None or not alert_count(state):
        return _nothing("no alerts")
    lines: list[Line] = [line(" ", Span("✗ ", "bad"), view.problem)] if view.problem else []
    for alert in reversed(view.history.alerts):
        role = _LEVELS[alert.level]
        at = f"step {alert.step:,}" if alert.step is not None else ""
        clock = units.moment(alert.time, "%d %b %H:%M:%S")
        head = line(" ", Span(align(alert.level, 9), role), Span(f"{clock}  ", "quiet"), Span(align(at, 14), "quiet"))
        rows = wrap(clean(alert.message), max(cells - 42, 20))
        lines.append((*head, *line(rows[0])))
        lines += [line(" " * 41, row) for row in rows[1:]]
    for broken in reversed(view.history.broken):
        lines.append(line(" ", Span("unread   ", "warn"), f"line {broken.number} of the log: {clean(broken.reason)}"))
    return lines


def alert_count(state: ViewState) -> int:
    """Alerts, broken lines and reading problems of the run in focus."""
    view = state.run
    return len(view.history.alerts) + view.history.broken_count + bool(view.problem) if view else 0


def config(state: ViewState, cells: int) -> list[Line]:
    """The configuration in as many columns as fit; what differs from the preset is marked."""
    view = state.run
    if view is None or view.history.run is None or not view.history.run.config:
        return _nothing("no configuration in the log")
    values = _flat(view.history.run.config)
    changed = changes_from_preset(view.history.run.config)
    count = max(1, cells // _CONFIG_CELLS)
    room = (cells - 2) // count - _CONFIG_KEY_CELLS - 4
    sections: dict[str, list[Line]] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        rows = sections.setdefault(section or "run", [])
        role, mark = ("accent", "• ") if changed and key in changed else ("value", "  ")
        for text in wrap(units.config_value(value), room):
            rows.append(line(Span(mark, "accent"), Span(align(name, _CONFIG_KEY_CELLS), "quiet"), Span(text, role)))
            name, mark = "", "  "
    blocks = [[line(Span(f"  {name}", "title")), *rows, ()] for name, rows in sections.items()]
    lines = side_by_side(blocks, cells - 2, count)
    preset = values.get("preset")
    if preset:
        if changed is None:
            note = f"the preset {preset} is not known here"
        else:
            note = f"• changed from the preset {preset}" if changed else f"as in the preset {preset}"
        lines = [line(" ", Span(note, "quiet")), (), *lines]
    return lines


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    from tuitrain.config import flatten

    return flatten(tree)


WATCH_TABS: tuple[Tab, ...] = (
    Tab("samples", "Samples", samples),
    Tab("log", "Log", console, follow=True),
    Tab("alerts", "Alerts", alerts, alert_count),
    Tab("config", "Config", config),
)
