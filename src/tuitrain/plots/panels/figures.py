"""Panels of figures alone: the newest part, the moving average, the loss against the accuracy, the texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.analysis.metrics import metric_of
from tuitrain.analysis.smoothing import mean_of_last
from tuitrain.plots.axes import Range
from tuitrain.plots.limits import limits, visible
from tuitrain.plots.model import RAW, Curve, HeatMap, Plot, Points, TextTable
from tuitrain.plots.panels import training
from tuitrain.plots.panels.builders import curve_of, curves, plot
from tuitrain.plots.recent import recent_range
from tuitrain.plots.request import PlotRequest, run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.plots.series import Series
from tuitrain.runs import FloatArray
from tuitrain.runs.columns import BoolArray
from tuitrain.text import clean_lines

Content = Plot | HeatMap | TextTable
"""What a part of a figure shows."""
AVERAGED_STEPS = 50
"""The window of the moving average."""
_MOST_SAMPLES = 8
"""Of a table of texts: the first, the newest, and others between."""


@dataclass(frozen=True)
class FigurePanel:
    """A part of a figure that the screens do not have. id: its name on the command line."""

    id: str
    description: str
    build: Callable[[PlotRequest], Content]


def recent(request: PlotRequest) -> Plot:
    """The loss of the newest part of the runs, smoothed as in the whole."""
    whole = replace(training.loss(request), notes=(), second_axis=None)
    if not whole.has_data:
        return whole
    shown = recent_range(whole)

    def cut(part: Curve) -> Curve:
        rows = slice(*visible(part.x, shown))
        return replace(part, x=part.x[rows], y=part.y[rows])

    points = tuple(
        replace(each, x=each.x[rows], y=each.y[rows])
        for each in whole.points
        for rows in [slice(*visible(each.x, shown))]
    )
    return replace(whole, title="recent loss", curves=tuple(map(cut, whole.curves)), points=points, x_range=None)


def moving_average(request: PlotRequest) -> Plot:
    """The mean loss of the last steps; of a run alone over the recorded losses."""
    metric, alone = metric_of("loss"), len(request.runs) == 1
    drawn = [
        replace(curve, role=f"{curve.role}.faint", name=RAW) for curve in curves(request, "loss", smooth=False)
    ] * alone
    for run, name in zip(request.runs, run_names(request.runs), strict=True):
        losses, role = run.series.of("loss", "step"), run_role(run.index)
        x, means = run.series.x_at(request.x, losses.x), mean_of_last(losses.x, losses.y, AVERAGED_STEPS)
        known = np.isfinite(x)
        averaged = Series(x[known], means[known])
        label, sign = (f"mean of {AVERAGED_STEPS} steps", "") if alone else (name, glyph(run.index))
        if len(averaged.x):
            drawn.append(replace(curve_of(averaged, metric, role, label, sign), order=run.index))
    chart = plot(request, "loss", curves=tuple(drawn), clip=True, keep_first=True)
    return chart if alone else replace(chart, title=f"loss, mean of {AVERAGED_STEPS} steps")


def loss_accuracy(request: PlotRequest) -> Plot:
    """The accuracy of each record over its loss, in the order of the losses; of a run alone with the evaluations.

    Records whose loss or accuracy is an outlier are left out and counted.
    """
    losses, accuracies = (_usual_range(each(request)) for each in (training.loss, training.accuracy))
    alone, factor = len(request.runs) == 1, metric_of("accuracy").factor
    points, beyond = [], 0
    for run, name in zip(request.runs, run_names(request.runs), strict=True):
        loss, accuracy = run.series.of("loss", "step"), run.series.of("accuracy", "step")
        steps, at_loss, at_accuracy = np.intersect1d(loss.x, accuracy.x, assume_unique=True, return_indices=True)
        x, y = loss.y[at_loss], factor * accuracy.y[at_accuracy]
        inside = _within(x, losses) & _within(y, accuracies)
        beyond += int((np.isfinite(x) & np.isfinite(y)).sum() - inside.sum())
        order = np.flatnonzero(inside)[np.argsort(x[inside], kind="stable")]
        label, shade = ("training", steps[order]) if alone else (name, None)
        points.append(Points(x[order], y[order], run_role(run.index), label, glyph(run.index), run.index, shade))
    if alone:
        evals = request.runs[0].history.evals
        order = np.argsort(evals["loss"], kind="stable")
        x, y = evals["loss"][order], factor * evals["accuracy"][order]
        inside = _within(x, losses) & _within(y, accuracies)
        points.append(Points(x[inside], y[inside], "val", "validation"))
    lie = "record lies" if beyond == 1 else "records lie"
    return replace(
        plot(request, "accuracy", curves=()), title="accuracy against loss", value="", x_axis="loss", x_range=losses,
        points=tuple(points), markers=(), growing=False,
        notes=(f"{beyond:,} {lie} beyond the range",) if beyond else (),
    )  # fmt: skip


def _usual_range(chart: Plot) -> Range | None:
    """The range of a chart without its outliers, a far first value among them; None without data."""
    return limits(replace(chart, keep_first=False)).y if chart.has_data else None


def _within(values: FloatArray, shown: Range | None) -> BoolArray:
    finite: BoolArray = np.isfinite(values)
    return finite if shown is None else finite & (values >= shown.low) & (values <= shown.high)


def samples(request: PlotRequest) -> TextTable:
    """Texts that the model of the run in focus wrote, from the first to the newest."""
    written = request.run.history.samples if request.run else []
    chosen = np.unique(np.linspace(0, len(written) - 1, min(len(written), _MOST_SAMPLES)).round().astype(int))
    return TextTable(
        "samples", ("step", "prompt", "text"),
        tuple(
            (f"{each.step:,}", clean_lines(each.prompt or ""), clean_lines(each.text))
            for each in (written[number] for number in chosen.tolist())
        ),
        empty="n/a: this run wrote no texts; sampling.interval sets how often",
    )  # fmt: skip


FIGURE_PANELS: tuple[FigurePanel, ...] = (
    FigurePanel("recent", "the loss of the newest tenth", recent),
    FigurePanel("moving_average", f"the loss as the mean of the last {AVERAGED_STEPS} steps", moving_average),
    FigurePanel("loss_accuracy", "accuracy over loss, a point for each record", loss_accuracy),
    FigurePanel("samples", "a table of the texts that the model wrote", samples),
)
