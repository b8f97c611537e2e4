"""Figures of runs as files: the six panels of each run, the comparison of several, and single panels."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tuitrain.analysis import units
from tuitrain.analysis.compare import compare_runs, display_names
from tuitrain.analysis.points import as_axis
from tuitrain.analysis.series import Axis
from tuitrain.analysis.smoothing import CENTRED
from tuitrain.export.comparison_table import draw_table
from tuitrain.export.draw import draw, place_legend
from tuitrain.export.errors import ExportError
from tuitrain.export.selection import (
    ANALYSIS,
    COMPARISON,
    NamedRuns,
    Runs,
    chart_files,
    check_selection,
    listed,
)
from tuitrain.export.style import Size, figure_style, font, grey, ink, make_inert, new_figure, run_style
from tuitrain.files import writing
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.panels import find_panel
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.runs import RunHistory

FORMATS = ("png", "pdf", "svg")
SIZE_INCHES = (13.0, 7.2)
PANEL_INCHES = (6.5, 3.9)
_YEAR_10000 = 253_402_300_800.0
_LEGEND_COLUMNS = 4


def export_plots(
    runs: Runs,
    out: Path,
    formats: Sequence[str] = ("png",),
    dpi: int = 200,
    style: Path | None = None,
    x: str = "step",
    *,
    panels: Sequence[str] = (),
    size: Size | None = None,
    title: bool = True,
) -> list[Path]:
    """Write `<run_id>-analysis.<format>` for each run and, for several, the comparison; returns the files.

    The comparison is named after the runs: `gpt2-tiny-vs-llama2-tiny-comparison.<format>`. panels: draw each of these
    as a figure of its own instead: `<run_id>-loss.<format>`, `gpt2-tiny-vs-llama2-tiny-loss.<format>`. size: in inches,
    else the style's, else ours. title: whether names and titles stand above the curves.

    Nothing is written unless everything can be: raises ExportError for no runs, a format, a style, a panel or a
    resolution that cannot be used, and a run without numbers; ValueError for an unknown axis. A size that leaves the
    curves no room raises ExportError when its figure is drawn.
    """
    axis = as_axis(x)
    _check(runs, formats, dpi, panels)
    written: list[Path] = []
    with figure_style(style) as style_size:
        size = size or style_size
        out.mkdir(parents=True, exist_ok=True)

        for stem, chosen, names in chart_files(runs, panels):
            named: NamedRuns = [(directory.run_id, history) for directory, history in chosen]
            if len(chosen) > 1:
                named = list(zip(display_names(chosen), (history for _, history in chosen), strict=True))
            if panels:
                figure = panel_figure(panel_plot(named, names[0], axis), size or PANEL_INCHES, title=title)
            elif len(chosen) > 1:
                figure = comparison_figure(named, axis, size, title=title)
            else:
                figure = analysis_figure(chosen[0][1], named[0][0], axis, size, title=title)
            written += save_figure(figure, out, stem, formats, dpi)
    return written


def _check(runs: Runs, formats: Sequence[str], dpi: int, panels: Sequence[str]) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ExportError(f"{', '.join(unknown) or 'No format'} is not a figure format; known: {', '.join(FORMATS)}.")
    if not 10 <= dpi <= 2400:
        raise ExportError(f"A resolution of {dpi} dpi is out of range: 10 to 2400.")
    check_selection(runs, panels)


def panel_plot(runs: NamedRuns, panel: str, axis: Axis) -> Plot | HeatMap:
    """What a panel shows of these runs in a figure."""
    request = PlotRequest(
        [PlotRun(index, history=history, label=name) for index, (name, history) in enumerate(runs)],
        # Tokens over tokens are a straight line.
        x="step" if panel == "tokens" and axis == "tokens" else axis,
        smoothing=CENTRED,
        log=panel == "lr",
        for_figure=True,
    )
    plot = find_panel(panel, [history for _, history in runs]).build(request)
    if panel == "loss" and len(runs) > 1 and isinstance(plot, Plot):
        # The validation of several runs has a panel of its own.
        return replace(plot, points=(), title="training loss")
    return plot


def analysis_figure(
    history: RunHistory, run_id: str, axis: Axis = "step", size: Size | None = None, *, title: bool = True
) -> Figure:
    """The six panels of one run: loss, learning rate, tokens; MFU, throughput, memory."""
    width, height = size or SIZE_INCHES
    figure = new_figure(width, height, head=0.68 if title else 0.05)
    for axes, name in zip(figure.subplots(2, 3).flat, ANALYSIS, strict=True):
        draw(axes, panel_plot([(run_id, history)], name, axis))
    if title:
        name = history.run.name if history.run else run_id
        top, second = 1 - 0.16 / height, 1 - 0.47 / height
        points = font(15 if len(name) <= 40 else 11)
        figure.text(0.012, top, name, fontsize=points, fontweight="bold", color=ink(), va="top")
        figure.text(0.012, second, subtitle(history), fontsize=font(9.5), color=grey(), va="top")
        figure.text(0.988, top, run_id, fontsize=font(8), color=grey(), va="top", ha="right")
    return figure


def subtitle(history: RunHistory) -> str:
    """What the run is, from its own records; unknown values are left out."""
    run, parts = history.run, []
    if run is not None and run.architecture is not None:
        parts.append(run.architecture.name)
        if run.architecture.params_total is not None:
            parts.append(f"{units.count(run.architecture.params_total)} parameters")
    if run is not None and run.hardware is not None:
        count = run.parallel.world_size if run.parallel else run.hardware.count
        parts.append(f"{count}×{run.hardware.device}" if count > 1 else run.hardware.device)
    if run is not None and run.dtype:
        parts.append(run.dtype)
    if history.tokens is not None:
        parts.append(f"{units.count(history.tokens)} tokens")
    if history.started is not None and 0 <= history.started < _YEAR_10000:
        parts.append(time.strftime("%Y-%m-%d", time.gmtime(history.started)))
    return "  ·  ".join(parts)


def comparison_figure(runs: NamedRuns, axis: Axis = "step", size: Size | None = None, *, title: bool = True) -> Figure:
    """Loss, validation loss, throughput and MFU of several runs over one x axis, and a table of their outcomes.

    size: of the whole figure in inches; title: whether the names of the runs stand above it.
    """
    comparison = compare_runs(runs)
    panel_height, table_height = 3.0, 0.65 + 0.27 * len(runs)
    heading = 0.42 if title else 0.05
    head = heading + 0.13 + 0.25 * -(-len(runs) // _LEGEND_COLUMNS)
    width, height = size or (11.0, head + 2 * panel_height + table_height)
    figure = new_figure(width, height, head)
    grid = figure.add_gridspec(3, 2, height_ratios=(panel_height, panel_height, table_height))
    for number, name in enumerate(COMPARISON):
        draw(figure.add_subplot(grid[number // 2, number % 2]), panel_plot(runs, name, axis), legend=False)
    draw_table(figure.add_subplot(grid[2, :]), comparison)
    if title:
        text = listed(comparison.names, ", ", 90)
        figure.text(0.012, 1 - 0.13 / height, text, fontsize=font(14), fontweight="bold", color=ink(), va="top")
    handles = [Line2D([], [], linewidth=2, **run_style(index)) for index in range(len(runs))]
    figure.legend(
        handles, comparison.names, loc="upper left", bbox_to_anchor=(0.008, 1 - heading / height),
        ncols=min(len(runs), _LEGEND_COLUMNS), fontsize=font(9), handlelength=2.8,
    )  # fmt: skip
    return figure


def panel_figure(
    plot: Plot | HeatMap, size: Size, options: ChartOptions | None = None, *, head: str = "", title: bool = True
) -> Figure:
    """One plot as a figure of its own. size: in inches; head: a small line above it all."""
    figure = new_figure(*size, head=0.3 if head else 0.02)
    axes = figure.add_subplot()
    draw(axes, plot, options)
    if not title:
        axes.set_title("")
    figure.text(0.012, 0.975, head, fontsize=font(8.5), color=grey(), va="top")
    return figure


def save_figure(figure: Figure, out: Path, stem: str, formats: Sequence[str], dpi: int) -> list[Path]:
    """Write `<stem>.<format>` for each format into a directory that is there; returns the files."""
    figure.set_dpi(dpi)
    make_inert(figure)
    with warnings.catch_warnings():
        # A sign that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            return _save(figure, out, stem, formats, dpi)
        except UserWarning:
            width, height = figure.get_size_inches()
            raise ExportError(
                f"{width:g}x{height:g} inches leave no room for the curves of {stem}: --size sets a larger size, "
                "--panel draws one panel."
            ) from None


def _save(figure: Figure, out: Path, stem: str, formats: Sequence[str], dpi: int) -> list[Path]:
    # Laid out once for all formats; each save would do it again.
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        for axes in figure.axes:
            place_legend(axes)
        make_inert(figure)
        figure.set_layout_engine("none")
    paths = []
    for name in dict.fromkeys(formats):
        path = out / f"{stem}.{name}"
        with writing(path):
            figure.savefig(path, format=name, dpi=dpi, metadata=_METADATA[name])
        paths.append(path)
    return paths


# Without dates, so that the same run gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "tuitrain"},
    "pdf": {"Creator": "tuitrain", "CreationDate": None},
    "svg": {"Creator": "tuitrain", "Date": None},
}
