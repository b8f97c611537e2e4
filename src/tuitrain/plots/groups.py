"""Groups of runs on the charts: their mean, and one standard deviation to either side of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tuitrain.analysis.compare import Comparison, compare_runs
from tuitrain.analysis.groups import Member, group_runs
from tuitrain.analysis.metrics import Metric
from tuitrain.analysis.points import Point, as_axis, equally_far, shared_point
from tuitrain.analysis.series import Axis
from tuitrain.plots.axes import PlotAxis
from tuitrain.plots.model import Curve, HeatMap, Plot
from tuitrain.plots.panels import COMPARE_PANELS
from tuitrain.plots.panels.builders import Panel, plot
from tuitrain.plots.request import PlotRequest, run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.plots.series import Series
from tuitrain.runs import FloatArray, RunHistory

_CACHE_SIZE = 8
_cache: dict[tuple[object, ...], Comparison | None] = {}


def grouped(request: PlotRequest) -> Comparison | None:
    """The groups of the runs against that of the baseline; None where there are none, or no run has the key."""
    if not request.group_by:
        return None
    return cached_comparison(request, f"end {request.group_by}", partial(group_members, request))


def group_members(
    request: PlotRequest, runs: Sequence[tuple[str, RunHistory]], baseline: int, at: Point | None = None
) -> Comparison | None:
    """The groups of these runs against that of the baseline, at the end or at a position; None without the key."""
    infos = [run.directory.read_metadata() if run.directory else None for run in request.runs]
    members = [
        Member(name, history, info.tags if info else ()) for (name, history), info in zip(runs, infos, strict=True)
    ]
    try:
        return group_runs(
            members, request.group_by, baseline=baseline, at=at, usd_per_gpu_hour=request.usd_per_gpu_hour
        )
    except ValueError:
        return None


def cached_comparison(
    request: PlotRequest, kind: str, make: Callable[[Sequence[tuple[str, RunHistory]], int], Comparison | None]
) -> Comparison | None:
    """The result of `make(runs, baseline)`, computed again when one of the runs has grown. kind: what is compared."""
    runs = [(name, run.history) for name, run in zip(run_names(request.runs), request.runs, strict=True)]
    baseline = min(request.baseline, len(runs) - 1)
    lengths = ((name, id(each), len(each.steps), len(each.evals), each.last_time) for name, each in runs)
    key = (kind, baseline, *lengths)
    if key not in _cache:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        _cache[key] = make(runs, baseline)
    return _cache[key]


def comparison_at(request: PlotRequest, at: Point | None) -> Comparison:
    """The runs, or their groups, against the baseline: at a point, or None for the end of each."""
    if at is None and (groups := grouped(request)) is not None:
        return groups

    def make(runs: Sequence[tuple[str, RunHistory]], baseline: int) -> Comparison:
        groups = group_members(request, runs, baseline, at) if request.group_by else None
        return groups or compare_runs(runs, baseline=baseline, at=at, usd_per_gpu_hour=request.usd_per_gpu_hour)

    compared = cached_comparison(request, f"{at} of {request.group_by}", make)
    assert compared is not None
    return compared


def comparison_at_shared_point(request: PlotRequest) -> Comparison | None:
    """The same at the farthest point of the axis that all runs have reached; None where all end there, or none is."""
    histories = [run.history for run in request.runs]
    point = shared_point(histories, compare_axis(request.x))
    return None if point is None or equally_far(histories, point) else comparison_at(request, point)


def compare_axis(axis: PlotAxis) -> Axis:
    """The axis on which runs are aligned. Clock time does not align: runs of different days share no time."""
    return as_axis("time" if axis == "clock" else axis)


_POSITIONS = 512
"""Positions on the horizontal axis at which the runs of a group are averaged."""


def _build(panel: Panel, request: PlotRequest) -> Plot | HeatMap:
    """The panel, of groups where there are any."""
    compared = grouped(request)
    if compared is None:
        return panel.build(request)
    metric = panel.metrics[0]
    runs = dict(zip(run_names(request.runs), request.runs, strict=True))
    curves: list[Curve] = []
    for number, (label, members) in enumerate(zip(compared.names, compared.groups, strict=True)):
        series = [runs[name].series.of(metric.key, request.x, request.smoothing) for name in members]
        curves += _mean_curve([each for each in series if len(each.x)], metric, number, label, request.log_x)
    grouped_plot = plot(request, metric.key, curves=tuple(curves), markers=(), clip=True, keep_first=panel.id == "loss")
    return replace(grouped_plot, title=f"{metric.label}, mean ± std", value="")


def _mean_curve(series: Sequence[Series], metric: Metric, number: int, label: str, log_x: bool) -> list[Curve]:
    """The mean of one group with its band, over the part of the axis that all its runs cover; none without any."""
    role, sign = run_role(number), glyph(number)
    if len(series) < 2:
        return [Curve(each.x, each.y * metric.factor, role, label, sign) for each in series]
    low, high = max(each.x[0] for each in series), min(each.x[-1] for each in series)
    if not low <= high:
        return []
    x: FloatArray = np.geomspace(low, high, _POSITIONS) if log_x and low > 0 else np.linspace(low, high, _POSITIONS)
    values = np.stack([np.interp(x, each.x, each.y) for each in series]) * metric.factor
    mean, std = values.mean(axis=0), values.std(axis=0, ddof=1)
    return [Curve(x, mean, role, label, sign, order=number, std=std, smoothing=series[0].smoothing)]


GROUPABLE_PANELS: tuple[Panel, ...] = tuple(replace(panel, builder=partial(_build, panel)) for panel in COMPARE_PANELS)
"""The panels of the compare screen."""
