"""The console of the run, every process of it, with search; and its alerts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Tabs

from tuitrain.runs.console_search import MOST_MATCHES, query_of
from tuitrain.tui.content.tabs import alert_count, alerts
from tuitrain.tui.registry import Scroll, bindings
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.text import Line, Span, join, line, width
from tuitrain.tui.view_state import RunView
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.log_view import LogView
from tuitrain.tui.widgets.pane import Pane
from tuitrain.tui.widgets.search_line import SearchLine
from tuitrain.tui.widgets.tab_line import TabLine

ALERTS = "alerts"
"""The id of the tab of alerts; the tab of a rank is `rank-` and its number."""
LEAST_COUNTED = 5
"""Where there are so many processes, their number is shown: not all of their tabs may fit."""


class LogsScreen(BaseScreen):
    """The console of one process at a time, or the alerts."""

    BINDINGS = bindings("logs")
    CSS_PATH = ["../styles/tabs.tcss", "../styles/logs.tcss"]  # noqa: RUF012
    AUTO_FOCUS = ""
    screen_name = "logs"

    def __init__(self) -> None:
        super().__init__()
        self.tab = "rank-0"
        self.ranks: list[int] = [0]
        self._view: RunView | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield Horizontal(TabLine(id="ranks"), Lines(id="status"), id="tabs")
        yield LogView(lambda: self.app.files_answer, id="console")
        yield Pane(id="alerts")
        yield SearchLine()

    @property
    def console(self) -> LogView:
        """The console that is shown."""
        return self.query_one(LogView)

    def action_scroll(self, to: Scroll) -> None:
        if self.tab == ALERTS:
            super().action_scroll(to)
        else:
            self.console.move(to)

    def draw_body(self, cells: int) -> None:
        if self.state.run is not self._view and self.app.files_answer:
            self._view = self.state.run
            self._open("rank-0")
        pane = self.query_one("#alerts", Pane)
        pane.display, self.console.display = self.tab == ALERTS, self.tab != ALERTS
        if pane.display:
            pane.show(alerts(self.state, cells - 1))
            self._draw_tabs()
        else:
            self.console.draw()

    def on_log_view_changed(self) -> None:
        self._draw_tabs()

    def _draw_tabs(self) -> None:
        count = alert_count(self.state)
        titles = {f"rank-{rank}": "console" if len(self.ranks) == 1 else f"rank {rank}" for rank in self.ranks}
        self.query_one(TabLine).show_tabs(titles | {ALERTS: f"alerts {count}" if count else "alerts"}, self.tab)
        status = self._status() if self.tab != ALERTS else ()
        shown = self.query_one("#status", Lines)
        shown.styles.width = width(status)
        shown.show([status])

    def _open(self, tab: str) -> None:
        """Show the alerts or the console of a rank."""
        directory = self.state.run.directory if self.state.run is not None else None
        self.ranks = [0, *directory.ranks_with_console()] if directory is not None else [0]
        self.tab = tab
        if tab != ALERTS:
            rank = int(tab.removeprefix("rank-"))
            self.console.open(directory.console_of(rank) if directory is not None else None)

    def _status(self) -> Line:
        """The state of the search, the number of processes, and whether the end is followed."""
        follow = ("following", "good") if self.console.follow else ("not following · G: to the end", "warn")
        ranks = line(Span(f"of {len(self.ranks)} processes", "quiet")) if len(self.ranks) >= LEAST_COUNTED else ()
        parts = [self._search_status(), ranks, line(Span(*follow, "screen.follow"))]
        return (*join(parts, line(Span("  │  ", "frame"))), Span(" "))

    def _search_status(self) -> Line:
        query, search, match = self.console.query_shown, self.console.search, self.console.match
        if query is None:
            return ()
        name = line(Span(f"/{query.text}", "key"), Span("  no regular expression" if query.literal else "", "quiet"))
        if search is None:
            return name
        if search.problem:
            return (*name, Span(f"  {search.problem}", "bad"))
        more = "" if search.done else " …"
        count = f"{len(search):,}" if len(search) or more else "not found"
        if search.full:
            count = f"more than {MOST_MATCHES:,}"
        elif match is not None and search.done:
            count = f"{len(search) - search.count_from(match) + 1:,} of {count}"
        return (*name, Span("  "), Span(count, "value" if len(search) else "warn"), Span(more, "quiet"))

    def on_input_changed(self, event: Input.Changed) -> None:
        self.console.start_search(query_of(event.value))
        self.console.draw()

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        self._show(event.tab.id or ALERTS)

    def _show(self, tab: str) -> None:
        self._open(tab)
        self.draw()
        self.call_after_refresh(self.draw)

    def action_search(self) -> None:
        if self.tab == ALERTS:
            self._show("rank-0")
        self.query_one(SearchLine).open()

    def action_go_to_match(self, direction: Literal[-1, 1]) -> None:
        """Go to the next match below (1) or above (-1)."""
        if self.console.search is None:
            self.app.notify("There is no search: / starts one.")
        elif not self.console.to_match(direction):
            self.app.notify(f"There is no other match {'below' if direction > 0 else 'above'}.")

    def action_follow(self) -> None:
        self.console.follow = not self.console.follow
        self.console.draw()

    def action_turn_rank(self, by: Literal[-1, 1]) -> None:
        """Show the next tab, or the one before."""
        tabs = self.query_one(TabLine)
        tabs.action_next_tab() if by > 0 else tabs.action_previous_tab()

    def action_toggle_alerts(self) -> None:
        self._show("rank-0" if self.tab == ALERTS else ALERTS)

    def action_back(self) -> None:
        if self.console.query_shown is not None:
            self.query_one(SearchLine).close(keep=False)
        else:
            super().action_back()
