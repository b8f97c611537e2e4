"""The console of the run, every process of it, with search; and its alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker

from tuitrain.tui.actions import bindings
from tuitrain.tui.content.console_search import MOST_MATCHES, Query, Search, query_of
from tuitrain.tui.content.tabs import alert_count, alerts
from tuitrain.tui.screens.run_actions import RunActions
from tuitrain.tui.text import Line, Span, fit, join, line, width
from tuitrain.tui.view_state import RunView
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.log_view import LogView
from tuitrain.tui.widgets.pane import Pane
from tuitrain.tui.widgets.search_line import SearchLine

LOOK_S = 1.0
"""How often the console is looked at; the feed tells only of the main process."""
SEARCHING_S = 0.1
ALERTS = -1
"""Stands among the ranks for the list of alerts."""


class LogsScreen(RunActions):
    """One console at a time, or the alerts."""

    BINDINGS = bindings("logs")
    AUTO_FOCUS = ""
    place = "logs"
    _looking: Timer
    _searching: Timer

    def __init__(self) -> None:
        super().__init__()
        self.rank = 0
        self.ranks: list[int] = [0]
        self.search: Search | None = None
        self.direction = 0
        """Where the next match is waited for: 1 below, -1 above, 0 nowhere."""
        self._view: RunView | None = None
        self._searched: tuple[Worker[None], int] | None = None
        """The thread that searches, and the size of the file when it began."""

    def compose_body(self) -> Iterable[Widget]:
        yield Lines(id="tabs", classes="bar")
        yield LogView(id="console")
        yield Pane(id="alerts")
        yield SearchLine()

    @property
    def console(self) -> LogView:
        """The console in sight."""
        return self.query_one(LogView)

    @property
    def search_line(self) -> SearchLine:
        """Where the query is typed."""
        return self.query_one(SearchLine)

    def on_mount(self) -> None:
        self._looking = self.set_interval(LOOK_S, self._look)
        self._searching = self.set_interval(SEARCHING_S, self._go_on, pause=True)
        super().on_mount()

    def on_screen_resume(self) -> None:
        self._looking.resume()
        super().on_screen_resume()

    def on_screen_suspend(self) -> None:
        self._looking.pause()

    def on_unmount(self) -> None:
        if self.search is not None:
            self.search.cancel()

    def lay_out(self) -> None:
        self._find_ranks()
        super().lay_out()

    def draw_body(self, cells: int) -> None:
        if self.state.run is not self._view:
            self._view = self.state.run
            self._find_ranks()
            self._open(0)
        pane = self.query_one("#alerts", Pane)
        pane.display, self.console.display = self.rank == ALERTS, self.rank != ALERTS
        if pane.display:
            pane.show(alerts(self.state, cells - 1))
        else:
            self.console.draw()
            self._search_on()
        self.query_one("#tabs", Lines).show([fit(self._tabs(cells), cells)])

    def _look(self) -> None:
        """Draw when the console has changed."""
        if self.is_current and self.rank != ALERTS and self.console.has_changed:
            self.draw()

    def _search_on(self) -> None:
        """Search also what has been written since."""
        size, searched = self.console.size_bytes, self._searched
        if self.search is None or searched is None or not searched[0].is_finished:
            return
        if size < self.search.reached:
            self._begin_search(self.search.query)
        elif size != searched[1]:
            self._run_search(self.search)

    def _find_ranks(self) -> None:
        directory = self.state.run.directory if self.state.run else None
        self.ranks = [0, *directory.ranks_with_console()] if directory is not None else [0]

    def _open(self, rank: int) -> None:
        self.rank = rank
        if rank == ALERTS:
            return
        directory = self.state.run.directory if self.state.run else None
        self.console.open(directory.console_of(rank) if directory is not None else None)
        self._begin_search(self.console.query_shown)

    def _begin_search(self, query: Query | None) -> None:
        """Search this console for something else, or for nothing any more."""
        if self.search is not None:
            self.search.cancel()
        self.search, self.direction, self._searched = None, 0, None
        self.console.query_shown, self.console.found = query, None
        file = self.console.file
        if query is None or file is None:
            return
        try:
            mark = file.mark()
            self.search = Search(file, query, mark.size) if mark is not None else None
        except OSError:
            return  # The view says why.
        if self.search is not None:
            self.direction = -1
            self._run_search(self.search)

    def _run_search(self, search: Search) -> None:
        worker = self.run_worker(search.run, thread=True, group="search", exit_on_error=False)
        self._searched = (worker, self.console.size_bytes)
        self._searching.resume()

    def _go_on(self) -> None:
        """While a search runs: show its count, and go to what is waited for as soon as it is found."""
        search = self.search
        # The last look is taken after the thread has ended, or what it found at the very end would be missed.
        if self._searched is None or self._searched[0].is_finished:
            self._searching.pause()
        if search is not None and self.is_current:
            if self.direction:
                self._to_match(search, self.direction)
            self.draw()

    def _to_match(self, search: Search, direction: int) -> None:
        """The next match in a direction, if it is known yet."""
        view = self.console
        first, last = view.in_sight
        if direction < 0:
            # The first time what is in sight counts too.
            place = search.before(view.found if view.found is not None else last + 1)
        else:
            place = search.after(view.found if view.found is not None else first - 1)
        if place is not None:
            view.to_line(place)
        if place is not None or search.done:
            self.direction = 0

    def _tabs(self, cells: int) -> Line:
        """The consoles and the alerts at the left; what is searched for and whether it follows at the right."""
        count = alert_count(self.state)
        names = [(rank, "console" if len(self.ranks) == 1 else f"rank {rank}") for rank in self.ranks]
        names.append((ALERTS, f"alerts {count}" if count else "alerts"))
        shown = [
            line(Span(name, "on" if rank == self.rank else "quiet", f"screen.show_console({rank})"))
            for rank, name in names
        ]
        right = self._state() if self.rank != ALERTS else ()
        here = [rank for rank, _ in names].index(self.rank)
        left = line(" ", *join(shown, line("  ")))
        if width(left) + width(right) + 2 > cells and len(shown) > 2:
            # Of many processes the one in sight, and the alerts.
            around = [shown[here]] if self.rank != ALERTS else []
            counted = line(Span(f"of {len(self.ranks)}", "quiet"))
            left = line(" ", *join([*around, counted, shown[-1]], line("  ")))
        gap = cells - width(left) - width(right) - 1
        return (*left, Span(" " * gap), *right) if gap > 0 else left

    def _state(self) -> Line:
        parts = [self._search_state()]
        follow = ("following", "good") if self.console.follow else ("not following · G: to the end", "warn")
        parts.append(line(Span(*follow, "screen.follow")))
        return join(parts, line(Span("  │  ", "frame")))

    def _search_state(self) -> Line:
        query, search = self.console.query_shown, self.search
        if query is None:
            return ()
        name = line(Span(f"/{query.text}", "key"), Span("  as it stands" if query.literal else "", "quiet"))
        if search is None:
            return name
        if search.problem:
            return (*name, Span(f"  {search.problem}", "bad"))
        found, more = f"{len(search):,}", "" if search.done else " …"
        if search.full:
            found = f"more than {MOST_MATCHES:,}"
        elif self.console.found is not None and search.done:
            found = f"{len(search) - search.from_the_end(self.console.found) + 1:,} of {found}"
        role = "value" if len(search) else "warn"
        return (*name, Span("  "), Span(found if len(search) or more else "not found", role), Span(more, "quiet"))

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        self._begin_search(query_of(event.text))
        self.draw()

    def on_search_line_closed(self, event: SearchLine.Closed) -> None:
        if not event.text:
            self._begin_search(None)
        self.draw()

    def on_log_view_moved(self) -> None:
        self.draw()

    def action_search(self) -> None:
        if self.rank == ALERTS:
            self.action_show_console(self.ranks[0])
        self.search_line.open()

    def action_next_match(self) -> None:
        self._step(1)

    def action_previous_match(self) -> None:
        self._step(-1)

    def _step(self, direction: int) -> None:
        if self.search is None:
            self.app.notify("Nothing is searched for: / opens the line for it.")
            return
        before = self.console.found
        self.direction = direction
        self._to_match(self.search, direction)
        if self.console.found == before and not self.direction:
            self.app.notify("There is no other match " + ("below." if direction > 0 else "above."))
        self.draw()

    def action_follow(self) -> None:
        self.console.follow = not self.console.follow
        self.draw()

    def action_next_rank(self) -> None:
        self._turn(1)

    def action_previous_rank(self) -> None:
        self._turn(-1)

    def _turn(self, by: int) -> None:
        self._find_ranks()
        all_ = [*self.ranks, ALERTS]
        here = all_.index(self.rank) if self.rank in all_ else 0
        self.action_show_console(all_[(here + by) % len(all_)])

    def action_toggle_alerts(self) -> None:
        self.action_show_console(self.ranks[0] if self.rank == ALERTS else ALERTS)

    def action_show_console(self, rank: int) -> None:
        self._open(rank)
        self.draw()
        self.call_after_refresh(self.draw)

    def action_back(self) -> None:
        if self.console.query_shown is not None:
            self.search_line.close(keep=False)
        else:
            super().action_back()

    def action_page_down(self) -> None:
        self._scroll(max(self.console.size.height - 1, 1), super().action_page_down)

    def action_page_up(self) -> None:
        self._scroll(-max(self.console.size.height - 1, 1), super().action_page_up)

    def action_cursor_down(self) -> None:
        self._scroll(1, super().action_cursor_down)

    def action_cursor_up(self) -> None:
        self._scroll(-1, super().action_cursor_up)

    def action_first(self) -> None:
        if self.rank == ALERTS:
            return super().action_first()
        self.console.to_start()
        return self.draw()

    def action_last(self) -> None:
        if self.rank == ALERTS:
            return super().action_last()
        self.console.to_end()
        return self.draw()

    def _scroll(self, by: int, scroll_alerts: Callable[[], None]) -> None:
        if self.rank == ALERTS:
            scroll_alerts()
        else:
            self.console.scroll_rows(by)
            self.draw()
