"""Charts as text on standard output, for `plot`, `show` and `compare`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import numpy as np

from tuitrain.cli.output import has_colour
from tuitrain.plots.axes import Range, XAxis
from tuitrain.plots.groups import GROUPABLE_PANELS
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.panels import plot_of
from tuitrain.plots.request import PlotRequest, read_plot_run
from tuitrain.plots.text import chart_text, without_focus
from tuitrain.runs import RunDirectory, RunHistory
from tuitrain.seven_bit import seven_bit
from tuitrain.text import print_coloured

_LEAST_COLUMNS = 20
_SMALL_COLUMNS, _SMALL_ROWS = 100, 12
"""The most of the chart above a table."""


def chart_columns() -> int:
    """The terminal's columns; 80 without one."""
    return max(shutil.get_terminal_size((80, 24)).columns, _LEAST_COLUMNS)


def print_small_loss(runs: Sequence[tuple[RunDirectory, RunHistory]], x: XAxis = "step", group_by: str = "") -> bool:
    """Print a small chart of the loss; returns False where there is no terminal or no step yet, and prints nothing."""
    if not (sys.stdout.isatty() and any(len(history.steps) for _, history in runs)):
        return False
    views = [read_plot_run(directory, index, history) for index, (directory, history) in enumerate(runs)]
    plot = build("loss", PlotRequest(views, x=x, group_by=group_by))
    print_charts([plot], min(chart_columns(), _SMALL_COLUMNS), _SMALL_ROWS)
    return True


def newest_steps(request: PlotRequest, count: int) -> Range | None:
    """The part of the x axis with the newest `count` steps of each run; None where no run has more."""
    ends: list[float] = []
    is_part = False
    for run in request.runs:
        if len(steps := run.history.steps["step"]):
            first = max(steps[0], steps[-1] - count + 1)
            is_part = is_part or first > steps[0]
            ends += run.series.x_at(request.x, np.array([first, steps[-1]])).tolist()
    ends = [end for end in ends if np.isfinite(end)]
    return Range(min(ends), max(ends)) if is_part and ends and min(ends) < max(ends) else None


def build(panel: str, request: PlotRequest) -> Plot | HeatMap:
    """The chart of a panel or a metric of these runs; KeyError where it is neither."""
    grouped = next((each for each in GROUPABLE_PANELS if each.id == panel and request.group_by), None)
    plot = grouped.build(request) if grouped else plot_of(request, panel)
    return without_focus(plot) if len(request.runs) > 1 else plot


def print_charts(
    plots: Sequence[Plot | HeatMap],
    columns: int,
    rows: int,
    *,
    zoom: Range | None = None,
    ascii_only: bool = False,
) -> None:
    """Print the charts one below the other. zoom: the part of the x axis that they show."""
    color = has_colour()
    text = "\n".join(chart_text(plot, columns, rows, color, ChartOptions(zoom)) for plot in plots)
    print_coloured((seven_bit(text) if ascii_only else text).removesuffix("\n"))
