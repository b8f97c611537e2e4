"""The configuration of the run and its differences from the preset, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.containers import Horizontal
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from tuitrain.events import Run
from tuitrain.tui.actions import bindings
from tuitrain.tui.content.configuration import COLUMN_CELLS, config_lines, report_lines
from tuitrain.tui.content.console_search import Query, query_of
from tuitrain.tui.content.run_details import Description, describe
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.text import Line, Span, line
from tuitrain.tui.view_state import RunView
from tuitrain.tui.widgets.pane import Pane
from tuitrain.tui.widgets.search_line import SearchLine

BESIDE_CELLS = 110
"""A narrower screen has the report below the configuration."""


@dataclass(frozen=True, eq=False)
class _MadeOf:
    """What a description was made of. measured: whether the log had told the memory by then."""

    view: RunView | None
    run: Run | None
    measured: bool


def _left_cells(cells: int) -> int:
    """Cells of the configuration beside the report: half, or enough for two columns of keys."""
    return max(cells // 2, min(2 * COLUMN_CELLS + 12, cells - 72))


class ConfigScreen(BaseScreen):
    """Two panes, or one."""

    BINDINGS = bindings("config")
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    ConfigScreen #sides { height: 1fr; overflow: hidden; padding: 0 0 0 1; }
    """
    screen_name = "config"

    def __init__(self) -> None:
        super().__init__()
        self.everything = True
        self.search_query: Query | None = None
        self.described: Description | None = None
        """None until a thread has made it."""
        self._problem = ""
        self._made_of = _MadeOf(None, None, False)

    def compose_body(self) -> Iterable[Widget]:
        yield Horizontal(Pane(id="config"), Pane(id="report"), id="sides")
        yield SearchLine()

    def draw_body(self, cells: int) -> None:
        self._describe()
        left, right = self.query_one("#config", Pane), self.query_one("#report", Pane)
        right.display = cells >= BESIDE_CELLS
        described = self.described
        if described is None:
            left.show([line(Span(self._reason(), "quiet"))])
            right.show([])
            return
        room = _left_cells(cells) if right.display else cells - 1
        left.styles.width = room if right.display else "1fr"
        keys = config_lines(described, room - 3, everything=self.everything, query=self.search_query)
        if right.display:
            left.show(keys)
            right.show(report_lines(described.report, cells - room - 4))
        else:
            left.show([*keys, *self._report_below(described, room - 3)])

    def _report_below(self, described: Description, cells: int) -> list[Line]:
        return [] if self.search_query is not None else report_lines(described.report, cells)

    def _reason(self) -> str:
        view = self.state.run
        if view is None:
            return "No run is open."
        if view.history.run is None:
            return "The log holds no configuration." if view.loaded else "reading the log"
        return self._problem or "reading the configuration"

    def _describe(self) -> None:
        """Describe the run in a thread, again when another attempt has begun or its first numbers have come."""
        view = self.state.run
        run = view.history.run if view is not None else None
        measured = view.history.steps.has("mem_peak_gb") if view is not None else False
        before = self._made_of
        if view is before.view and run is before.run:
            if measured == before.measured:
                return
        else:
            self.described, self._problem = None, ""
        made_of = self._made_of = _MadeOf(view, run, measured)
        if view is None or run is None:
            return

        def work() -> None:
            info = view.directory.read_metadata() if view.directory is not None else None
            described = describe(view.history, info)
            self.app.call_from_thread(self._take, made_of, described)

        self.run_worker(work, thread=True, group="describe", exit_on_error=False)

    def _take(self, made_of: _MadeOf, described: Description) -> None:
        if made_of is self._made_of:
            self.described = described
            self.draw()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """What a log holds under `config` may be anything: say so, and leave the screen as it is."""
        if event.worker.group == "describe" and event.state is WorkerState.ERROR:
            error = event.worker.error
            self._problem = f"The configuration in the log cannot be read ({type(error).__name__}: {error})."
            self.draw()

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        self.search_query = query_of(event.text)
        self.draw()

    def on_search_line_closed(self, event: SearchLine.Closed) -> None:
        self.search_query = query_of(event.text)
        self.draw()

    def action_search(self) -> None:
        self.query_one(SearchLine).open()

    def action_back(self) -> None:
        if self.search_query is not None:
            self.query_one(SearchLine).close(keep=False)
        else:
            super().action_back()

    def action_toggle_all(self) -> None:
        self.everything = not self.everything
        self.query_one("#config", Pane).scroll_home(animate=False)
        self.draw()
