"""The panel in focus as a file or as a number, and the figure of the run.

Dialogs, matplotlib and what opens a file are imported in the functions: the first frame does without them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from textual.widget import Widget
from textual.widgets import Input

from tuitrain.analysis.metrics import BY_KEY
from tuitrain.events.text import clean, file_name
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.panels.choice import PanelSizes, found, with_own
from tuitrain.plots.request import run_names
from tuitrain.plots.roles import run_role
from tuitrain.runs import RunDirectory
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.dashboard import CHARTS_CSS, Dashboard
from tuitrain.tui.widgets.search_line import SearchLine

KINDS = (
    ("svg", "SVG   a figure that scales"),
    ("png", "PNG   a picture of 1520 × 880 pixels"),
    ("csv", "CSV   the visible numbers, every point"),
)
_DRAWING = threading.Lock()
"""Matplotlib's settings are of the whole process: one figure at a time."""


class ChartScreen(BaseScreen):
    """A screen whose body is a dashboard, with the search for panels and the actions on the panel in focus.

    layout_panels: gives the panels that are shown where nothing is searched for, and no log has others. layout_title:
    gives what these panels are called.
    """

    CSS_PATH = CHARTS_CSS
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

    def on_input_changed(self, event: Input.Changed) -> None:
        self._show_found(event.value.strip())

    def on_search_line_closed(self, event: SearchLine.Closed) -> None:
        self.charts.focus()
        self._show_found(event.text.strip())

    def _show_found(self, words: str) -> None:
        """Show the panels with these words; without any those of before, with the focus where it was."""
        if words == self._search:
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
        return f"{_title(plot)}{whose}", newest_value(plot, self.state)

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
        out = _target(state, chart.panel, kind)
        runs = [(name, run.run_id) for name, run in zip(run_names(state.runs), state.runs, strict=True)]
        if isinstance(plot, HeatMap):
            # A map is of the run in focus alone.
            runs = runs[state.focused : state.focused + 1]
        options = ChartOptions(zoom=state.zoom, log_x=state.log_x)
        await asyncio.to_thread(_write, plot, out, options, runs)
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


def newest_value(plot: Plot, state: ViewState) -> str | None:
    """The newest finite number of the run in focus in a plot that is not smoothed, or the one at the crosshair."""
    role = run_role(state.run.index) if state.run else ""
    for curve in (each for each in plot.curves if each.role == role):
        finite = np.flatnonzero(np.isfinite(curve.y))
        if len(finite):
            row = finite[-1] if state.crosshair is None else finite[abs(curve.x[finite] - state.crosshair).argmin()]
            return f"{float(curve.y[row]):.10g}"
    return None


def _target(state: ViewState, panel: str, kind: str) -> Path:
    """`<run>/exports/<panel>-<x>-<step>.<kind>` for one run with a directory, else `./tuitrain-<panel>-<x>.<kind>`."""
    run, panel = state.run, file_name(panel)
    if len(state.runs) == 1 and run is not None and run.directory is not None and run.directory.path.is_dir():
        return run.directory.path / "exports" / f"{panel}-{state.x}-{run.history.step or 0}.{kind}"
    return Path.cwd() / f"tuitrain-{panel}-{state.x}.{kind}"


def _write(plot: Plot | HeatMap, out: Path, options: ChartOptions, runs: Sequence[tuple[str, str]]) -> None:
    from tuitrain.export.panel_file import export_panel

    with _DRAWING:
        export_panel(plot, out, options, runs)


def _draw_analysis(run: RunDirectory, x: str) -> Path:
    from tuitrain.export.figures import export_plots
    from tuitrain.runs import load_history

    with _DRAWING:
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
