"""Several runs against each other: curves over one another, final metrics with their deltas, differing config keys."""

from __future__ import annotations

from tuitrain.tui.actions import bindings
from tuitrain.tui.comparison import COMPARE_TABS, title_lines
from tuitrain.tui.panels import COMPARE_PANELS
from tuitrain.tui.screens.board import BoardScreen
from tuitrain.tui.text import Line


class CompareScreen(BoardScreen):
    """Three charts, and two tables as tabs."""

    BINDINGS = bindings("compare")
    place = "compare"
    panels = COMPARE_PANELS
    tabs = COMPARE_TABS
    pane_share = 0.55

    def header_lines(self, cells: int) -> list[Line]:
        return title_lines(self.board, cells)

    def action_baseline(self) -> None:
        self.board.baseline = (self.board.baseline + 1) % max(len(self.board.views), 1)
        self.draw()

    def action_back(self) -> None:
        self.app.show_screen("watch")
