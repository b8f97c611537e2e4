"""The line below the charts: the panels where one has the screen, the tabs, and how charts are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.tui.text import Line, Span, join, line, width
from tuitrain.tui.view_state import ViewState


@dataclass(frozen=True)
class Settings:
    """What the line says. tab, panel: the one that is on; layout: the name of the set of panels; page: from 0."""

    state: ViewState
    tabs: Sequence[str]
    tab: int | None
    panels: Sequence[str]
    panel: int | None
    layout: str
    page: int
    pages: int


def selector(shown: Settings, cells: int) -> Line:
    """The line: what fits of the panels around the one that is on, then the tabs, then the settings at the right."""
    tabs = [_entry(title, at == shown.tab, f"focused.show_tab({at})") for at, title in enumerate(shown.tabs)]
    panels = [_entry(name, at == shown.panel, f"focused.show_chart({at})") for at, name in enumerate(shown.panels)]
    left: Line = ()
    for gap in (line("  "), line(" ")):
        left = line(" ", *join([join(panels, gap), join(tabs, gap)], line(Span(" │ ", "frame"))))
        if width(left) <= cells - 1:
            break
    else:
        bar = (Span(" │ ", "frame"), *join(tabs, line(" ")))
        left = line(" ", *_around(panels, shown.panel or 0, cells - 2 - width(bar)), *bar)
    for right in _settings(shown):
        room = cells - width(left) - width(right)
        if room >= 2:
            return (*left, Span(" " * room), *right)
    return left


def _around(entries: Sequence[Line], at: int, cells: int) -> Line:
    """The entries around one of them that fit; an arrow where some are left out."""
    low, high = at, at + 1
    while True:
        wider = [(low - 1, high), (low, high + 1)] if at - low < high - at else [(low, high + 1), (low - 1, high)]
        fitting = next((pair for pair in wider if _within(entries, *pair, cells)), None)
        if fitting is None:
            return _cut(entries, low, high)
        low, high = fitting


def _within(entries: Sequence[Line], low: int, high: int, cells: int) -> bool:
    return low >= 0 and high <= len(entries) and width(_cut(entries, low, high)) <= cells


def _cut(entries: Sequence[Line], low: int, high: int) -> Line:
    before = [line(Span("◂", "key", "focused.focus_previous"))] if low > 0 else []
    after = [line(Span("▸", "key", "focused.focus_next"))] if high < len(entries) else []
    return join([*before, *entries[low:high], *after], line(" "))


def _entry(title: str, on: bool, action: str) -> Line:
    return line(Span(title, "on" if on else "quiet", action))


def _settings(shown: Settings) -> list[Line]:
    """How the charts are looked at, in full and shorter."""
    state = shown.state
    pages = (
        line(Span(f"page {shown.page + 1} of {shown.pages}", "accent", "focused.next_page")) if shown.pages > 1 else ()
    )
    layout = line(Span(shown.layout, "accent", "screen.next_layout")) if shown.layout else ()
    axis = line(Span(f"x {state.x}", "quiet", "focused.cycle_axis"))
    smooth = line(Span(f"smooth {state.smoothing:g}", "quiet", "focused.cycle_smoothing"))
    log = line(Span("log y", "quiet", "focused.toggle_log")) if state.log else ()
    dot = line(Span(" · ", "quiet"))
    return [
        (*join(groups, dot), Span(" "))
        for groups in ([layout, pages, axis, smooth, log], [layout, pages, axis], [layout, pages], [pages])
    ]
