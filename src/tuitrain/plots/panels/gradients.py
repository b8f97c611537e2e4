"""Panels of gradients and updates, of the whole model and of each of its blocks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tuitrain.analysis.metrics import metric_of
from tuitrain.events import Layers
from tuitrain.plots.model import NO_DATA, HeatMap, Level, Plot
from tuitrain.plots.panels.builders import curve_beside, curves, has_steps, plot
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.series import NO_SERIES, Series

NO_STATS = "n/a: this run measures no gradient statistics; set telemetry.grad_stats_interval"


def grad_norm(request: PlotRequest) -> Plot:
    """The norm before clipping, and the level at which it is clipped."""
    clip = request.run.history.section("train").get("grad_clip") if request.run else None
    levels: tuple[Level, ...] = ()
    if isinstance(clip, int | float) and 0 < clip < math.inf:
        # The level shows only where the norms come near it: far above them it would press the curve flat.
        levels = (Level(float(clip), "clip", f"clip {clip:g}", in_range=False),)
    return plot(request, "grad_norm", levels=levels, clip=True)


def grad_stats(request: PlotRequest) -> Plot:
    """Mean, standard deviation and largest element, by size: they lie decades apart."""
    if len(request.runs) != 1:
        return plot(request, "grad_std", empty=_missing(request))
    run = request.runs[0]
    names = ("grad_std", "grad_max", "grad_mean")
    beside = [curve_beside(run, number, name, run.series.of(name, request.x)) for number, name in enumerate(names)]
    sizes = tuple(replace(curve, y=np.abs(curve.y)) for curve in beside if len(curve.x))
    chart = plot(request, "grad_std", curves=sizes, log=True, empty=_missing(request))
    return replace(chart, title="gradient elements", value=f"std {chart.value}" if chart.value else "")


def update_ratio(request: PlotRequest) -> Plot:
    """Norm of an update by the norm of the weights; about 1e-3 is usual."""
    ratios = curves(request, "update_norm", derive=lambda run, series: _by_weights(run, series, request))
    run = request.run
    update, weight = (run.history.steps.last(key) if run else None for key in ("update_norm", "param_norm"))
    value = metric_of("update_ratio").text(update / weight) if update is not None and weight else ""
    return replace(plot(request, "update_ratio", curves=ratios, empty=_missing(request)), value=value)


def _by_weights(run: PlotRun, updates: Series, request: PlotRequest) -> Series:
    """Norms of updates by the norm of the weights at the same x; empty without recorded norms."""
    weights = run.series.of("param_norm", request.x)
    if not len(weights.x):
        return NO_SERIES
    with np.errstate(all="ignore"):
        return replace(updates, y=updates.y / np.interp(updates.x, weights.x, weights.y))


def layers(request: PlotRequest) -> HeatMap:
    """The gradient norm of each block over time, of the run in focus."""
    run = request.run
    empty = HeatMap("gradient norm by block", label="gradient norm", x_axis=request.x, empty=_missing(request))
    records = [each for each in run.history.layers if each.grad_norm] if run else []
    if run is None or not records:
        return empty
    # A run continued with another number of blocks cannot share the map.
    count = len(records[-1].grad_norm)
    records = [each for each in records if len(each.grad_norm) == count]
    x = run.series.x_at(request.x, np.array([each.step for each in records], dtype=np.float64))
    finite = np.isfinite(x)
    values = np.array([each.grad_norm for each in records], dtype=np.float64)
    newest = records[-1]
    return replace(
        empty,
        x=x[finite],
        values=values[finite],
        rows=_names(count),
        value=_largest(newest),
        growing=run.status.live,
    )


def _names(count: int) -> tuple[str, ...]:
    """Names of the parts of a model from its input to its output."""
    if count < 3:
        return tuple(str(number) for number in range(count))
    return ("embed", *(str(number) for number in range(count - 2)), "head")


def _largest(newest: Layers) -> str:
    norms = np.array(newest.grad_norm)
    if not np.isfinite(norms).any():
        return ""
    at = int(np.nanargmax(norms))
    return f"largest {norms[at]:.3g} in {_names(len(norms))[at]}"


def _missing(request: PlotRequest) -> str:
    return NO_STATS if has_steps(request) else NO_DATA
