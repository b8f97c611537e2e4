"""Several runs against each other: curves over one another, final metrics with their deltas, differing config keys."""

from __future__ import annotations

from tuitrain.analysis.compare import compare_runs
from tuitrain.analysis.series import AXES
from tuitrain.tui.actions import bindings
from tuitrain.tui.content.comparison import COMPARE_TABS, compare_axis, grouped, title_lines
from tuitrain.tui.content.grouping import GROUPABLE_PANELS
from tuitrain.tui.screens.board import BoardScreen
from tuitrain.tui.screens.exporting import PanelActions
from tuitrain.tui.state import names
from tuitrain.tui.text import Line


class CompareScreen(BoardScreen, PanelActions):
    """Three charts, and two tables as tabs. The runs are aligned on step, tokens, training time or FLOPs."""

    BINDINGS = bindings("compare")
    place = "compare"
    panels = GROUPABLE_PANELS
    tabs = COMPARE_TABS
    pane_share = 0.62

    def header_lines(self, cells: int) -> list[Line]:
        key = next((action.key_text for action in self.app.actions if action.id == "next_baseline"), "")
        return title_lines(self.board, cells, key)

    def on_screen_resume(self) -> None:
        self.board.x = compare_axis(self.board)
        super().on_screen_resume()

    def action_cycle_axis(self) -> None:
        self.board.x = AXES[(AXES.index(compare_axis(self.board)) + 1) % len(AXES)]
        self.board.zoom = self.board.crosshair = None
        self.draw()

    def action_next_baseline(self) -> None:
        board, groups = self.board, grouped(self.board)
        if groups is None:
            board.baseline = (board.baseline + 1) % max(len(board.views), 1)
        else:
            following = groups.groups[(groups.baseline + 1) % len(groups.groups)]
            board.baseline = names(board.views).index(following[0])
        self.draw()

    def action_group_runs(self) -> None:
        """Choose by what runs are taken together."""
        from tuitrain.tui.screens.dialogs import Choice

        config = compare_runs([(view.run_id, view.history) for view in self.board.views]).config
        options = [("tag", "tag"), ("preset", "preset"), ("name", "name")]
        options += [(row.key, f"{row.key}  {', '.join(dict.fromkeys(row.values))}") for row in config]
        self.app.push_screen(Choice("groups by", [("none", "none, each run for itself"), *options]), self._group)

    def _group(self, key: str | None) -> None:
        if key is not None:
            self.board.group_by = "" if key == "none" else key
            self.forget_axes()
            self.draw()
