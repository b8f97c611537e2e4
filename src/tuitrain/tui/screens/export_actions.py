"""The panel in focus as a file or as a number, and the figure of the run.

Dialogs, matplotlib and what opens a file are imported in the functions: the first frame does without them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual.widget import Widget
from textual.widgets import Input

from tuitrain.analysis.metrics import BY_KEY
from tuitrain.plots.model import ChartOptions, HeatMap, Plot, newest_value
from tuitrain.plots.panels.choice import PanelSizes, found, with_own
from tuitrain.plots.request import run_names
from tuitrain.plots.roles import run_role
from tuitrain.runs import RunDirectory
from tuitrain.text import clean
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.dashboard import CHARTS_CSS, Dashboard
from tuitrain.tui.widgets.search_line import SearchLine

KINDS = (
    ("svg", "SVG   a figure that scales"),
    ("png", "PNG   a picture of 1520 × 880 pixels"),
    ("csv", "CSV   the visible numbers, every point"),
)


class ChartScreen(BaseScreen):
    """A screen whose body is a dashboard, with the search for panels and the actions on the panel in focus.

    layout_panels: gives the panels that are shown where nothing is searched for, and no log has others. layout_title:
    gives what these panels are called.
    """

    CSS_PATH = CHARTS_CSS
    draws_by_size = False
    charts: Dashboard

    def __init__(self, layout_panels: Callable[[], PanelSizes], layout_title: Callable[[], str] = str) -> None:
        super().__init__()
        self.layout_panels, self.layout_title = layout_panels, layout_title
        self._search = ""
        """Words that the names of the panels have which are shown; empty: those of the layout are."""
        self._chosen: tuple[object, PanelSizes] = (None, {})
        """The panels that are shown, and what they were chosen by."""
        self._before = ""
        """The panel that was in focus before the search."""

    def compose_body(self) -> Iterable[Widget]:
        yield self.charts
        yield SearchLine(placeholder="words in the names of metrics")

    def lay_out(self) -> None:
        self.charts.lay_out()
        super().lay_out()

    def draw_body(self, cells: int) -> None:
        # As many as the layout has are together on the first page.
        self.charts.show_panels(self._panels(), len(self.layout_panels()))
        self.charts.draw()

    def _panels(self) -> PanelSizes:
        """The panels to show, chosen again where the layout, the search, the runs or their metrics are others."""
        state, panels = self.state, self.layout_panels()
        logs = [
            (each, each.steps.keys, each.evals.keys, each.system_columns.keys, bool(each.layers))
            for each in (view.history for view in state.runs)
        ]
        by = ([*panels.items()], self._search, logs)
        if by != self._chosen[0]:
            self._chosen = by, found(self._search, state) if self._search else with_own(panels, state)
            count = len(self._chosen[1])
            searched = f"/{self._search} {count} panel{'' if count == 1 else 's'}"
            self.charts.layout_name = searched if self._search else self.layout_title()
        return self._chosen[1]

    def action_search_panels(self) -> None:
        self.query_one(SearchLine).open()

    def on_search_line_closed(self) -> None:
        self.charts.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the panels with these words; without any those of before, with the focus where it was."""
        if (words := event.value.strip()) == self._search:
            return
        if not self._search:
            self._before = self.charts.focused_panel
        self._search = words
        self.draw()
        self.charts.show_panel(self.charts.focused_panel if words else self._before)

    def step_back(self) -> bool:
        """Leave the crosshair, else the part of the axis that is zoomed in, else the search; False without any."""
        if not self.state.step_back():
            if not self._search:
                return False
            self.query_one(SearchLine).close(keep=False)
        self.app.redraw()
        return True

    def scrolled(self) -> Iterable[Widget]:
        return [self.charts.tab_content]

    def copied_value(self) -> tuple[str, str | None] | None:
        chart = self.charts.focused_chart
        plot = self.charts.plot(chart, replace(self.state, smoothing=0.0)) if chart is not None else None
        if chart is None or not isinstance(plot, Plot):
            return None if chart is not None else super().copied_value()
        whose = f" of {run_names(self.state.runs)[self.state.focused]}" if len(self.state.runs) > 1 else ""
        role = run_role(self.state.run.index) if self.state.run else ""
        return f"{_title(plot)}{whose}", newest_value(plot, role, self.state.crosshair)

    def action_export_panel(self) -> None:
        """Ask for the kind of file, then write it beside the run, or here when it shows several."""
        from tuitrain.tui.screens.dialogs import Choice

        chart = self.charts.focused_chart
        if chart is None:
            self.app.notify("There is no visible panel to export: close the tab first.", severity="error")
            return

        def chosen(kind: str | None) -> None:
            if kind is not None:
                self.run_actions.run(partial(self._export, chart, kind))

        self.app.push_screen(Choice(f"export {clean(chart.panel)}", KINDS), chosen)

    async def _export(self, chart: Chart, kind: str) -> None:
        state = self.state
        plot = self.charts.plot(chart, replace(state, smoothing=0.0) if kind == "csv" else state)
        if plot is None:
            self.app.notify("That panel is not on the screen any more.", severity="error")
            return
        from tuitrain.export.panel_file import export_panel, panel_path

        out = panel_path(state, chart.panel, kind)
        runs = [(name, run.run_id) for name, run in zip(run_names(state.runs), state.runs, strict=True)]
        if isinstance(plot, HeatMap):
            # A map is of the run in focus alone.
            runs = runs[state.focused : state.focused + 1]
        options = ChartOptions(zoom=state.zoom, log_x=state.log_x)
        await asyncio.to_thread(export_panel, plot, out, options, runs)
        self.app.notify(f"wrote {out}")

    def action_open_figure(self) -> None:
        """Draw the analysis figure of the run in focus, and open it where there is a display."""
        run = self.current_run()
        if run is None:
            self.app.notify("There is no figure of what is read from standard input.", severity="error")
            return
        self.app.notify(f"drawing the figure of {run.run_id}")
        self.run_actions.run(partial(self._figure, run))

    async def _figure(self, run: RunDirectory) -> None:
        path = await asyncio.to_thread(_draw_analysis, run, self.state.x)
        if await asyncio.to_thread(_open, path):
            self.app.notify(f"opened {path}")
        else:
            self.app.copy_to_clipboard(str(path))
            self.app.notify(f"wrote {path}; there is no display here to open it on, so the path is copied")


def _title(plot: Plot) -> str:
    """The title of a plot without its unit."""
    metric = BY_KEY.get(plot.metric)
    return metric.title if metric is not None and plot.title == metric.label else plot.title


def _draw_analysis(run: RunDirectory, x: str) -> Path:
    from tuitrain.export.figures import export_plots
    from tuitrain.runs import load_history

    axis = x if x in ("step", "tokens", "time", "flops") else "step"
    return export_plots([(run, load_history(run))], run.path / "figures", ("png",), x=axis)[0]


def _open(path: Path) -> bool:
    """Open a file as the desktop does; False over SSH, without a display, or where nothing opens files."""
    import shutil
    import subprocess

    remote = "SSH_CONNECTION" in os.environ or "SSH_TTY" in os.environ
    display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if remote or not display or opener is None:
        return False
    return subprocess.run([opener, str(path)], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
