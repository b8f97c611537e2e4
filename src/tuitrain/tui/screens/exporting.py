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

from tuitrain.analysis.metrics import METRICS
from tuitrain.runs import RunDirectory
from tuitrain.tui.charts.heat_map import HeatMap
from tuitrain.tui.charts.plot import Curve, Plot
from tuitrain.tui.screens.acting import RunActions
from tuitrain.tui.state import Board, names
from tuitrain.tui.theme import run_role
from tuitrain.tui.widgets.chart import Chart

if TYPE_CHECKING:
    from tuitrain.export.panel import Panel

KINDS = (
    ("svg", "SVG   a figure that scales"),
    ("png", "PNG   a picture of 1520 × 880 pixels"),
    ("csv", "CSV   the numbers in sight, every point of them"),
)
_DRAWING = threading.Lock()
"""Matplotlib's settings are of the whole process: one figure at a time."""


class PanelActions(RunActions):
    """Actions on `panel_in_focus()`, which a screen with charts knows."""

    def panel_in_focus(self) -> Chart | None:
        """The chart that stands out, or the only one in sight."""
        charts = [chart for chart in self.query(Chart) if chart.display and chart.region]
        return next((chart for chart in charts if chart.selected), charts[0] if charts else None)

    def plot_of(self, chart: Chart, board: Board) -> Plot | HeatMap | None:
        """What a chart shows with these settings."""
        panels = getattr(self, "panels", ())
        panel = next((each for each in panels if each.id == chart.panel), None)
        return panel.build(board) if panel is not None else None

    def value_in_focus(self) -> tuple[str, str] | None:
        chart = self.panel_in_focus()
        plot = self.plot_of(chart, replace(self.board, smoothing=0.0)) if chart is not None else None
        if chart is None or not isinstance(plot, Plot):
            return None if chart is not None else super().value_in_focus()
        newest = newest_value(plot, self.board)
        return None if newest is None else (plot.title, newest)

    def action_export_panel(self) -> None:
        """Ask for the kind of file, then write it beside the run, or here when it shows several."""
        from tuitrain.tui.screens.dialogs import Choice

        chart = self.panel_in_focus()
        if chart is None:
            self.tell("There is no panel in sight to export: close the tab first.", trouble=True)
            return

        def chosen(kind: str | None) -> None:
            if kind is not None:
                self.beside(partial(self._export, chart, kind))

        self.app.push_screen(Choice(f"export {chart.panel}", KINDS), chosen)

    async def _export(self, chart: Chart, kind: str) -> None:
        from tuitrain.export.errors import ExportError

        board = replace(self.board, smoothing=0.0) if kind == "csv" else self.board
        plot = self.plot_of(chart, board)
        if plot is None:
            self.tell("That panel is not on the screen any more.", trouble=True)
            return
        out = _target(board, chart.panel, kind)
        try:
            panel = _as_map(plot, board) if isinstance(plot, HeatMap) else _as_panel(plot, board)
            await asyncio.to_thread(_write, panel, out)
        except ExportError as error:
            self.tell(str(error), trouble=True)
            return
        self.tell(f"wrote {out}")

    def action_open_figure(self) -> None:
        """Draw the analysis figure of the run in focus, and open it where there is a display."""
        run = self.acting_on()
        if run is None:
            self.tell("There is no figure of what is read from standard input.", trouble=True)
            return
        self.tell(f"drawing the figure of {run.run_id}")
        self.beside(partial(self._figure, run))

    async def _figure(self, run: RunDirectory) -> None:
        from tuitrain.export.errors import ExportError

        try:
            path = await asyncio.to_thread(_draw_analysis, run, self.board.x)
        except ExportError as error:
            self.tell(str(error), trouble=True)
            return
        if await asyncio.to_thread(_open, path):
            self.tell(f"opened {path}")
            return
        self.app.copy_to_clipboard(str(path))
        self.tell(f"wrote {path}; there is no display here to open it on, so the path is copied")


def newest_value(plot: Plot, board: Board) -> str | None:
    """The newest finite number of the run in focus in a plot that is not smoothed; at the crosshair, the one there."""
    role = run_role(board.view.index) if board.view else ""
    own = [curve for curve in plot.curves if curve.role == role] or list(plot.curves)
    for curve in _whole(own):
        known = np.flatnonzero(np.isfinite(curve.y))
        if len(known):
            row = known[-1] if board.crosshair is None else known[abs(curve.x[known] - board.crosshair).argmin()]
            return f"{float(curve.y[row]):.10g}"
    return None


def _target(board: Board, panel: str, kind: str) -> Path:
    """`<run>/exports/<panel>-<x>-<step>.<kind>` for one run with a directory, else `./tuitrain-<panel>-<x>.<kind>`."""
    view = board.view
    if len(board.views) == 1 and view is not None and view.directory is not None and view.directory.path.is_dir():
        step = view.history.step
        return view.directory.path / "exports" / f"{panel}-{board.x}-{step if step is not None else 0}.{kind}"
    return Path.cwd() / f"tuitrain-{panel}-{board.x}.{kind}"


def _as_panel(plot: Plot, board: Board) -> Panel:
    """A plot of the terminal as the export room draws it."""
    from tuitrain.export import panel as export

    labels = dict(zip((run_role(view.index) for view in board.views), names(board.views), strict=True))
    several = len(board.views) > 1

    def named(role: str, name: str) -> str:
        """Of several runs every curve says whose it is."""
        run = labels.get(role.partition(".")[0], "") if several else ""
        return " ".join(dict.fromkeys(part for part in (run, name) if part))

    zoom = board.zoom
    return export.Panel(
        next((each.label for each in METRICS if each.title == plot.title), plot.title),
        "  ·  ".join(view.run_id for view in board.views[:4]) + (" …" if len(board.views) > 4 else ""),
        plot.x_axis,
        tuple(export.Line(each.x, each.y, each.role, named(each.role, each.name)) for each in _whole(plot.curves)),
        tuple(
            export.Stars(each.x, each.y, each.role, named(each.role, each.name or "validation")) for each in plot.points
        ),
        tuple((level.y, level.name) for level in plot.levels if level.in_range),
        tuple((mark.x, mark.kind) for mark in plot.marks),
        zoom=None if zoom is None else (zoom.low, zoom.high),
        log_x=board.log_x,
        log_y=plot.log,
        from_zero=plot.from_zero,
        clip=plot.clip and board.clip,
    )


def _whole(curves: Sequence[Curve]) -> list[Curve]:
    """Curves that are drawn in pieces, of which the last has the name, as one each."""
    found: list[Curve] = []
    for each in curves:
        before = found[-1] if found else None
        if before is not None and before.role == each.role and not before.name and each.role.startswith("run"):
            x, y = np.concatenate((before.x, each.x)), np.concatenate((before.y, each.y))
            found[-1] = replace(each, x=x, y=y)
        else:
            found.append(each)
    return found


def _as_map(heat: HeatMap, board: Board) -> Panel:
    """A heat map of the terminal as the export room draws it."""
    from tuitrain.export import panel as export

    lines = tuple(export.Line(heat.x, heat.values[:, row], "run0", name) for row, name in enumerate(heat.rows))
    zoom = None if board.zoom is None else (board.zoom.low, board.zoom.high)
    head = board.view.run_id if board.view else ""
    return export.Panel(heat.title, head, heat.x_axis, lines, zoom=zoom, log_x=board.log_x, as_map=True)


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
