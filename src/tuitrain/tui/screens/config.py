"""The configuration of the run with its differences from the preset, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Iterable

from textual import work
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import get_current_worker

from tuitrain.analysis.report import Description, describe
from tuitrain.runs.console_search import Query, query_of
from tuitrain.tui.content.configuration import COLUMN_CELLS, config_lines, report_lines, shown_keys, summary
from tuitrain.tui.registry import bindings
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.text import Span, line
from tuitrain.tui.view_state import RunView, ViewState
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane
from tuitrain.tui.widgets.search_line import SearchLine

BESIDE_CELLS = 110
"""A narrower screen has the report below the configuration."""


def _left_cells(cells: int) -> int:
    """Cells of the configuration beside the report: half, or enough for two columns of keys."""
    return max(cells // 2, min(2 * COLUMN_CELLS + 12, cells - 72))


class ConfigScreen(BaseScreen):
    """The keys by section; beside them or below them the report."""

    BINDINGS = bindings("config")
    CSS_PATH = "../styles/config.tcss"
    AUTO_FOCUS = ""
    screen_name = "config"

    everything: reactive[bool] = reactive(True, init=False)
    """Whether all keys are shown, or those that differ from the preset."""
    search_query: reactive[Query | None] = reactive(None, init=False)
    description: reactive[Description | str | None] = reactive(None, init=False)
    """None until a thread has made it; a sentence where the configuration in the log cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self._described: tuple[object, object, bool] = (None, None, False)
        """The run and the attempt that are described, and whether the memory was measured."""

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal(id="sides"):
            with Vertical(id="keys"):
                yield Lines(id="summary")
                yield Pane(id="config")
            yield Pane(id="report")
        yield SearchLine()

    def on_mount(self) -> None:
        self.app.state_changed.subscribe(self, self._describe_again, immediate=True)

    def on_screen_resume(self) -> None:
        self._describe_again(self.state)

    def _describe_again(self, state: ViewState) -> None:
        """Describe the run if it is another one, has begun another attempt, or has reported its first memory."""
        view = state.run
        run = view.history.run if view is not None else None
        source = (view, run, view is not None and view.history.steps.has("mem_peak_gb"))
        same_run = view is self._described[0] and run is self._described[1]
        if not self.is_current or (same_run and source[2] == self._described[2]):
            return
        self._described = source
        if not same_run:
            self.description = None
        if view is not None and run is not None:
            self._describe(view)

    @work(thread=True, exclusive=True)
    def _describe(self, view: RunView) -> None:
        description: Description | str
        try:
            description = describe(view.history, view.directory.read_metadata() if view.directory is not None else None)
        except Exception as error:  # Under `config` a log may hold anything.
            description = f"The configuration in the log cannot be read ({type(error).__name__}: {error})."
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(setattr, self, "description", description)

    def draw_body(self, cells: int) -> None:
        left, right = self.query_one("#config", Pane), self.query_one("#report", Pane)
        header = self.query_one("#summary", Lines)
        beside = cells >= BESIDE_CELLS
        described = self.description
        right.display = beside and isinstance(described, Description) and bool(described.values)
        if not isinstance(described, Description) or not described.values:
            header.show([line(Span(self._reason(), "quiet"))])
            left.show(report_lines(described.report, cells - 2) if isinstance(described, Description) else [])
            return
        room = _left_cells(cells) if beside else cells
        self.query_one("#keys").styles.width = room if beside else "1fr"
        query = self.search_query
        keys = shown_keys(described, everything=self.everything, query=query)
        if query is not None:
            header.show([line(Span(f"{len(keys)} keys hold ", "quiet"), Span(query.text, "key"))])
        else:
            header.show([summary(described, "only these" if self.everything else "all")])
        lines = config_lines(described, keys, room - 2, query)
        if beside:
            right.show(report_lines(described.report, cells - room - 2))
        elif query is None:
            lines += report_lines(described.report, room - 2)
        left.show(lines)

    def _reason(self) -> str:
        """Why no configuration is shown."""
        view = self.state.run
        if view is None:
            return "No run is open."
        if isinstance(self.description, str):
            return self.description
        if view.history.run is None or self.description is not None:
            return "The log holds no configuration." if view.loaded else "reading the log"
        return "reading the configuration"

    def _watch(self) -> None:
        self.draw()

    watch_everything = watch_search_query = watch_description = _watch

    def scrolled(self) -> Iterable[Widget]:
        return self.query("#config")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.search_query = query_of(event.value)

    def action_search(self) -> None:
        self.query_one(SearchLine).open()

    def action_back(self) -> None:
        if self.search_query is not None:
            self.query_one(SearchLine).close(keep=False)
        else:
            super().action_back()

    def action_toggle_all(self) -> None:
        self.everything = not self.everything
        self.action_scroll("home")
