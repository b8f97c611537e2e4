"""The list of runs: filtered, ordered, marked, and opened together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from tuitrain.runs import RunDirectory, RunSnapshot
from tuitrain.runs.order import ordered
from tuitrain.runs.query import Query, QueryError, parse_query
from tuitrain.tui.actions import bindings, foot_rows
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.content.run_table import (
    SORTS,
    Order,
    RunTable,
    chosen_line,
    detail_lines,
    note_line,
    query_hint,
    summary,
)
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.text import Line, Span, crop, fit, line
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

DETAIL_ROWS, ROWS_WITH_DETAIL, CELLS_WITH_DETAIL = 10, 40, 110
EXAMPLE = "status:running qwen loss<2.5 -tag:old age<3d"


class FilterLine(Input):
    """The line in which the filter is typed. Escape clears it, enter keeps it; the arrows stay with the list."""

    BINDINGS: ClassVar = [
        Binding("escape", "screen.clear_filter", show=False),
        Binding("down", "screen.cursor_down", show=False),
        Binding("up", "screen.cursor_up", show=False),
    ]
    DEFAULT_CSS = """
    FilterLine, FilterLine:focus { border: none; height: 1; padding: 0; background: $background; width: 1fr; }
    """


class RunsScreen(BaseScreen):
    """All runs of the directory; the list refreshes itself, and the cursor stays on its run."""

    BINDINGS = bindings("runs")
    DEFAULT_CSS = """
    RunsScreen #filter { height: 1; display: none; }
    RunsScreen #filter-prompt { width: 10; height: 1; }
    RunsScreen #about { height: 1; overflow: hidden; }
    """
    screen_name = "runs"
    AUTO_FOCUS = ""

    app: BaseApp

    def __init__(self) -> None:
        super().__init__()
        self.cursor = 0
        self.query_text = ""
        self.problem = ""
        """Why what stands in the filter line is no query; the list still shows what the last good one chose."""
        self.order = Order()
        self.listed: list[RunSnapshot] = []
        """The runs in the list: those the filter lets through, in their order."""
        self._query = Query()
        self._under_cursor: RunDirectory | None = None
        self._table = RunTable()

    def compose_body(self) -> Iterable[Widget]:
        yield Lines(id="heading", classes="bar")
        yield Pane(id="list")
        with Horizontal(id="filter"):
            yield Lines(id="filter-prompt")
            yield FilterLine(placeholder=EXAMPLE, select_on_focus=False)
        yield Lines(id="about")

    def on_mount(self) -> None:
        self._table = RunTable(self.app.settings.ascii)
        self._restore()

    def _restore(self) -> None:
        """Order and filter as they were at the last visit."""
        key, reverse, text = (self.app.session.get(f"runs.{name}") for name in ("sort", "reverse", "filter"))
        if key in SORTS:
            self.order = Order(key, reverse is True)
        if isinstance(text, str):
            self._apply(text)
            if self.problem:
                self._apply("")

    def _remember(self) -> None:
        for name, value in (("sort", self.order.key), ("reverse", self.order.reverse), ("filter", self.query_text)):
            self.app.session.set(f"runs.{name}", value)

    def lay_out(self) -> None:
        cells, rows = self.app.size
        roomy = rows - foot_rows(rows) >= ROWS_WITH_DETAIL and cells >= CELLS_WITH_DETAIL
        self.query_one("#about").styles.height = DETAIL_ROWS if roomy else 1 if rows >= 8 else 0
        super().lay_out()

    def header_lines(self, cells: int) -> list[Line]:
        self._choose()
        known = {seen.directory.run_id: seen for seen in self.snapshots}
        marked = [(place, known.get(run_id)) for place, run_id in enumerate(self.state.marked)]
        hidden = len(self.snapshots) - len(self.listed)
        first = summary(self.app.state.snapshots, len(self.listed), str(self.app.runs_dir))
        query = str(self._query) if self.problem else self.query_text.strip()
        return [first, crop(chosen_line(query, hidden, marked), cells)]

    def current_run(self) -> RunDirectory | None:
        return self.listed[self.cursor].directory if self.listed else None

    def selected_runs(self) -> list[RunDirectory]:
        """All marked runs, if any, else the one under the cursor."""
        marked = self.state.marked
        return [each.directory for each in self.snapshots if each.directory.run_id in marked] or super().selected_runs()

    @property
    def snapshots(self) -> tuple[RunSnapshot, ...]:
        """What is known of all runs of the directory."""
        return self.app.state.snapshots or ()

    def on_screen_resume(self) -> None:
        self.app.feed.watch_list(self.app.runs_dir)

    def on_screen_suspend(self) -> None:
        self.app.feed.watch_list(None)

    def _choose(self) -> None:
        """Which runs are listed and in what order; the cursor stays on its run."""
        self.listed = ordered(self._query.chosen(self.snapshots), self.order.key, reverse=self.order.reverse)
        places = {seen.directory: place for place, seen in enumerate(self.listed)}
        wanted = places.get(self._under_cursor, self.cursor) if self._under_cursor is not None else self.cursor
        self.cursor = max(0, min(wanted, len(self.listed) - 1))

    def draw_body(self, cells: int) -> None:
        """Draw the list from the state."""
        marks = {run_id: place for place, run_id in enumerate(self.state.marked)}
        heading, rows = self._table.lines(self.listed, marks, cells - 2, self.order)
        shown = list(rows)
        if not rows and self.app.state.snapshots is not None:
            nothing = "No runs here yet. Start one: tuitrain launch gpt2-tiny"
            if self.snapshots:
                nothing = f"None of the {len(self.snapshots)} runs is like that. / and escape show all again."
            shown = [line(), line(" ", Span(nothing, "quiet"))]
        self.query_one("#heading", Lines).show([fit(line(" ", *(heading if rows else ())), cells)])
        pane = self.query_one(Pane)
        pane.show(shown)
        if rows:
            self._set_cursor()
        else:
            pane.cursor = None
        self.query_one("#filter-prompt", Lines).show([line(" filter", Span(" / ", "key"))])
        self._draw_about(cells)

    def _draw_about(self, cells: int) -> None:
        """What is known of the run under the cursor, or why the filter is none."""
        about = self.query_one("#about", Lines)
        rows = int(about.styles.height.value) if about.styles.height else 0
        lines: list[Line] = []
        if self.problem:
            lines = [line(" ", Span(self.problem, "warn"))]
        elif self.query_one("#filter").display and not self.query_text:
            lines = [query_hint(cells)]
        elif self.listed and rows > 1:
            lines = [line(Span("─" * cells, "frame")), *detail_lines(self.listed[self.cursor], cells)]
        elif self.listed:
            lines = [note_line(self.listed[self.cursor], cells)]
        about.show([fit(each, cells) for each in [*lines, *[()] * rows][:rows]])

    def _set_cursor(self) -> None:
        self._under_cursor = self.listed[self.cursor].directory
        pane = self.query_one(Pane)
        if pane.cursor != self.cursor:
            pane.move_cursor(self.cursor)

    def _to(self, row: int) -> None:
        if self.listed:
            self.cursor = max(0, min(row, len(self.listed) - 1))
            self._set_cursor()
            self._draw_about(self.app.size.width)

    def action_cursor_down(self) -> None:
        self._to(self.cursor + 1)

    def action_cursor_up(self) -> None:
        self._to(self.cursor - 1)

    def action_page_down(self) -> None:
        self._to(self.cursor + max(1, self.query_one(Pane).size.height - 1))

    def action_page_up(self) -> None:
        self._to(self.cursor - max(1, self.query_one(Pane).size.height - 1))

    def action_first(self) -> None:
        self._to(0)

    def action_last(self) -> None:
        self._to(len(self.listed) - 1)

    def action_choose(self, run_id: str) -> None:
        """A click on a run: put the cursor on it, or open it where it has the cursor."""
        row = next((row for row, seen in enumerate(self.listed) if seen.directory.run_id == run_id), self.cursor)
        if row == self.cursor:
            self.action_open()
        else:
            self._to(row)

    def action_sort(self) -> None:
        self._sort(Order(SORTS[(SORTS.index(self.order.key) + 1) % len(SORTS)]))

    def action_reverse(self) -> None:
        self._sort(Order(self.order.key, not self.order.reverse))

    def action_sort_by(self, key: str) -> None:
        """A click on a heading: order by it, or the other way round where that is so already."""
        self._sort(Order(key, key == self.order.key and not self.order.reverse))

    def _sort(self, order: Order) -> None:
        self.order = order
        self._remember()
        self.draw()

    def action_filter(self) -> None:
        """Type the filter in a line below the list."""
        typing = self.query_one(FilterLine)
        self.query_one("#filter").display = True
        typing.value = self.query_text
        typing.cursor_position = len(typing.value)
        # At once: keys that came in the same packet must not act on a run.
        self.set_focus(typing)
        self.draw()

    def action_clear_filter(self) -> None:
        self._apply("")
        self._close_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.query_one("#filter").display and event.value != self.query_text:
            self._apply(event.value)
            if not self._query.chosen(self.snapshots):
                self._query = self._query.without_half_a_key()
            self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self.problem:
            self._apply(event.value)
            self._close_filter()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if isinstance(event.widget, FilterLine) and self.query_one("#filter").display and self.is_current:
            self._close_filter()

    def _apply(self, text: str) -> None:
        """Choose runs by what is typed so far, if it is a query."""
        self.query_text = text
        try:
            self._query, self.problem = parse_query(text), ""
        except QueryError as error:
            self.problem = str(error)

    def _close_filter(self) -> None:
        if self.problem:
            self._apply(str(self._query))
        self.query_one("#filter").display = False
        self.set_focus(None)
        self._remember()
        self.draw()

    def action_mark(self) -> None:
        if self.listed:
            self.state.toggle_mark(self.listed[self.cursor].directory.run_id)
            self._to(self.cursor + 1)
            self.draw()

    def _chosen(self) -> list[RunDirectory]:
        """The marked runs in the order of marking, whether the filter shows them or not, else the one under the cursor.

        What was marked and is no longer there is forgotten.
        """
        known = {seen.directory.run_id: seen.directory for seen in self.snapshots}
        self.state.mark([run_id for run_id in self.state.marked if run_id in known])
        here = self.current_run()
        return [known[run_id] for run_id in self.state.marked] or ([here] if here is not None else [])

    def action_open(self) -> None:
        if chosen := self._chosen():
            self.app.open_runs(chosen, "watch")

    def action_compare(self) -> None:
        chosen = self._chosen()
        if len(chosen) < 2:
            self.app.notify("Mark two runs or more with space, then press c.", title="Compare")
            return
        self.app.open_runs(chosen, "compare")
