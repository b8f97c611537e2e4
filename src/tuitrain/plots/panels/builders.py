"""What panels are made of: curves of metrics, means, and the plot around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuitrain.analysis.limits import LARGEST, SMALLEST
from tuitrain.analysis.metrics import METRICS, Metric
from tuitrain.analysis.progress import preparation
from tuitrain.plots.axes import Range
from tuitrain.plots.event_markers import event_markers
from tuitrain.plots.model import NO_DATA, RAW, SUPERSEDED, Curve, HeatMap, Level, Plot, Points
from tuitrain.plots.request import PlotRequest, PlotRun, run_names
from tuitrain.plots.roles import RUN_COLOURS, glyph, hollow_glyph, run_role
from tuitrain.plots.series import Series
from tuitrain.plots.ticks import label
from tuitrain.runs import FloatArray


@dataclass(frozen=True)
class Panel:
    """One chart of a screen. title: its name in the line of tabs; description: what it shows, in the list of panels.

    A panel shows the metrics that name it in the registry. Without a `builder` it draws them as their declarations
    say.
    """

    id: str
    title: str
    description: str
    builder: Callable[[PlotRequest], Plot | HeatMap] | None = None
    empty: Callable[[PlotRequest], str] = lambda request: NO_DATA
    """The text shown without data, for a panel without a builder."""
    is_map: bool = False
    """Whether it is a heat map and not a plot."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the registry assigns to this panel."""
        return tuple(metric for metric in METRICS if metric.panel == self.id)

    def build(self, request: PlotRequest) -> Plot | HeatMap:
        """What there is to draw now."""
        built = self.builder(request) if self.builder else declared(request, self.metrics, self.empty(request))
        doing = preparation(request.run.history, request.run.status) if request.run else None
        return replace(built, empty=doing) if doing and built.empty == NO_DATA else built


def declared(request: PlotRequest, metrics: Sequence[Metric], empty: str = NO_DATA, **more: Any) -> Plot:
    """The plot of metrics by their declarations alone: one of every run, or of a run alone each with a glyph."""
    first = metrics[0]
    if first.source == "system":
        # What a machine does is seen against all that it could do.
        more = {"from_zero": True, "levels": (Level(100.0, "grid"),) if first.unit == "%" else (), **more}
    if len(metrics) == 1 or len(request.runs) != 1:
        return plot(request, first, curves=curves(request, first), empty=empty, **more)
    view = request.runs[0]
    parts = [
        part(view, number, about, series_of(view, about, request, request.smoothing))
        for number, about in enumerate(metrics)
    ]
    return plot(request, first, curves=tuple(curve for curve in parts if len(curve.x)), empty=empty, **more)


def part(view: PlotRun, number: int, about: Metric, series: Series) -> Curve:
    """One of several metrics of a run alone: each has its own hue and glyph, as runs have where there are several."""
    role = run_role((view.index + number) % RUN_COLOURS)
    return Curve(
        series.x, series.y * about.factor, role, about.legend or about.title, glyph(number), series.identity, number,
        smoothing=series.smoothing,
    )  # fmt: skip


def series_of(view: PlotRun, about: Metric, request: PlotRequest, weight: float = 0.0) -> Series:
    """The metric of one run over the axis of the request, smoothed where it is one of the steps."""
    if about.source == "system":
        return view.series.system(about.key, request.x)
    if about.source == "eval":
        evals = view.history.evals
        x, y = view.series.place(request.x, evals["step"]), evals[about.column]
        shown = np.isfinite(x) & evals.present(about.column)
        return Series(x[shown], y[shown], ())
    return view.series.of(about.key, request.x, weight)


def newest(view: PlotRun, about: Metric) -> float | None:
    """The newest value of a metric of one run."""
    if about.source == "system":
        return view.history.system_columns.last(about.key)
    if about.source == "eval":
        return getattr(view.history.evaluation, about.column, None)
    return view.history.steps.last(about.key)


def plot(request: PlotRequest, about: Metric, **more: Any) -> Plot:
    """A plot with the settings of the request, and the newest value of the run in focus in its title."""
    value = newest(request.run, about) if request.run else None
    settings: dict[str, Any] = {"log": request.log or about.scale == "log", "markers": event_markers(request), **more}
    if request.for_figure:
        settings["markers"] = ()
    elif "points" in settings:
        # Stars say where the evaluations were.
        settings["markers"] = tuple(mark for mark in settings["markers"] if mark.kind != "eval")
    settings["clip"] = settings.get("clip", False) and request.clip
    lost = sum(view.series.without_clock() for view in request.runs) if request.x == "clock" else 0
    if lost:
        sentence = f"{lost:,} records have no usable time and are left out"
        settings["note"], settings["empty"] = settings.get("note") or sentence, sentence
    return Plot(
        about.label if value is None else about.title,
        "" if value is None else about.text(value),
        x_axis=request.x,
        x_range=shared_range(request),
        metric=about.key,
        growing=any(each.status.live for each in request.runs),
        **settings,
    )


def shared_range(request: PlotRequest) -> Range | None:
    """What the charts of several runs all reach over, also where some runs have no values; None of a run alone."""
    if len(request.runs) < 2:
        return None
    ends = [
        view.series.place(request.x, view.history.steps["step"][[0, -1]])
        for view in request.runs
        if len(view.history.steps)
    ]
    if request.x == "clock":
        ends += [view.series.system_clock()[[0, -1]] for view in request.runs if view.history.system]
    known = [float(end) for pair in ends for end in pair if math.isfinite(end)]
    return Range(min(known), max(known)) if known else None


Derive = Callable[[PlotRun, Series], Series]


def curves(
    request: PlotRequest,
    about: Metric,
    smooth: bool = True,
    derive: Derive | None = None,
    name: str = "",
    raw: bool = False,
) -> tuple[Curve, ...]:
    """The metric of every run: alone raw and smoothed, several only smoothed, each with its glyph.

    What earlier attempts did of a run alone lies below. derive: makes what is shown of the metric of a run. name: of
    the curve in a figure of one run. raw: with the raw curves of several runs.
    """
    weight = request.smoothing if smooth and about.source == "step" else 0.0
    several = len(request.runs) > 1
    found = [] if several or not request.runs else _superseded(request.runs[0], about, request, derive)
    # The run in focus lies on top.
    pairs = zip(request.runs, run_names(request.runs), strict=True)
    for view, run_name in sorted(pairs, key=lambda pair: pair[0] is request.run):
        role = run_role(view.index)
        series = _derived(view, about, request, weight, derive)
        if not len(series.x):
            continue
        if series.smoothing and (raw or not several):
            recorded = _derived(view, about, request, 0.0, derive)
            found.append(scaled(recorded, about, f"{role}.faint", "" if request.for_figure else RAW))
        if several:
            found.append(replace(scaled(series, about, role, run_name, glyph(view.index)), order=view.index))
        else:
            label = name if request.for_figure else f"smooth {weight:g}" if weight else ""
            found.append(scaled(series, about, role, label))
    return tuple(found)


def _derived(view: PlotRun, about: Metric, request: PlotRequest, weight: float, derive: Derive | None) -> Series:
    """The metric of one run, or what is derived of it."""
    series = series_of(view, about, request, weight)
    return derive(view, series) if derive else series


def scaled(series: Series, about: Metric, role: str, name: str = "", mark: str = "") -> Curve:
    """A curve in the unit of its metric."""
    y = series.y if about.factor == 1 else series.y * about.factor
    return Curve(series.x, y, role, name, mark, series.identity, smoothing=series.smoothing)


def _superseded(view: PlotRun, about: Metric, request: PlotRequest, derive: Derive | None) -> list[Curve]:
    """What earlier attempts did of the steps that a later one did again."""
    if about.source != "step":
        return []
    all_series, name = view.series.superseded(about.key, request.x)
    derived = [derive(view, series) for series in all_series] if derive else all_series
    drawn = [series for series in derived if len(series.x)]
    # The last has the name of them all.
    return [scaled(each, about, SUPERSEDED, name if each is drawn[-1] else "") for each in drawn]


def stars(request: PlotRequest, column: str, factor: float = 1.0) -> tuple[Points, ...]:
    """A column of the evaluations, one point for each: a star of a run alone, of several the hollow mark of each."""
    several = len(request.runs) > 1
    found = []
    for view in request.runs:
        evals = view.history.evals
        x, y = view.series.place(request.x, evals["step"]), evals[column] * factor
        known = np.isfinite(x) & evals.present(column)
        if several:
            mark = hollow_glyph(view.index)
            found.append(Points(x[known], y[known], run_role(view.index), glyph=mark, order=view.index))
        else:
            found.append(Points(x[known], y[known], "val", "validation"))
    return tuple(found)


def mean_level(request: PlotRequest, about: Metric) -> tuple[Level, ...]:
    """The mean over the whole run, of one run alone; the same as in every table."""
    mean = request.runs[0].series.mean(about.key) if len(request.runs) == 1 else None
    if mean is None:
        return ()
    y = mean * about.factor
    if not math.isfinite(y):
        return ()
    return (Level(y, "level", f"mean {about.text(mean) if request.for_figure else short(y)}"),)


def short(value: float) -> str:
    """Three digits, as an axis writes them: with a power of ten only below a thousandth."""
    if not SMALLEST <= abs(value) <= LARGEST or 1e-3 <= abs(value) < 0.01:
        return f"{value:.3g}"
    return label(value, 10.0 ** (math.floor(math.log10(abs(value))) - 2))


def ahead(view: PlotRun, request: PlotRequest, steps: FloatArray) -> FloatArray:
    """Where steps lie on the axis, those still to come at the pace of the newest records; nan where that is unknown."""
    x = view.series.place(request.x, steps)
    done = view.history.steps["step"]
    if request.x == "step" or len(done) < 2:
        return x
    last, before = float(done[-1]), float(done[max(len(done) - _PACE_RECORDS, 0)])
    at_last, at_before = view.series.place(request.x, np.array([last, before]))
    pace = (at_last - at_before) / (last - before)
    return np.where(steps > last, at_last + (steps - last) * pace, x)


_PACE_RECORDS = 200


def has_steps(request: PlotRequest) -> bool:
    """Whether any run has done a step."""
    return any(len(view.history.steps) for view in request.runs)


def recorded(request: PlotRequest, key: str) -> bool:
    """Whether any run has a value of this metric of the steps."""
    return any(view.history.steps.last(key) is not None for view in request.runs)
