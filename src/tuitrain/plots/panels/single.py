"""The chart of one metric by its name: any column of a log, declared in the registry or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from tuitrain.analysis.metrics import BY_KEY, METRICS, Metric
from tuitrain.plots.model import NO_DATA, HeatMap, Plot
from tuitrain.plots.panels.builders import curves, plot
from tuitrain.plots.panels.catalog import PANELS, panel_of
from tuitrain.plots.request import PlotRequest
from tuitrain.runs import RunHistory

_NO_CURVE = frozenset({"step", "time"})
"""Columns of every table that say where its rows belong."""


def recorded_metrics(histories: Iterable[RunHistory]) -> list[str]:
    """The names that any of these logs has values of: the declared ones in their order, then the others."""
    present = dict.fromkeys(key for history in histories for key in _columns(history))
    declared = [metric.key for metric in METRICS if metric.key in present]
    return [*declared, *(key for key in present if key not in declared)]


def _columns(history: RunHistory) -> Iterator[str]:
    for table in (history.steps, history.system_columns):
        yield from (key for key in table.keys if key not in _NO_CURVE and table.has(key))
    for key in history.evals.keys:
        if key not in _NO_CURVE and history.evals.has(key):
            yield "val_loss" if key == "loss" else key


def plot_of(request: PlotRequest, name: str) -> Plot | HeatMap:
    """The panel with this id, or else the chart of the metric with this key; KeyError where it is neither.

    A declared metric that is computed from others is shown by the panel it belongs to.
    """
    if any(panel.id == name for panel in PANELS):
        return panel_of(name).build(request)
    declared = BY_KEY.get(name)
    if declared is not None and declared.source == "derived":
        return panel_of(declared.panel).build(request)
    if name not in recorded_metrics(view.history for view in request.runs):
        if declared is None or declared.source == "summary":
            raise KeyError(name)
        return plot(request, declared, empty=NO_DATA)
    metric = declared or Metric(name, name, "", "{:.4g}".format, source=_source(request, name))
    return plot(request, metric, curves=curves(request, metric), clip=True)


def _source(request: PlotRequest, key: str) -> Literal["step", "eval", "system"]:
    histories = [view.history for view in request.runs]
    if any(key in history.steps.keys and history.steps.has(key) for history in histories):
        return "step"
    return "eval" if any(key in history.evals.keys for history in histories) else "system"
