"""Groups of runs on the charts: their mean, and one standard deviation to either side of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.groups import Member, group_runs
from tuitrain.analysis.metrics import Metric, metric
from tuitrain.analysis.series import Axis
from tuitrain.plots.model import Curve, HeatMap, Plot
from tuitrain.plots.panels import COMPARE_PANELS
from tuitrain.plots.panels.builders import Panel, plot, series_of
from tuitrain.plots.request import PlotRequest, run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.plots.series import Series
from tuitrain.runs import FloatArray, RunHistory

_REMEMBERED = 8

_made: dict[tuple[object, ...], Comparison | None] = {}


def grouped(request: PlotRequest) -> Comparison | None:
    """The groups of the runs against that of the baseline; None where there are none, or no run has the key."""
    return (
        cached_comparison(request, f"end {request.group_by}", partial(group_members, request))
        if request.group_by
        else None
    )


def group_members(
    request: PlotRequest, runs: Sequence[tuple[str, RunHistory]], baseline: int, at: tuple[Axis, float] | None = None
) -> Comparison | None:
    infos = [view.directory.read_info() if view.directory else None for view in request.runs]
    members = [
        Member(name, history, info.tags if info else ()) for (name, history), info in zip(runs, infos, strict=True)
    ]
    try:
        return group_runs(members, request.group_by, baseline=baseline, at=at)
    except ValueError:
        return None


def cached_comparison(
    request: PlotRequest, kind: str, make: Callable[[Sequence[tuple[str, RunHistory]], int], Comparison | None]
) -> Comparison | None:
    """What was made of these runs, until there is news of one."""
    runs = [(name, view.history) for name, view in zip(run_names(request.runs), request.runs, strict=True)]
    baseline = min(request.baseline, len(runs) - 1)
    news = ((name, id(each), len(each.steps), len(each.evals), each.last_time) for name, each in runs)
    key = (kind, baseline, *news)
    if key not in _made:
        if len(_made) >= _REMEMBERED:
            _made.clear()
        _made[key] = make(runs, baseline)
    return _made[key]


_PLACES = 512
"""Places on the horizontal axis at which the runs of a group are averaged."""


def _build(panel: Panel, request: PlotRequest) -> Plot | HeatMap:
    """The panel, of groups where there are any."""
    compared = grouped(request)
    if compared is None:
        return panel.build(request)
    about = panel.metrics[0] if panel.id != "throughput" else metric("tokens_per_sec")
    views = dict(zip(run_names(request.runs), request.runs, strict=True))
    curves: list[Curve] = []
    for number, (label, members) in enumerate(zip(compared.names, compared.groups, strict=True)):
        all_series = [series_of(views[name], about, request, request.smoothing) for name in members]
        curves += _band([series for series in all_series if len(series.x)], about, number, label, request.log_x)
    found = plot(request, about, curves=tuple(curves), markers=(), clip=True, keep_first=panel.id == "loss")
    return replace(found, title=f"{about.label}, mean ± std", value="")


def _band(all_series: list[Series], about: Metric, number: int, label: str, log_x: bool) -> list[Curve]:
    """The curves of one group over the part of the axis that all its runs cover."""
    role, mark = run_role(number), glyph(number)
    if len(all_series) < 2:
        return [Curve(series.x, series.y * about.factor, role, label, mark) for series in all_series]
    low, high = max(series.x[0] for series in all_series), min(series.x[-1] for series in all_series)
    if not low <= high:
        return []
    x: FloatArray = np.geomspace(low, high, _PLACES) if log_x and low > 0 else np.linspace(low, high, _PLACES)
    values = np.stack([np.interp(x, series.x, series.y) for series in all_series]) * about.factor
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    return [Curve(x, mean, role, label, mark, std=spread)]


GROUPABLE_PANELS: tuple[Panel, ...] = tuple(replace(panel, builder=partial(_build, panel)) for panel in COMPARE_PANELS)
"""The panels of the compare screen."""
