"""`tuitrain plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_metric
from tuitrain.cli.lookup import find_runs
from tuitrain.plots.axes import XAxis

if TYPE_CHECKING:
    from tuitrain.plots.model import HeatMap, Plot
    from tuitrain.plots.request import PlotRequest

_MOST_LISTED = 30


def plot(
    runs: options.Runs,
    metrics: Annotated[
        list[str] | None,
        typer.Option("-m", "--metric", metavar="METRIC", autocompletion=complete_metric,
                     help="Metric of the log, or panel, to draw; may be repeated. Default: loss."),
    ] = None,
    x: Annotated[
        XAxis | None, typer.Option("--x", help="Unit of the x axis. Default: step, or `x` of the settings.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic y axis.")] = False,
    smooth: Annotated[
        float | None,
        typer.Option(metavar="W", min=0, max=0.9999, help="Weight of the moving average; 0: none. Default: 0.9."),
    ] = None,
    last: Annotated[int | None, typer.Option(metavar="N", min=2, help="Only the newest N steps.")] = None,
    width: Annotated[
        int | None, typer.Option(metavar="N", min=20, max=1000, help="Columns. Default: those of the terminal, or 80.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(metavar="N", min=6, max=500, help="Rows of each chart. Default: 18.")
    ] = None,
    ascii_only: options.Ascii = None,
    maps: options.Map = None,
    facts: options.Set = None,
    runs_dir: options.ExistingRunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain plot latest
      tuitrain plot latest -m grad_norm -m lr --last 1000
      tuitrain plot RUN RUN -m loss --x tokens --log
      tuitrain plot RUN --width 72 --height 14 > loss.txt
      ssh node1 cat train.log | tuitrain plot -

    Print charts as text, for the terminal, a pipe, a log file or a commit message.

    Each chart shows all the runs. Without a terminal there are no colours.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.charts import chart_columns, newest_steps, print_charts
    from tuitrain.plots.request import PlotRequest, read_plot_run
    from tuitrain.tui.settings import load_settings

    settings = load_settings({"x": x, "smoothing": smooth, "ascii": ascii_only}).settings
    directories = {(run.metrics, run.source): run for run in find_runs(runs, runs_dir, maps, facts)}
    views = [read_plot_run(run, index) for index, run in enumerate(directories.values())]
    request = PlotRequest(views, x=settings.x, smoothing=settings.smoothing, log=log)
    plots = [_plot(request, name) for name in metrics or ["loss"]]
    zoom = None if last is None else newest_steps(request, last)
    print_charts(plots, width or chart_columns(), height or 18, zoom=zoom, ascii_only=settings.ascii)


def _plot(request: PlotRequest, name: str) -> Plot | HeatMap:
    from tuitrain.cli.charts import build
    from tuitrain.config.errors import suggest
    from tuitrain.plots.panels import PANELS, recorded_metrics

    try:
        return build(name, request)
    except KeyError:
        known = recorded_metrics(view.history for view in request.runs)
        panels = [panel.id for panel in PANELS]
        near = suggest(name, dict.fromkeys([*known, *panels]))
        has = f"This log has {', '.join(known[:_MOST_LISTED])}" if known else "This log has no metrics yet"
        more = f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
        raise typer.BadParameter(
            f"there is no metric {name!r}.{near} {has}{more}; panels are {', '.join(panels)}.", param_hint="-m"
        ) from None
