"""The dashboard of one run, or of several in the same charts."""

from __future__ import annotations

from tuitrain.tui.actions import bindings
from tuitrain.tui.headline import header
from tuitrain.tui.panels import PANELS
from tuitrain.tui.screens.board import BoardScreen
from tuitrain.tui.tabs import WATCH_TABS
from tuitrain.tui.text import Line


class WatchScreen(BoardScreen):
    """Six charts, four tabs."""

    BINDINGS = bindings("watch")
    place = "watch"
    panels = PANELS
    tabs = WATCH_TABS

    def header_lines(self, cells: int) -> list[Line]:
        return header(self.board, cells)

    def action_compare(self) -> None:
        if len(self.board.views) > 1:
            self.app.show_screen("compare")
            return
        view = self.board.view
        self.board.marked = {view.directory.run_id} if view and view.directory else set()
        self.app.show_screen("runs")
        self.app.notify("Mark other runs with space, then press c.", title="Compare")
