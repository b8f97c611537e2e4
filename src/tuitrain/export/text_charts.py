"""Charts of runs as text files: the panels that figures show, below one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tuitrain.analysis.compare import display_names
from tuitrain.events.text import clean
from tuitrain.export.selection import (
    ANALYSIS,
    COMPARISON,
    Runs,
    check_selection,
    comparison_stem,
    draws_alone,
    draws_several,
    run_stems,
)
from tuitrain.files import writing
from tuitrain.plots.axes import XAxis
from tuitrain.plots.model import HeatMap
from tuitrain.plots.panels import panel_of
from tuitrain.plots.request import PlotRequest, read_plot_run
from tuitrain.plots.text import chart_text, without_focus

FORMATS = ("txt", "ansi")
"""Plain text, and text with the escape sequences of sixteen colours."""
COLUMNS, ROWS = 80, 18


def export_text_charts(
    runs: Runs, out: Path, formats: Sequence[str] = ("txt",), x: XAxis = "step", *, panels: Sequence[str] = ()
) -> list[Path]:
    """Write the charts with the file names of `export_plots`; returns the files.

    `<run_id>-analysis.txt` has six panels of 80 × 18 cells, the comparison of several runs four. panels: write each of
    these to a file of its own instead. Nothing is written where a panel is unknown or a run has nothing to draw:
    raises ExportError.
    """
    check_selection(runs, panels)
    out.mkdir(parents=True, exist_ok=True)
    views = [read_plot_run(directory, index, history) for index, (directory, history) in enumerate(runs)]
    files: list[Path] = []

    def write(stem: str, heading: str, request: PlotRequest, names: Sequence[str]) -> None:
        plots = [panel_of(name).build(request) for name in names]
        if len(request.runs) > 1:
            plots = [without_focus(plot) for plot in plots]
        for suffix in formats:
            charts = [chart_text(plot, COLUMNS, ROWS, suffix == "ansi") for plot in plots]
            path = out / f"{stem}.{suffix}"
            with writing(path):
                path.write_text("\n".join([f"{clean(heading)}\n", *charts]), encoding="utf-8")
            files.append(path)

    for view, stem in zip(views, run_stems(runs), strict=True):
        request = PlotRequest([replace(view, index=0)], x=x)
        if not panels:
            write(f"{stem}-analysis", view.run_id, request, ANALYSIS)
        for name in (each for each in panels if draws_alone(each, runs)):
            write(f"{stem}-{name}", view.run_id, request, [name])
    if len(runs) > 1:
        names, request = display_names(runs), PlotRequest(views, x=x)
        heading = " · ".join(names)
        if not panels:
            write(comparison_stem(names), heading, request, COMPARISON)
        for name in filter(draws_several, panels):
            if not isinstance(panel_of(name).build(request), HeatMap):
                write(comparison_stem(names, name), heading, request, [name])
    return files
