"""Panels about learning: loss with its projection, perplexity, accuracy, learning rate with its plan."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from tuitrain.analysis.metrics import metric
from tuitrain.plots.model import Curve, Plot
from tuitrain.plots.panels.builders import ahead, curves, plot, stars
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.roles import run_role
from tuitrain.plots.series import Series
from tuitrain.runs import FloatArray, RunHistory

if TYPE_CHECKING:
    from tuitrain.analysis.power_law import Projection

_GROWTH = 1.02
"""A projection is made again when the run has this many times the records."""
_LOOK_AHEAD = 0.5
"""How far a projection is drawn, as a share of what has been measured, so that this keeps most of the room."""
_DASHES = 16
_PLAN_POINTS = 240
_SAME = 0.01
"""A plan whose learning rates differ by more than this share from the measured ones is not that of the run."""

_projections: WeakKeyDictionary[RunHistory, tuple[int, int, Projection | None]] = WeakKeyDictionary()


def loss(request: PlotRequest) -> Plot:
    """Training loss of every run, validation as stars; of a live run alone how it is expected to end."""
    about = metric("loss")
    found = list(curves(request, about))
    if len(request.runs) == 1:
        found += _projected(request.runs[0], request)
    return plot(request, about, curves=tuple(found), points=stars(request, "loss"), clip=True, keep_first=True)


def _projected(view: PlotRun, request: PlotRequest) -> list[Curve]:
    """The fitted law beyond the newest step, dashed, with its end in the name of the first dash."""
    law = projection_of(view)
    last = view.history.step
    if law is None or last is None:
        return []
    until = min(law.end, last * (1 + _LOOK_AHEAD))
    steps = np.linspace(last, until, 2 * _DASHES + 1)
    x, y = ahead(view, request, steps), law.at(steps)
    if not np.isfinite(x).all():
        return []
    name = f"ends at {law.value:.3f} ± {max(law.margin, 0.001):.3f}"
    return [
        Curve(x[at : at + 2], y[at : at + 2], "level", name if at == 1 else "", forecast=True)
        for at in range(1, 2 * _DASHES, 2)
    ]


def projection_of(view: PlotRun) -> Projection | None:
    """How the loss of a live run is expected to end; None for others, and where the records do not tell."""
    history = view.history
    run, count, cuts = history.run, len(history.steps), len(history.steps.cuts)
    if not (view.status.live and view.loaded and run and run.total_steps and count):
        return None
    known = _projections.get(history)
    if known is None or known[0] != cuts or count > known[1] * _GROWTH:
        from tuitrain.analysis.power_law import project_loss

        steps, losses = history.steps.series("loss")
        schedule = _section(run.config, "schedule")
        warmup = schedule.get("warmup_steps")
        found = project_loss(steps, losses, run.total_steps, warmup if isinstance(warmup, int) else 0)
        known = _projections[history] = (cuts, count, found)
    return known[2]


def perplexity(request: PlotRequest) -> Plot:
    """exp(loss), and the perplexity of the evaluations as stars."""
    about = metric("perplexity")
    found = curves(request, metric("loss"), derive=lambda view, series: _exp(series))
    return plot(request, about, curves=found, points=stars(request, "perplexity"), clip=True)


def _exp(series: Series) -> Series:
    with np.errstate(over="ignore"):
        return Series(series.x, np.exp(series.y), ("exp", *series.identity))


def accuracy(request: PlotRequest) -> Plot:
    """Share of the next tokens that were right, in training and in the evaluations."""
    about = metric("accuracy")
    points = stars(request, "accuracy", about.factor)
    return plot(request, about, curves=curves(request, about), points=points, clip=True, keep_first=True)


def learning_rate(request: PlotRequest) -> Plot:
    """The learning rate; of a run alone with the schedule it follows, to the end."""
    about = metric("lr")
    found = curves(request, about, smooth=False)
    if len(request.runs) == 1:
        named = tuple(Curve(each.x, each.y, each.role, "now", "●", each.identity) for each in found[-1:])
        found = (*_planned(request.runs[0], request), *found[:-1], *named)
    return plot(request, about, curves=found, from_zero=True)


def _planned(view: PlotRun, request: PlotRequest) -> list[Curve]:
    """The whole schedule, where the config tells it and the measured learning rates agree with it."""
    run = view.history.run
    steps, measured = view.history.steps.series("lr")
    schedule = _section(run.config, "schedule") if run else {}
    if run is None or not run.total_steps or not len(steps) or not view.status.live:
        return []
    try:
        section = SimpleNamespace(
            name=str(schedule["name"]),
            warmup_steps=int(schedule["warmup_steps"]),
            min_lr_ratio=float(schedule["min_lr_ratio"]),
            decay_fraction=float(schedule.get("decay_fraction", 1.0)),
        )
    except (KeyError, TypeError, ValueError):
        return []
    total = run.total_steps

    def factors(at: FloatArray) -> FloatArray:
        from tuitrain.accounting import lr_factor

        return np.array([lr_factor(max(int(step) - 1, 0), section, total) for step in at])

    probes = np.array([len(steps) // 2, len(steps) - 1])
    peaks = measured[probes] / np.maximum(factors(steps[probes]), 1e-12)
    if not abs(peaks[0] - peaks[1]) <= _SAME * abs(peaks[1]):
        return []
    # With the ends of its pieces, so that no corner is cut.
    corners = (section.warmup_steps, round(total * (1 - section.decay_fraction)))
    at = np.unique(np.concatenate((np.linspace(1, total, _PLAN_POINTS), np.clip(corners, 1, total))).round())
    x = ahead(view, request, at)
    known = np.isfinite(x)
    plan = Series(x[known], (peaks[1] * factors(at))[known], ())
    return [Curve(plan.x, plan.y, f"{run_role(view.index)}.faint", "plan", forecast=True)]


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}
