"""Several runs against each other: curves over one another, final metrics with their deltas, findings, config keys."""

from __future__ import annotations

from functools import partial

from tuitrain.analysis.compare import compare_runs
from tuitrain.analysis.points import parse_point
from tuitrain.analysis.series import AXES
from tuitrain.plots.groups import GROUPABLE_PANELS, compare_axis, grouped
from tuitrain.plots.panels.choice import PanelSizes
from tuitrain.plots.request import run_names
from tuitrain.tui.content.comparison import title_lines
from tuitrain.tui.registry import bindings
from tuitrain.tui.screens.dialogs import Choice, Prompt
from tuitrain.tui.screens.export_actions import ChartScreen
from tuitrain.tui.text import Line
from tuitrain.tui.widgets.compare_tab import CompareTab
from tuitrain.tui.widgets.dashboard import Dashboard
from tuitrain.tui.widgets.tab_content import ChartTab

COMPARE_SIZES: PanelSizes = dict.fromkeys(GROUPABLE_PANELS, 1)
COMPARE_TABS = (
    ChartTab("Metrics", partial(CompareTab, content="metrics")),
    ChartTab("Findings", partial(CompareTab, content="findings")),
    ChartTab("Config", partial(CompareTab, content="config")),
)


class CompareScreen(ChartScreen):
    """Three charts, and tabs of metrics, findings and config. Runs are aligned on step, tokens, time or FLOPs."""

    BINDINGS = bindings("compare")
    screen_name = "compare"

    def __init__(self) -> None:
        super().__init__(lambda: COMPARE_SIZES)
        self.charts = Dashboard(COMPARE_SIZES, COMPARE_TABS, pane_share=0.62, axes=AXES)

    def header_lines(self, cells: int) -> list[Line]:
        key = next((action.key_text for action in self.app.actions if action.id == "next_baseline"), "")
        return title_lines(self.state, cells, key)

    def on_screen_resume(self) -> None:
        self.state.set_axis(compare_axis(self.state.x))

    def action_back(self) -> None:
        """Leave the crosshair, then the part of the axis that is zoomed in, then the search, then the screen."""
        if not self.step_back():
            super().action_back()

    def action_next_baseline(self) -> None:
        state, groups = self.state, grouped(self.state)
        if groups is None:
            state.compare_with(state.baseline + 1)
        else:
            following = groups.groups[(groups.baseline + 1) % len(groups.groups)]
            state.compare_with(run_names(state.runs).index(following[0]))
        self.app.redraw()

    def action_choose_point(self) -> None:
        """Ask for the point at which the runs are compared."""
        at = self.state.at
        value = "" if at is None else f"{at[0]}={at[1]:.10g}"
        example = "tokens=1e9, step=500, val_loss=2.5, or tokens for the farthest that all reached"
        self.app.push_screen(Prompt("compare at", value, example, "Empty: at the end of each run."), self._compare_at)

    def _compare_at(self, text: str | None) -> None:
        if text is None:
            return
        try:
            histories = [view.history for view in self.state.runs]
            self.state.compare_at(parse_point(text.strip(), histories) if text.strip() else None)
        except ValueError as error:
            self.app.notify(f"{error}", severity="error")
        self.app.redraw()

    def action_group_runs(self) -> None:
        """Choose the key whose values group the runs."""
        config = compare_runs([(view.run_id, view.history) for view in self.state.runs]).config
        options = [("tag", "tag"), ("preset", "preset"), ("name", "name")]
        options += [(row.key, f"{row.key}  {', '.join(dict.fromkeys(row.values))}") for row in config]
        self.app.push_screen(Choice("groups by", [("none", "none, each run for itself"), *options]), self._group)

    def _group(self, key: str | None) -> None:
        if key is not None:
            self.state.set_group_by("" if key == "none" else key)
            self.app.redraw()
