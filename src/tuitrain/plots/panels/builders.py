"""Builders of panels: curves of metrics, points, levels, and the plot around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuitrain.analysis.limits import LARGEST, SMALLEST
from tuitrain.analysis.metrics import BY_KEY, METRICS, Metric, metric_of
from tuitrain.analysis.own_metrics import own_metrics
from tuitrain.analysis.progress import preparation
from tuitrain.plots.axes import PlotAxis, Range
from tuitrain.plots.event_markers import event_markers
from tuitrain.plots.model import NO_DATA, RAW, SUPERSEDED, Curve, HeatMap, Level, Plot, Points
from tuitrain.plots.request import PlotRequest, PlotRun, run_names
from tuitrain.plots.roles import RUN_COLOURS, glyph, hollow_glyph, run_role
from tuitrain.plots.series import Series
from tuitrain.plots.ticks import label
from tuitrain.runs import FloatArray
from tuitrain.text import clean

_PACE_RECORDS = 200
"""The number of newest records whose pace places future steps on an axis."""


@dataclass(frozen=True)
class Panel:
    """One chart of a screen. title: its name in the line of tabs; description: what it shows, in the list of panels.

    A panel shows the metrics that name it in the registry, else the one whose name is its id. Without a `builder` it
    draws them as their declarations say.
    """

    id: str
    title: str
    description: str
    builder: Callable[[PlotRequest], Plot | HeatMap] | None = None
    empty: Callable[[PlotRequest], str] = lambda request: NO_DATA
    """The text shown without data, for a panel without a builder."""
    own: str = ""
    """The metric of one's own that it shows; empty for others."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the panel shows."""
        if self.own:
            return (metric_of(self.own),)
        return tuple(metric for metric in METRICS if metric.panel == self.id) or (metric_of(self.id),)

    def build(self, request: PlotRequest) -> Plot | HeatMap:
        """The plot of this panel, with the reason in place of the data while a run is being prepared."""
        names = [metric.key for metric in self.metrics]
        request = replace(request, x=_axis(request, names))
        built = self.builder(request) if self.builder else declared(request, names, empty=self.empty(request))
        if self.own and isinstance(built, Plot) and not built.has_data:
            built = replace(built, empty=_no_own(self.own, request))
        stage = preparation(request.run.history, request.run.status) if request.run else None
        return replace(built, empty=stage) if stage and built.empty == NO_DATA else built


def _axis(request: PlotRequest, names: Sequence[str]) -> PlotAxis:
    """The axis of the request; in place of the steps another metric, over which all logs have these metrics."""
    if request.x != "step":
        return request.x
    axes: set[PlotAxis] = set()
    for series in (run.series for run in request.runs):
        axes |= {series.axis_of(name) for name in names if series.newest(metric_of(name)) is not None}
        # The panel of a declared metric has its evaluations too.
        axes |= {series.axis_of(f"val_{name}") for name in names if name in BY_KEY and series.history.evals.has(name)}
    return axes.pop() if len(axes) == 1 else "step"


def _no_own(name: str, request: PlotRequest) -> str:
    """Why there is nothing to show of a metric of one's own, or of all that match a pattern."""
    own = own_metrics(run.history for run in request.runs)
    if name in own or not has_steps(request):
        return NO_DATA
    if any(character in name for character in "*?["):
        return f"no metric of one's own matches {clean(name)}"
    # The first frame does without.
    from tuitrain.config.errors import suggest

    known = [*own, *(metric.panel for metric in METRICS)]
    return f"the log has no metric {clean(name)!r}.{suggest(name, dict.fromkeys(known))}"


def declared(request: PlotRequest, names: Sequence[str], **more: Any) -> Plot:
    """The plot of metrics by their declarations alone: one of every run, or of a run alone each with a glyph."""
    first = metric_of(names[0])
    more = {"clip": first.source != "system", **more}
    if first.source == "system":
        # The use of a machine is shown on the scale of its capacity.
        more = {"from_zero": True, "levels": (Level(100.0, "grid"),) if first.unit == "%" else (), **more}
    if len(names) > 1 and len(request.runs) == 1:
        run = request.runs[0]
        beside = (
            curve_beside(run, number, name, run.series.of(name, request.x, request.smoothing))
            for number, name in enumerate(names)
        )
        more = {"curves": tuple(curve for curve in beside if len(curve.x)), **more}
    return plot(request, first.key, **more)


def curve_beside(run: PlotRun, number: int, name: str, series: Series) -> Curve:
    """One of several metrics of a run alone: each has its own hue and glyph, as runs have where there are several."""
    role, metric = run_role((run.index + number) % RUN_COLOURS), metric_of(name)
    return Curve(
        series.x, series.y * metric.factor, role, metric.legend or metric.title, glyph(number), number,
        smoothing=series.smoothing,
    )  # fmt: skip


def plot(request: PlotRequest, name: str, **more: Any) -> Plot:
    """A plot of a metric with the settings of the request, and the newest value of the run in focus in its title.

    Its curves are those of `curves`, unless given.
    """
    metric = metric_of(name)
    if "curves" not in more:
        more["curves"] = curves(request, name)
    value = request.run.series.newest(metric) if request.run else None
    settings: dict[str, Any] = {"log": request.log or metric.scale == "log", "markers": event_markers(request), **more}
    if "points" in settings:
        # The points are where the evaluations were.
        settings["markers"] = tuple(marker for marker in settings["markers"] if marker.kind != "eval")
    settings["clip"] = settings.get("clip", False) and request.clip
    untimed = sum(run.series.untimed_records() for run in request.runs) if request.x == "clock" else 0
    if untimed:
        sentence = f"{untimed:,} records have no usable time and are left out"
        settings["note"], settings["empty"] = settings.get("note") or sentence, sentence
    return Plot(
        metric.label if value is None else metric.title,
        "" if value is None else metric.text(value),
        x_axis=request.x,
        x_range=shared_range(request),
        metric=metric.key,
        growing=any(each.status.live for each in request.runs),
        **settings,
    )


def shared_range(request: PlotRequest) -> Range | None:
    """The x range that the charts of several runs share, also where some have no values; None of a run alone."""
    if len(request.runs) < 2:
        return None
    ends = [
        run.series.x_at(request.x, run.history.steps["step"][[0, -1]]) for run in request.runs if len(run.history.steps)
    ]
    if request.x == "clock":
        ends += [run.series.reading_times()[[0, -1]] for run in request.runs if run.history.system]
    finite = [float(end) for pair in ends for end in pair if math.isfinite(end)]
    return Range(min(finite), max(finite)) if finite else None


Derive = Callable[[PlotRun, Series], Series]


def curves(
    request: PlotRequest,
    name: str,
    smooth: bool = True,
    derive: Derive | None = None,
    label: str = "",
    raw: bool = False,
) -> tuple[Curve, ...]:
    """The metric of this name of every run: alone raw and smoothed, several only smoothed, each with its glyph.

    Superseded steps of a run alone lie below. derive: computes what is shown from the metric. label: of the curve in a
    figure of one run. raw: with the raw curves of several runs, and in a figure with superseded steps.
    """
    metric = metric_of(name)
    weight = request.smoothing if smooth else 0.0
    several = len(request.runs) > 1
    alone = len(request.runs) == 1 and (raw or not request.for_figure)
    drawn = _superseded(request.runs[0], metric, request, derive) if alone else []
    # The run in focus lies on top. No run of a figure is in focus: the dashes of later ones lie on the lines below.
    pairs = zip(request.runs, run_names(request.runs), strict=True)
    for run, run_name in sorted(pairs, key=lambda pair: pair[0] is request.run and not request.for_figure):
        role = run_role(run.index)
        series = _derived(run, metric, request, weight, derive)
        if not len(series.x):
            continue
        if series.smoothing and (raw or not several):
            recorded = _derived(run, metric, request, 0.0, derive)
            drawn.append(curve_of(recorded, metric, f"{role}.faint", "" if request.for_figure else RAW))
        if several:
            drawn.append(replace(curve_of(series, metric, role, run_name, glyph(run.index)), order=run.index))
        else:
            smoothed = f"smooth {weight:g}" if series.smoothing else ""
            drawn.append(curve_of(series, metric, role, label if request.for_figure else smoothed))
    return tuple(drawn)


def _derived(run: PlotRun, metric: Metric, request: PlotRequest, weight: float, derive: Derive | None) -> Series:
    """The metric of one run, or what is derived of it."""
    series = run.series.of(metric.key, request.x, weight)
    return derive(run, series) if derive else series


def curve_of(series: Series, metric: Metric, role: str, name: str = "", glyph: str = "") -> Curve:
    """A curve in the unit of its metric."""
    with np.errstate(over="ignore"):  # A number past the largest float is inf, which the axis clips.
        y = series.y if metric.factor == 1 else series.y * metric.factor
    return Curve(series.x, y, role, name, glyph, smoothing=series.smoothing)


def _superseded(run: PlotRun, metric: Metric, request: PlotRequest, derive: Derive | None) -> list[Curve]:
    """What earlier attempts recorded of the steps that a later one repeated."""
    pieces, name = run.series.superseded(metric.key, request.x)
    pieces = [each for each in (derive(run, piece) if derive else piece for piece in pieces) if len(each.x)]
    # The last has the name of them all.
    return [curve_of(each, metric, SUPERSEDED, name if each is pieces[-1] else "") for each in pieces]


def validation_points(request: PlotRequest, column: str, factor: float = 1.0) -> tuple[Points, ...]:
    """A column of the evaluations as points: stars of a run alone, of several runs the hollow glyph of each."""
    several = len(request.runs) > 1
    points = []
    for run in request.runs:
        series = run.series.evaluations(column, request.x)
        each = Points(series.x, series.y * factor, "val", "validation")
        if several:
            each = replace(each, role=run_role(run.index), name="", glyph=hollow_glyph(run.index), order=run.index)
        points.append(each)
    return tuple(points)


def mean_level(request: PlotRequest, name: str) -> tuple[Level, ...]:
    """The mean over the whole run, of one run alone; the same as in every table."""
    metric, mean = metric_of(name), request.runs[0].series.mean(name) if len(request.runs) == 1 else None
    if mean is None or not math.isfinite(y := mean * metric.factor):
        return ()
    return (Level(y, "level", f"mean {metric.text(mean) if request.for_figure else short(y)}"),)


def short(value: float) -> str:
    """Three digits, as an axis writes them: with a power of ten only below a thousandth."""
    if not SMALLEST <= abs(value) <= LARGEST or 1e-3 <= abs(value) < 0.01:
        return f"{value:.3g}"
    return label(value, 10.0 ** (math.floor(math.log10(abs(value))) - 2))


def x_ahead(run: PlotRun, request: PlotRequest, steps: FloatArray) -> FloatArray:
    """The x of steps, future ones at the pace of the newest records; nan where it is not known."""
    x = run.series.x_at(request.x, steps)
    done = run.history.steps["step"]
    if request.x == "step" or len(done) < 2:
        return x
    last, before = float(done[-1]), float(done[max(len(done) - _PACE_RECORDS, 0)])
    at_last, at_before = run.series.x_at(request.x, np.array([last, before]))
    pace = (at_last - at_before) / (last - before)
    return np.where(steps > last, at_last + (steps - last) * pace, x)


def has_steps(request: PlotRequest) -> bool:
    """Whether any run has recorded a step."""
    return any(len(run.history.steps) for run in request.runs)


def recorded(request: PlotRequest, key: str) -> bool:
    """Whether any run has a value of this metric of the steps."""
    return any(run.history.steps.last(key) is not None for run in request.runs)
