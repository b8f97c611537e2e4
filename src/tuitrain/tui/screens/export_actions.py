"""The panel in focus as a file or as a number, and the figure of the run."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuitrain.analysis.metrics import BY_KEY, METRICS, Metric
from tuitrain.events.text import file_name
from tuitrain.plots.model import Curve, HeatMap, Plot, Points
from tuitrain.plots.request import run_names
from tuitrain.plots.roles import run_role
from tuitrain.runs import RunDirectory
from tuitrain.tui.screens.page import BaseScreen
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.dashboard import Dashboard

if TYPE_CHECKING:
    from tuitrain.export.panel import Panel

KINDS = (
    ("svg", "SVG   a figure that scales"),
    ("png", "PNG   a picture of 1520 × 880 pixels"),
    ("csv", "CSV   the numbers in sight, every point of them"),
)
_HEAD_CELLS, _GAP = 90, "  ·  "
"""Letters that the line above a figure has room for, and what stands between the ids in it."""
_DRAWING = threading.Lock()
"""Matplotlib's settings are of the whole process: one figure at a time."""


class PanelActions(BaseScreen):
    """Actions on `panel_in_focus()`, which a screen with charts knows."""

    charts: Dashboard

    def panel_in_focus(self) -> Chart | None:
        """The chart that stands out, or the only one in sight."""
        return self.charts.focused_chart

    def plot_of(self, chart: Chart, state: ViewState) -> Plot | HeatMap | None:
        """What a chart shows with these settings."""
        panel = self.charts.panel(chart)
        return panel.build(state) if panel is not None else None

    def copied_value(self) -> tuple[str, str | None] | None:
        chart = self.panel_in_focus()
        plot = self.plot_of(chart, replace(self.state, smoothing=0.0)) if chart is not None else None
        if chart is None or not isinstance(plot, Plot):
            return None if chart is not None else super().copied_value()
        whose = f" of {run_names(self.state.runs)[self.state.focused]}" if len(self.state.runs) > 1 else ""
        return f"{_titled(plot)}{whose}", newest_value(plot, self.state)

    def action_export_panel(self) -> None:
        """Ask for the kind of file, then write it beside the run, or here when it shows several."""
        from tuitrain.tui.screens.dialogs import Choice

        chart = self.panel_in_focus()
        if chart is None:
            self.tell("There is no panel in sight to export: close the tab first.", trouble=True)
            return

        def chosen(kind: str | None) -> None:
            if kind is not None:
                self.run_actions.run(partial(self._export, chart, kind))

        self.app.push_screen(Choice(f"export {chart.panel}", KINDS), chosen)

    async def _export(self, chart: Chart, kind: str) -> None:
        from tuitrain.export.errors import ExportError

        state = self.state
        raw = self.plot_of(chart, replace(state, smoothing=0.0))
        plot = raw if kind == "csv" else self.plot_of(chart, state)
        if plot is None:
            self.tell("That panel is not on the screen any more.", trouble=True)
            return
        out = _target(state, chart.panel, kind)
        try:
            if isinstance(plot, HeatMap):
                panel = _as_map(plot, state)
            else:
                smoothed = isinstance(raw, Plot) and _smoothed(plot, raw)
                panel = _as_panel(plot, state, f"smoothed: EMA {state.smoothing:g}" if smoothed else "")
            await asyncio.to_thread(_write, panel, out)
        except ExportError as error:
            self.tell(str(error), trouble=True)
            return
        self.tell(f"wrote {out}")

    def action_open_figure(self) -> None:
        """Draw the analysis figure of the run in focus, and open it where there is a display."""
        run = self.current_run()
        if run is None:
            self.tell("There is no figure of what is read from standard input.", trouble=True)
            return
        self.tell(f"drawing the figure of {run.run_id}")
        self.run_actions.run(partial(self._figure, run))

    async def _figure(self, run: RunDirectory) -> None:
        from tuitrain.export.errors import ExportError

        try:
            path = await asyncio.to_thread(_draw_analysis, run, self.state.x)
        except ExportError as error:
            self.tell(str(error), trouble=True)
            return
        if await asyncio.to_thread(_open, path):
            self.tell(f"opened {path}")
            return
        self.app.copy_to_clipboard(str(path))
        self.tell(f"wrote {path}; there is no display here to open it on, so the path is copied")


def _titled(plot: Plot) -> str:
    """What a plot is of, without the unit."""
    about = BY_KEY.get(plot.metric)
    return about.title if about is not None and plot.title == about.label else plot.title


def newest_value(plot: Plot, state: ViewState) -> str | None:
    """The newest finite number of the run in focus in a plot that is not smoothed; at the crosshair, the one there."""
    role = run_role(state.run.index) if state.run else ""
    for curve in _whole([curve for curve in plot.curves if curve.role == role]):
        known = np.flatnonzero(np.isfinite(curve.y))
        if len(known):
            row = known[-1] if state.crosshair is None else known[abs(curve.x[known] - state.crosshair).argmin()]
            return f"{float(curve.y[row]):.10g}"
    return None


def _target(state: ViewState, panel: str, kind: str) -> Path:
    """`<run>/exports/<panel>-<x>-<step>.<kind>` for one run with a directory, else `./tuitrain-<panel>-<x>.<kind>`."""
    view, panel = state.run, file_name(panel)
    if len(state.runs) == 1 and view is not None and view.directory is not None and view.directory.path.is_dir():
        step = view.history.step
        return view.directory.path / "exports" / f"{panel}-{state.x}-{step if step is not None else 0}.{kind}"
    return Path.cwd() / f"tuitrain-{panel}-{state.x}.{kind}"


def _as_panel(plot: Plot, state: ViewState, note: str = "") -> Panel:
    """A plot of the terminal as the export room draws it. note: what was done to its curves."""
    from tuitrain.export import panel as export

    zoom, naming = state.zoom, _Naming(plot, state)
    return export.Panel(
        naming.title,
        _head(state),
        plot.x_axis,
        tuple(
            export.Line(each.x, each.y, each.role, naming.name(each), naming.column(each), each.std)
            for each in _whole(plot.curves)
        ),
        tuple(export.Stars(each.x, each.y, each.role, naming.name(each), naming.column(each)) for each in plot.points),
        tuple((level.y, level.name) for level in plot.levels if level.in_range),
        tuple((mark.x, mark.kind) for mark in plot.markers),
        zoom=None if zoom is None else (zoom.low, zoom.high),
        log_x=state.log_x,
        log_y=plot.log,
        from_zero=plot.from_zero,
        # A range of 98 % of the points would cut off the steep start of a loss.
        clip=plot.clip and state.clip and not plot.keep_first,
        note=note,
    )


def _head(state: ViewState) -> str:
    """The ids of the runs, as many as a figure is wide, and how many more there are."""
    ids = [view.run_id for view in state.runs]
    shown = next(count for count in range(len(ids), -1, -1) if count < 2 or len(_GAP.join(ids[:count])) <= _HEAD_CELLS)
    more = len(ids) - shown
    return _GAP.join(ids[:shown]) + (f" and {more} more" if more else "")


class _Naming:
    """What the parts of a plot are called in the legend of a figure, and at the head of a column of numbers.

    A column is headed by metric with unit, run, and the name of the curve where a run has several: `mfu_percent
    qwen3-tiny`, `data_time_ms qwen3-tiny data`. A group stands in the place of a run.
    """

    def __init__(self, plot: Plot, state: ViewState) -> None:
        self._about = BY_KEY.get(plot.metric)
        self._parts = {
            each.legend or each.title: each
            for each in METRICS
            if self._about is not None and each.panel == self._about.panel
        }
        self._runs = dict(zip((run_role(view.index) for view in state.runs), run_names(state.runs), strict=True))
        self._alone = run_names(state.runs)[0] if len(state.runs) == 1 else ""
        known = self._about is not None and plot.title == self._about.title
        self.title = self._about.label if known and self._about is not None else plot.title

    def name(self, part: Curve | Points) -> str:
        """Its own name; stars, and what has none among several runs, say whose they are."""
        if isinstance(part, Points):
            return self._joined("" if self._alone else self._run(part), part.name or "validation")
        return part.name if part.name or self._alone else self._run(part)

    def column(self, part: Curve | Points) -> str:
        """The head of its column."""
        if self._about is None:
            return self.name(part)
        if isinstance(part, Points):
            return self._joined(f"val_{_heading(self._about)}", self._alone or self._run(part))
        if not self._alone:
            return self._joined(_heading(self._about), part.name or self._run(part))
        return self._joined(_heading(self._parts.get(part.name, self._about)), self._alone, part.name)

    def _run(self, part: Curve | Points) -> str:
        return self._runs.get(part.role.partition(".")[0], "")

    @staticmethod
    def _joined(*words: str) -> str:
        return " ".join(word for word in words if word)


def _heading(about: Metric) -> str:
    """The key of a metric, which ends in its unit where it has one."""
    return f"{about.key}_percent" if about.unit == "%" and not about.key.endswith("percent") else about.key


def _whole(curves: Sequence[Curve]) -> list[Curve]:
    """Curves that are drawn in pieces, of which the last has the name, as one each: x goes on where it ended."""
    found: list[Curve] = []
    for each in curves:
        before = found[-1] if found else None
        if before is not None and _goes_on(before, each):
            x, y = np.concatenate((before.x, each.x)), np.concatenate((before.y, each.y))
            found[-1] = replace(each, x=x, y=y)
        else:
            found.append(each)
    return found


def _goes_on(before: Curve, after: Curve) -> bool:
    """Whether the second is a further piece of the first."""
    if before.name or before.std is not None or before.role != after.role or not after.role.startswith("run"):
        return False
    return not len(before.x) or not len(after.x) or bool(before.x[-1] <= after.x[0])


def _smoothed(plot: Plot, raw: Plot) -> bool:
    """Whether any curve of a plot is another than in the same plot without smoothing."""
    if len(plot.curves) != len(raw.curves):
        return True
    pairs = zip(plot.curves, raw.curves, strict=True)
    return any(not np.array_equal(one.y, other.y, equal_nan=True) for one, other in pairs)


def _as_map(heat: HeatMap, state: ViewState) -> Panel:
    """A heat map of the terminal as the export room draws it."""
    from tuitrain.export import panel as export

    run = run_names(state.runs)[state.focused] if state.runs else ""
    lines = tuple(
        export.Line(heat.x, heat.values[:, row], "run0", name, f"{heat.title} {run} {name}")
        for row, name in enumerate(heat.rows)
    )
    zoom = None if state.zoom is None else (state.zoom.low, state.zoom.high)
    head = state.run.run_id if state.run else ""
    return export.Panel(heat.title, head, heat.x_axis, lines, zoom=zoom, log_x=state.log_x, as_map=True)


def _write(panel: Panel, out: Path) -> None:
    from tuitrain.export.panel import export_panel

    with _DRAWING:
        export_panel(panel, out)


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

    if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"):
        return False
    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        return False
    done = subprocess.run([opener, str(path)], stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode == 0
