"""The row below the charts: the panels where one has the screen, the tabs, and the options of the charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static, Tabs

from tuitrain.tui.text import Line, Span, join, line, width
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.tab_line import TabLine

PADDING = 2
"""Cells of a tab beside its title."""


@dataclass(frozen=True)
class Selection:
    """What the row shows. tab, panel: the index of the active one or None; page: from 0, of `pages`."""

    tabs: Sequence[str]
    tab: int | None
    panels: Sequence[str]
    panel: int | None
    layout: str
    page: int
    pages: int


class ChartTabs(Horizontal):
    """Panels, tabs and options in one row."""

    DEFAULT_CSS = """
    ChartTabs { height: 1; overflow: hidden; }
    ChartTabs Static#bar { width: 1; color: $foreground 25%; }
    ChartTabs #space { width: 1fr; }
    """

    class Picked(Message):
        """A tab or a panel was clicked."""

        def __init__(self, kind: str, index: int) -> None:
            super().__init__()
            self.kind = kind
            """`tab` or `panel`."""
            self.index = index

    def compose(self) -> ComposeResult:
        yield TabLine(id="panels")
        yield Static("│", id="bar")
        yield TabLine(id="tabs")
        yield Static(id="space")
        yield Lines(id="options")

    def show(self, selection: Selection, state: ViewState, cells: int) -> None:
        """Show the row on a terminal `cells` wide: the tabs whole, what fits of the panels and the options."""
        room = cells - self._show_tabs("tabs", selection.tabs, selection.tab, cells)
        bar = self.query_one("#bar")
        bar.display = bool(selection.panels)
        room -= self._show_tabs("panels", selection.panels, selection.panel, room - 1) + bar.display
        options = next((each for each in _options(selection, state) if width(each) < room), ())
        shown = self.query_one("#options", Lines)
        shown.styles.width = width(options)
        shown.show([options])

    def _show_tabs(self, id: str, titles: Sequence[str], active: int | None, cells: int) -> int:
        """Show one of the rows of tabs; returns its cells."""
        tabs = self.query_one(f"#{id}", TabLine)
        tabs.display = bool(titles)
        size = min(sum(len(title) + PADDING for title in titles), max(cells, 0))
        tabs.styles.width = size
        names = {f"{id}-{index}": title for index, title in enumerate(titles)}
        tabs.show_tabs(names, f"{id}-{active}" if active is not None and titles else "")
        return size

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        event.stop()
        if event.tab.id is not None:
            kind, _, index = event.tab.id.partition("s-")
            self.post_message(self.Picked(kind, int(index)))


def _options(selection: Selection, state: ViewState) -> list[Line]:
    """The layout, the page and the options of the charts, in full and shorter."""
    layout = line(Span(selection.layout, "accent", "screen.next_layout")) if selection.layout else ()
    page = f"page {selection.page + 1} of {selection.pages}" if selection.pages > 1 else ""
    pages = line(Span(page, "accent", "focused.next_page")) if page else ()
    axis = line(Span(f"x {state.x}", "quiet", "focused.cycle_axis"))
    smooth = line(Span(f"smooth {state.smoothing:g}", "quiet", "focused.cycle_smoothing"))
    log = line(Span("log y", "quiet", "focused.toggle_log")) if state.log else ()
    dot = line(Span(" · ", "quiet"))
    forms = ([layout, pages, axis, smooth, log], [layout, pages, axis], [layout, pages], [pages])
    return [(*join(parts, dot), Span(" ")) for parts in forms]
