"""Panels of figures alone: the newest part, the moving average, the loss against the accuracy, the texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.analysis.metrics import metric_of
from tuitrain.analysis.smoothing import mean_of_last
from tuitrain.events.text import clean_lines
from tuitrain.plots.limits import limits, visible
from tuitrain.plots.model import RAW, Curve, HeatMap, Plot, Points, TextTable
from tuitrain.plots.panels import training
from tuitrain.plots.panels.builders import curve_of, curves, plot
from tuitrain.plots.recent import recent_range
from tuitrain.plots.request import PlotRequest, run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.plots.series import Series

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
    """The accuracy of each record over its loss, in the order of the losses; of a run alone with the evaluations."""
    chart = replace(plot(request, "accuracy", clip=True, levels=()), title="accuracy against loss", x_axis="loss")
    losses = limits(whole).y if (whole := training.loss(request)).has_data else None
    alone, factor = len(request.runs) == 1, metric_of("accuracy").factor
    points, beyond = [], 0
    for run, name in zip(request.runs, run_names(request.runs), strict=True):
        loss, accuracy = run.series.of("loss", "step"), run.series.of("accuracy", "step")
        steps, at_loss, at_accuracy = np.intersect1d(loss.x, accuracy.x, assume_unique=True, return_indices=True)
        x, y = loss.y[at_loss], factor * accuracy.y[at_accuracy]
        inside = np.isfinite(y) if losses is None else np.isfinite(y) & (x >= losses.low) & (x <= losses.high)
        beyond += int(np.isfinite(x).sum() - inside.sum())
        order = np.flatnonzero(inside)[np.argsort(x[inside], kind="stable")]
        role, sign = run_role(run.index), glyph(run.index)
        points.append(
            Points(
                x[order],
                y[order],
                role,
                "training" if alone else name,
                sign,
                run.index,
                steps[order] if alone else None,
            )
        )
    if alone:
        evals = request.runs[0].history.evals
        order = np.argsort(evals["loss"], kind="stable")
        measured = order[np.isfinite(evals["loss"][order]) & np.isfinite(evals["accuracy"][order])]
        points.append(Points(evals["loss"][measured], factor * evals["accuracy"][measured], "val", "validation"))
    lie = "record lies" if beyond == 1 else "records lie"
    notes = (f"{beyond:,} {lie} beyond the losses shown",) if beyond else ()
    return replace(
        chart, value="", curves=(), points=tuple(points), markers=(), x_range=losses, growing=False, notes=notes
    )


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
