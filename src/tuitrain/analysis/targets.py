"""Where the loss of a run first comes down to a target, and what the run had spent by then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuitrain.accounting.summary import gpu_hours
from tuitrain.analysis.metric_rows import MetricRow, metric_row
from tuitrain.analysis.metrics import TARGET_METRICS
from tuitrain.analysis.points import AxisPoint, Point, Target, as_axis_point, as_target, position
from tuitrain.analysis.series import AXES, Axis, validation_curve, x_at_steps
from tuitrain.analysis.smoothing import smooth_centred
from tuitrain.analysis.verdict import listed
from tuitrain.runs import FloatArray, RunHistory

_NOWHERE = 1e300
_POINTS: dict[Target, str] = {"loss": "record", "val_loss": "evaluation", "bits_per_byte": "evaluation"}
"""What the curve of a target consists of."""


@dataclass(frozen=True)
class Crossing:
    """The first point at which a loss is at or below a target. Unknown is None, as everything where it is not reached.

    GPU-hours and cost are of the training time, without evaluations and checkpoints. between: the steps of the points
    around it, where it is interpolated between them. lowest: the lowest loss of the curve. begins_below: the first
    point of the curve, after step 1, is below the target already, so that nothing tells when it was reached.
    """

    step: float | None = None
    tokens: float | None = None
    time: float | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    cost_usd: float | None = None
    between: tuple[int, int] | None = None
    lowest: float | None = None
    begins_below: bool = False


def target_curve(history: RunHistory, target: Target) -> tuple[FloatArray, FloatArray]:
    """Steps and losses that are finite: of the evaluations, or of the training records by the centred average."""
    if target == "loss":
        steps, losses = history.steps["step"], smooth_centred(history.steps["loss"])
    else:
        steps, losses = validation_curve(history, "step", "loss" if target == "val_loss" else target)
    finite = np.isfinite(steps) & np.isfinite(losses)
    return steps[finite], losses[finite]


def crossing(history: RunHistory, target: Target, value: float, usd_per_gpu_hour: float | None = None) -> Crossing:
    """Where the curve is first at or below a value: at that point, or on the line from the point before it.

    Points of successive steps have nothing between them. Nothing is extrapolated.
    """
    steps, losses = target_curve(history, target)
    if not len(steps):
        return Crossing()
    lowest = float(losses.min())
    below = np.flatnonzero(losses <= value)
    if not len(below):
        return Crossing(lowest=lowest)
    at = int(below[0])
    if at == 0 and steps[0] > 1:
        return Crossing(lowest=lowest, begins_below=True)
    step, between = float(steps[at]), None
    if losses[at] < value and at and step - steps[at - 1] > 1:
        share = (losses[at - 1] - value) / (losses[at - 1] - losses[at])
        between = int(steps[at - 1]), int(steps[at])
        step = float(steps[at - 1] + share * (step - steps[at - 1]))
    there: dict[Axis, float | None] = {}
    for axis in AXES:
        x = float(x_at_steps(history, axis, np.array([step]))[0])
        there[axis] = x if math.isfinite(x) else None
    hours = gpu_hours(history.run, None, there["time"])
    return Crossing(
        there["step"],
        there["tokens"],
        there["time"],
        there["flops"],
        gpu_hours=hours,
        cost_usd=None if hours is None or usd_per_gpu_hour is None else hours * usd_per_gpu_hour,
        between=between,
        lowest=lowest,
    )


def crossings(
    histories: Sequence[RunHistory], at: Point | None, usd_per_gpu_hour: float | None = None
) -> list[Crossing]:
    """Where each run reaches a target; empty where `at` is none."""
    goal = None if at is None else as_target(at)
    return [] if goal is None else [crossing(history, *goal, usd_per_gpu_hour) for history in histories]


def axis_points(
    at: Point | None, reached: Sequence[Crossing], histories: Sequence[RunHistory]
) -> list[AxisPoint | None]:
    """The point at which each run is compared; of one that did not reach a target it is a step that no run has."""
    if reached:
        return [("step", _NOWHERE if each.step is None else each.step) for each in reached]
    return [None if at is None else as_axis_point(at)] * len(histories)


def crossing_rows(columns: Sequence[Sequence[Crossing]], baseline: int, *, ranked: bool) -> list[MetricRow]:
    """What each run, or group in the mean, had spent when it reached the target.

    Nothing is best where a run begins below the target, nor between groups of which a run did not reach it: the mean
    of the others says too little.
    """
    unknown = any(one.begins_below for column in columns for one in column)
    partial = any(len(column) > 1 and any(one.step is None for one in column) for column in columns)
    rows = []
    for metric in TARGET_METRICS:
        shown = replace(metric, better=None) if unknown or partial else metric
        values = [[getattr(one, metric.key) for one in column] for column in columns]
        rows.append(metric_row(shown, values, baseline, ranked=ranked))
    return [row for row in rows if any(value is not None for value in row.values)]


def crossing_sentences(
    columns: Sequence[str], rows: Sequence[MetricRow], names: Sequence[str], reached: Sequence[Crossing], at: Point
) -> list[str]:
    """Which run reached a target first, and by which measure; which did not; what was interpolated.

    columns: the names of the runs or groups in the rows; names: of the runs in `reached`.
    """
    target = as_target(at)
    key: Target = "loss" if target is None else target[0]
    goal, point, value = position(*at), _POINTS[key], "bits per byte" if key == "bits_per_byte" else "a loss"
    by_name = sorted(zip(names, reached, strict=True), key=lambda pair: pair[0])
    sentences = []
    for index in sorted({row.best for row in rows if row.best is not None}, key=lambda index: columns[index]):
        least = [f"{row.metric.title} ({row.metric.text(row.values[index])})" for row in rows if row.best == index]
        sentences.append(f"{columns[index]} reached {goal} with the least {listed(least)}.")
    for name, one in by_name:
        if one.begins_below:
            sentences.append(f"{name} is below {goal} from its first {point} on: when it reached it is unknown.")
        elif one.step is None and one.lowest is None:
            sentences.append(f"{name} has no {point}s with {value}.")
        elif one.step is None:
            sentences.append(f"{name} did not reach {goal}: its lowest is {one.lowest:.8g}.")
    between = [f"{name} {one.between[0]:,} and {one.between[1]:,}" for name, one in by_name if one.between]
    note = f"Interpolated between the {point}s at steps: {'; '.join(between)}."
    return [*sentences, note] if between else sentences
