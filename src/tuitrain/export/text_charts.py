"""Charts of runs as text files: the panels that figures show, below one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuitrain.analysis.compare import display_names
from tuitrain.export.selection import Runs, chart_files, check_selection
from tuitrain.files import writing
from tuitrain.plots.axes import XAxis
from tuitrain.plots.figures import contents
from tuitrain.plots.model import TextTable
from tuitrain.plots.panels.figures import Content
from tuitrain.plots.request import PlotRequest, read_plot_run
from tuitrain.plots.text import chart_text, without_focus
from tuitrain.text import clean

FORMATS = ("txt", "ansi")
"""Plain text, and text with the escape sequences of sixteen colours."""
COLUMNS, ROWS = 80, 18


def export_text_charts(
    runs: Runs, out: Path, formats: Sequence[str] = ("txt",), x: XAxis = "step", *, figures: Sequence[str] = ()
) -> list[Path]:
    """Write the charts with the file names of `export_plots`; returns the files.

    `<run_id>-analysis.txt` has six panels of 80 × 18 cells, the comparison of several runs four. figures: write each of
    these to a file of its own instead. Nothing is written where a figure is unknown or a run has nothing to draw:
    raises ExportError.
    """
    check_selection(runs, figures)
    out.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for stem, chosen, figure in chart_files(runs, figures):
        views = [read_plot_run(directory, index, history) for index, (directory, history) in enumerate(chosen)]
        plots = contents(PlotRequest(views, x=x), figure)
        heading = views[0].run_id
        if len(views) > 1:
            plots, heading = list(map(_without_focus, plots)), " · ".join(display_names(chosen))
        for suffix in formats:
            charts = [_text(plot, suffix == "ansi") for plot in plots]
            path = out / f"{stem}.{suffix}"
            with writing(path):
                path.write_text("\n".join([f"{clean(heading)}\n", *charts]), encoding="utf-8")
            files.append(path)
    return files


def _without_focus(plot: Content) -> Content:
    return plot if isinstance(plot, TextTable) else without_focus(plot)


def _text(plot: Content, color: bool) -> str:
    """A chart, or the rows of a table, each below what it is of."""
    if not isinstance(plot, TextTable):
        return chart_text(plot, COLUMNS, ROWS, color)
    rows = ["\n".join(map(" ".join, zip(plot.headings, row, strict=True))) for row in plot.rows]
    return "\n\n".join([plot.title, *(rows or [plot.empty])]) + "\n"
