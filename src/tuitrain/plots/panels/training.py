"""Panels of learning: loss with its projection, perplexity, accuracy, learning rate with its plan."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from tuitrain.analysis.comparability import losses_are_comparable
from tuitrain.analysis.metrics import metric_of
from tuitrain.analysis.summary import summarize
from tuitrain.plots.model import Curve, Level, Plot, SecondAxis, VerticalLine
from tuitrain.plots.panels.builders import curves, plot, validation_points, x_ahead
from tuitrain.plots.request import PlotRequest, PlotRun, run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.plots.series import Series
from tuitrain.runs import FloatArray, RunHistory

NOT_COMPARABLE = "different tokenizers: losses per token are not comparable between runs"

PERPLEXITY = SecondAxis(
    "perplexity",
    lambda loss: np.exp(np.clip(loss, -700, 700)),
    lambda perplexity: np.log(np.clip(perplexity, 1e-300, None)),
)

_LOOK_AHEAD = 0.5
"""How far a projection is drawn, as a share of the measured steps, which keep most of the width."""
_DASHES = 16
_PLAN_POINTS = 240
_SAME = 0.01
"""A plan whose learning rates differ by more than this share from the measured ones is not that of the run."""


def loss(request: PlotRequest) -> Plot:
    """Training loss of every run, validation as points; of a live run alone how it is expected to end.

    In a figure of several runs the validation has a panel of its own.
    """
    shown = curves(request, "loss", label="training", raw=request.for_figure)
    alone = len(request.runs) == 1
    if alone:
        shown += tuple(_projected(request.runs[0], request))
    apart = request.for_figure and not alone
    chart = plot(
        request, "loss", curves=shown, points=() if apart else validation_points(request, "loss"), clip=True,
        keep_first=True, notes=_loss_notes(request), second_axis=PERPLEXITY if alone else None,
    )  # fmt: skip
    return replace(chart, title="training loss") if apart else chart


def _loss_notes(request: PlotRequest) -> tuple[str, ...]:
    """The outcome of a run alone; of several whether their losses can be compared."""
    if not request.for_figure:
        return ()
    if len(request.runs) != 1:
        return () if losses_are_comparable([run.history for run in request.runs]) else (NOT_COMPARABLE,)
    summary = summarize(request.runs[0].history)
    at = "" if summary.best_val_step is None else f" at step {summary.best_val_step:,}"
    outcomes = (
        ("best validation", "best_val_loss", at),
        ("training, mean of the end", "final_loss", ""),
        ("last training loss", "last_loss", ""),
    )
    values = [(words, metric_of(key), getattr(summary, key), after) for words, key, after in outcomes]
    return tuple(f"{words} {each.text(value)}{after}" for words, each, value, after in values if value is not None)


def validation_loss(request: PlotRequest) -> Plot:
    """The loss of the evaluations as a curve with their marks on it."""
    return _of_evaluations(request, "val_loss", _loss_notes(request) if len(request.runs) > 1 else ())


def bits_per_byte(request: PlotRequest) -> Plot:
    """The bits per byte of the evaluations as a curve with their marks on it."""
    return _of_evaluations(request, "bits_per_byte")


def _of_evaluations(request: PlotRequest, key: str, notes: tuple[str, ...] = ()) -> Plot:
    points, several = validation_points(request, metric_of(key).column), len(request.runs) > 1
    shown = tuple(
        Curve(each.x, each.y, run_role(run.index), name if several else "", glyph(run.index) if several else "",
              order=each.order)
        for run, name, each in zip(request.runs, run_names(request.runs), points, strict=True)
        if len(each.x)
    )  # fmt: skip
    return plot(request, key, curves=shown, points=points, clip=True, keep_first=True, notes=notes)


def _projected(run: PlotRun, request: PlotRequest) -> list[Curve]:
    """The fitted law beyond the newest step, dashed, with its end in the name of the first dash."""
    law = run.series.projected_loss() if run.status.live and run.loaded else None
    last = run.history.step
    if law is None or last is None:
        return []
    until = min(law.end, last * (1 + _LOOK_AHEAD))
    steps = np.linspace(last, until, 2 * _DASHES + 1)
    x, y = x_ahead(run, request, steps), law.at(steps)
    if not np.isfinite(x).all():
        return []
    name = f"ends at {law.value:.3f} ± {max(law.margin, 0.001):.3f}"
    return [
        Curve(x[at : at + 2], y[at : at + 2], "level", name if at == 1 else "", forecast=True)
        for at in range(1, 2 * _DASHES, 2)
    ]


def perplexity(request: PlotRequest) -> Plot:
    """exp(loss), and the perplexity of the evaluations as points."""
    shown = curves(request, "loss", derive=lambda run, series: _exp(series), label="training")
    return plot(request, "perplexity", curves=shown, points=validation_points(request, "perplexity"), clip=True)


def _exp(series: Series) -> Series:
    with np.errstate(over="ignore"):
        return replace(series, y=np.exp(series.y))


def accuracy(request: PlotRequest) -> Plot:
    """Share of the next tokens that were right, in training and in the evaluations."""
    points = validation_points(request, "accuracy", metric_of("accuracy").factor)
    shown = curves(request, "accuracy", label="training")
    return plot(request, "accuracy", curves=shown, points=points, clip=True, keep_first=True)


def learning_rate(request: PlotRequest) -> Plot:
    """The learning rate; of a run alone with the schedule it follows, to the end."""
    shown = curves(request, "lr", smooth=False)
    if request.for_figure:
        lines, notes = _warmup_end(request)
        return plot(request, "lr", curves=shown, log=True, vertical_lines=lines, notes=notes)
    if len(request.runs) == 1:
        named = tuple(replace(each, name="now", glyph="●") for each in shown[-1:])
        shown = (*_planned(request.runs[0], request), *shown[:-1], *named)
    return plot(request, "lr", curves=shown, from_zero=True)


def _warmup_end(request: PlotRequest) -> tuple[tuple[VerticalLine, ...], tuple[str, ...]]:
    """The end of the warmup of a run alone: as a line, or as a sentence where the axis does not reach it."""
    steps = request.runs[0].history.section("schedule").get("warmup_steps") if len(request.runs) == 1 else None
    if not isinstance(steps, int) or steps <= 0:
        return (), ()
    x = float(request.runs[0].series.x_at(request.x, np.array([float(steps)]))[0])
    if math.isfinite(x):
        return (VerticalLine(x, f"end of warmup, step {steps:,}"),), ()
    return (), (f"the warmup ends at step {steps:,}",)


def tokens(request: PlotRequest) -> Plot:
    """Cumulative tokens; of a run alone against its budget, or else the tokens of all its steps."""
    metric = metric_of("tokens")
    if request.for_figure and request.x == "tokens":
        # Tokens over tokens are a straight line.
        request = replace(request, x="step")
    chart = plot(request, "tokens", curves=curves(request, "tokens", smooth=False), from_zero=True)
    done = request.runs[0].history.tokens if len(request.runs) == 1 else None
    if not done:
        return chart
    target, kind = _token_target(request.runs[0].history)
    if not target:
        return replace(chart, notes=(f"{metric.text(done)} (no budget is set)",))
    level = Level(target, "level", f"{kind} {metric.text(target)}", in_range=target <= 5 * done)
    share = f"{metric.text(done)} of {metric.text(target)} ({kind}): {100 * done / target:.3g} %"
    return replace(chart, value=f"{metric.text(done)}, {100 * done / target:.3g} %", levels=(level,), notes=(share,))


def _token_target(history: RunHistory) -> tuple[float | None, str]:
    """The tokens that a run is to train on, and whether they are its budget or follow from its planned steps."""
    record = history.run
    if record is None:
        return None, ""
    if record.token_budget:
        return float(record.token_budget), "budget"
    if record.total_steps and record.tokens_per_step:
        remaining = max(record.total_steps - (history.step or 0), 0)
        return float((history.tokens or 0) + remaining * record.tokens_per_step), "planned"
    return None, ""


def _planned(run: PlotRun, request: PlotRequest) -> list[Curve]:
    """The whole schedule, where the config tells it and the measured learning rates agree with it."""
    record = run.history.run
    rows, measured = run.history.steps.points("lr")
    schedule = run.history.section("schedule")
    if record is None or not record.total_steps or not len(rows) or not run.status.live:
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
    total = record.total_steps

    def factors(at: FloatArray) -> FloatArray:
        # It needs `config`, and pydantic would delay the first frame of the dashboard.
        from tuitrain.accounting import lr_factor

        return np.array([lr_factor(max(int(step) - 1, 0), section, total) for step in at])

    probes = np.array([len(rows) // 2, len(rows) - 1])
    peaks = measured[probes] / np.maximum(factors(run.history.steps["step"][rows[probes]]), 1e-12)
    if not abs(peaks[0] - peaks[1]) <= _SAME * abs(peaks[1]):
        return []
    # With the ends of its pieces, so that no corner is cut.
    corners = (section.warmup_steps, round(total * (1 - section.decay_fraction)))
    at = np.unique(np.concatenate((np.linspace(1, total, _PLAN_POINTS), np.clip(corners, 1, total))).round())
    x = x_ahead(run, request, at)
    finite = np.isfinite(x)
    y = peaks[1] * factors(at)
    return [Curve(x[finite], y[finite], f"{run_role(run.index)}.faint", "plan", forecast=True)]
