"""The list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen

from tuitrain.runs import Glance
from tuitrain.tui.actions import bindings, footer
from tuitrain.tui.listing import run_table, summary
from tuitrain.tui.text import Span, fit, line
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.tui.app import TuitrainApp


class RunsScreen(Screen[None]):
    """All runs of the directory, the newest first; it refreshes itself."""

    BINDINGS = bindings("runs")
    DEFAULT_CSS = """
    RunsScreen { layout: vertical; overflow: hidden; }
    RunsScreen Lines { height: 1; }
    RunsScreen #title { height: 2; }
    """

    app: TuitrainApp

    def __init__(self) -> None:
        super().__init__()
        self.cursor = 0

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield Lines(id="heading")
        yield Pane(id="list")
        yield Lines(id="footer")

    @property
    def marked(self) -> set[str]:
        """Ids of the marked runs."""
        return self.app.board.marked

    @property
    def glances(self) -> tuple[Glance, ...]:
        """What is known of the runs."""
        return self.app.board.glances or ()

    def on_mount(self) -> None:
        self.draw()

    def on_screen_resume(self) -> None:
        self.app.feed.watch_list(self.app.runs_dir)
        self.draw()

    def on_screen_suspend(self) -> None:
        self.app.feed.watch_list(None)

    def on_resize(self, event: events.Resize) -> None:
        self.draw()

    def draw(self) -> None:
        """Draw the list from the state; the cursor stays on its run."""
        if not self.is_mounted or not self.is_current:
            return
        cells = self.app.size.width
        self.cursor = max(0, min(self.cursor, len(self.glances) - 1))
        heading, rows = run_table(self.glances, self.marked, cells - 2)
        shown = [
            tuple(Span(span.text, span.role, f"screen.choose({index})") for span in (Span(" "), *row))
            for index, row in enumerate(rows)
        ]
        if not rows and self.app.board.glances is not None:
            shown = [line(), line(" ", Span("No runs here yet. Start one: tuitrain launch gpt2-tiny", "quiet"))]
        with self.app.batch_update():
            self.query_one("#title", Lines).show(
                [fit(summary(self.app.board.glances, str(self.app.runs_dir)), cells), ()]
            )
            self.query_one("#heading", Lines).show([fit(line(" ", *(heading if rows else ())), cells)])
            pane = self.query_one(Pane)
            pane.cursor = self.cursor if rows else None
            pane.show(shown)
            self.query_one("#footer", Lines).show([fit(footer("runs", cells), cells)])

    def repaint(self) -> None:
        """Draw everything again in new colours."""
        for widget in (*self.query(Lines), *self.query(Pane)):
            widget.repaint()

    def _to(self, row: int) -> None:
        if self.glances:
            self.cursor = max(0, min(row, len(self.glances) - 1))
            self.query_one(Pane).move_cursor(self.cursor)

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
        self._to(len(self.glances) - 1)

    def action_choose(self, row: int) -> None:
        if row == self.cursor:
            self.action_open()
        else:
            self._to(row)

    def action_mark(self) -> None:
        if self.glances:
            self.app.board.marked ^= {self.glances[self.cursor].directory.run_id}
            self.cursor = min(self.cursor + 1, len(self.glances) - 1)
            self.draw()
            self._to(self.cursor)

    def _chosen(self) -> list[Glance]:
        marked = [each for each in self.glances if each.directory.run_id in self.marked]
        return marked or list(self.glances[self.cursor : self.cursor + 1])

    def action_open(self) -> None:
        chosen = self._chosen()
        if chosen:
            self.app.open_runs([each.directory for each in chosen], "watch")

    def action_compare(self) -> None:
        chosen = self._chosen()
        if len(chosen) < 2:
            self.app.notify("Mark two runs or more with space, then press c.", title="Compare")
            return
        self.app.open_runs([each.directory for each in chosen], "compare")

    def action_back(self) -> None:
        if self.app.board.views:
            self.app.show_screen("watch")
