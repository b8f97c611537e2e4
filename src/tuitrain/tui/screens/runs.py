"""The list of runs: filtered, ordered, marked, and opened together."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual.validation import ValidationResult, Validator
from textual.widget import Widget
from textual.widgets import DataTable, Input

from tuitrain.runs import RunDirectory, RunSnapshot, Status
from tuitrain.runs.order import ordered
from tuitrain.runs.query import Query, QueryError, parse_query
from tuitrain.tui.content.run_table import (
    SORTS,
    Order,
    RowCache,
    chosen_line,
    columns,
    detail_lines,
    note_line,
    query_hint,
    summary,
)
from tuitrain.tui.registry import ScreenName, Scroll, bindings
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.text import Line, Span, line
from tuitrain.tui.widgets.key_bar import key_bar_rows
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.search_line import SearchLine
from tuitrain.tui.widgets.table import Table

DETAIL_ROWS, ROWS_WITH_DETAIL, CELLS_WITH_DETAIL = 10, 40, 110
EXAMPLE = "status:running qwen loss<2.5 -tag:old age<3d"


class QueryValidator(Validator):
    """Accepts a valid query; the failure describes why another text is none."""

    def validate(self, value: str) -> ValidationResult:
        try:
            parse_query(value)
        except QueryError as error:
            return self.failure(str(error), value)
        return self.success()


class RunsScreen(BaseScreen):
    """All runs of the directory; the list refreshes itself, and the cursor stays on its run."""

    BINDINGS = bindings("runs")
    CSS_PATH = "../styles/runs.tcss"
    AUTO_FOCUS = ""
    screen_name = "runs"

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[RunSnapshot] = []
        """The runs that pass the filter, in their order."""
        self.run_query = Query()
        """The last valid filter."""
        self.order = Order()
        self.problem = ""
        """Why the text in the filter line is no query."""
        self._row_cache = RowCache()

    @property
    def snapshots(self) -> tuple[RunSnapshot, ...]:
        """All runs of the directory, as far as they are read."""
        return self.state.snapshots or ()

    def compose_body(self) -> Iterable[Widget]:
        yield Table(id="runs")
        yield Lines(id="nothing")
        yield SearchLine("filter /", EXAMPLE, [QueryValidator()])
        yield Lines(id="details")

    def on_mount(self) -> None:
        """Restore order and filter of the last session."""
        get = self.app.session.get
        if (key := get("runs.sort", "", str)) in SORTS:
            self.order = Order(key, get("runs.reverse", False, bool))
        text = get("runs.filter", "", str)
        if text and QueryValidator().validate(text).is_valid:
            self._set_filter(text)

    def _set_order(self, order: Order) -> None:
        self.order = order
        self.app.session.set("runs.sort", order.key)
        self.app.session.set("runs.reverse", order.reverse)
        self.draw()

    def draw(self) -> None:
        chosen = self.run_query.chosen(self.snapshots)
        self.listed = ordered(chosen, self.order.key, reverse=self.order.reverse)
        super().draw()

    def lay_out(self) -> None:
        cells, rows = self.app.size
        roomy = rows - key_bar_rows(rows) >= ROWS_WITH_DETAIL and cells >= CELLS_WITH_DETAIL
        self.query_one("#details").styles.height = DETAIL_ROWS if roomy else 1 if rows >= 8 else 0
        super().lay_out()

    def header_lines(self, cells: int) -> list[Line]:
        by_id = {run.directory.run_id: run for run in self.snapshots}
        text = str(self.run_query) if self.problem else self.filter_line.input.value.strip()
        marked = [by_id.get(run_id) for run_id in self.state.marked]
        chosen = chosen_line(text, len(by_id) - len(self.listed), marked)
        return [summary(self.state.snapshots, len(self.listed), str(self.app.runs_dir), self.state.hosts), chosen]

    def draw_body(self, cells: int) -> None:
        self.table.display = bool(self.listed)
        self.query_one("#nothing").display = not self.listed
        rows = self._row_cache.rows(self.listed, self.state.marked, cells)
        self.table.show(columns(self.order, cells), rows)
        self.query_one("#nothing", Lines).show([line(Span(self._reason(), "quiet"))])
        self._draw_details()

    def _reason(self) -> str:
        """Why no run is listed."""
        if self.state.snapshots is None:
            return ""
        if self.snapshots:
            return f"None of the {len(self.snapshots)} runs passes the filter. / and escape show all again."
        return "No runs here yet. Start one: tuitrain launch gpt2-tiny"

    def _draw_details(self) -> None:
        """The run under the cursor, or while the filter is typed what it can hold, or why it is none."""
        details, cells, run = self.query_one("#details", Lines), self.app.size.width, self.run_under_cursor
        height = details.styles.height
        lines: list[Line] = []
        if self.problem:
            lines = [line(" ", Span(self.problem, "warn"))]
        elif self.filter_line.display and not self.filter_line.input.value:
            lines = [query_hint()]
        elif run is not None and height is not None and height.value > 1:
            lines = [line(Span("─" * cells, "frame")), *detail_lines(run, cells)]
        elif run is not None:
            lines = [note_line(run)]
        details.show(lines)

    @property
    def table(self) -> Table:
        """The list."""
        return self.query_one(Table)

    @property
    def filter_line(self) -> SearchLine:
        """The line in which the filter is typed; it keeps its text while it is hidden."""
        return self.query_one(SearchLine)

    @property
    def run_under_cursor(self) -> RunSnapshot | None:
        """The run under the cursor; None in an empty list."""
        key = self.table.cursor_key
        return next((run for run in self.listed if run.directory.run_id == key), None)

    def selected_runs(self) -> list[RunDirectory]:
        """The marked runs, whether listed or not, in the order of marking; without any the one under the cursor."""
        by_id = {run.directory.run_id: run.directory for run in self.snapshots}
        run = self.run_under_cursor
        marked = [by_id[run_id] for run_id in self.state.marked if run_id in by_id]
        return marked or ([run.directory] if run is not None else [])

    def current_run(self) -> RunDirectory | None:
        run = self.run_under_cursor
        return run.directory if run is not None else None

    def on_screen_resume(self) -> None:
        self.app.feed.watch_list(self.app.runs_dir)

    def on_screen_suspend(self) -> None:
        self.app.feed.watch_list(None)

    def on_data_table_row_highlighted(self) -> None:
        self._draw_details()

    def on_data_table_row_selected(self) -> None:
        self.action_open()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Order by a column, or turn the order around where it is ordered by it already."""
        key = event.column_key.value
        if key in SORTS:
            self._set_order(Order(key, key == self.order.key and not self.order.reverse))

    def action_scroll(self, to: Scroll) -> None:
        self.table.move(to)

    def action_sort(self) -> None:
        self._set_order(Order(SORTS[(SORTS.index(self.order.key) + 1) % len(SORTS)]))

    def action_reverse(self) -> None:
        self._set_order(Order(self.order.key, not self.order.reverse))

    def action_move_queued(self, places: int) -> None:
        """Move the queued run under the cursor so many positions back in the queue, or forward where negative."""
        if (run := self.run_under_cursor) is None:
            return
        if run.status is not Status.QUEUED:
            text = f"{run.directory.run_id} is {run.status}: only a queued run can be moved."
            self.app.notify(text, severity="error")
            return
        self.run_actions.run(partial(self.run_actions.move_in_queue, run.directory, places))

    def action_filter(self) -> None:
        """Type the filter in a line below the list."""
        self.filter_line.open()
        self.draw()

    def _set_filter(self, text: str) -> None:
        """Put a valid filter into the line and apply it."""
        with self.prevent(Input.Changed):
            self.filter_line.input.value = text
        self.run_query, self.problem = parse_query(text), ""

    def on_input_changed(self, event: Input.Changed) -> None:
        """Apply what is typed so far if it is a query; the beginning of a key that no run has in a text is left out."""
        result = event.validation_result
        self.problem = "" if result is None or result.is_valid else result.failure_descriptions[0]
        if not self.problem:
            query = parse_query(event.value)
            self.run_query = query if query.chosen(self.snapshots) else query.without_half_a_key()
        self.draw()

    def on_search_line_closed(self, event: SearchLine.Closed) -> None:
        """Apply all of the text, or the last valid filter where it is no query."""
        self._set_filter(event.text if QueryValidator().validate(event.text).is_valid else str(self.run_query))
        self.app.session.set("runs.filter", self.filter_line.input.value)
        self.draw()

    def action_mark(self) -> None:
        if (run := self.run_under_cursor) is not None:
            self.state.toggle_mark(run.directory.run_id)
            self.table.action_cursor_down()
            self.draw()

    def action_open(self) -> None:
        if runs := self.selected_runs():
            self._open(runs, "watch")

    def action_compare(self) -> None:
        runs = self.selected_runs()
        if len(runs) < 2:
            self.app.notify("Mark two runs or more with space, then press c.", title="Compare")
            return
        self._open(runs, "compare")

    def _open(self, runs: list[RunDirectory], screen: ScreenName) -> None:
        """Show runs on a screen; the marks of runs that were removed go."""
        present = {run.directory.run_id for run in self.snapshots}
        self.state.mark([run_id for run_id in self.state.marked if run_id in present])
        self.app.open_runs(runs, screen)
