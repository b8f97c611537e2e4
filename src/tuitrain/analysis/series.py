"""The x axes of a run: steps, tokens, seconds of training, floating-point operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tuitrain.accounting import step_time
from tuitrain.events import Eval
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.runs.columns import BoolArray

Axis = Literal["step", "tokens", "time", "flops"]
AXES: tuple[Axis, ...] = ("step", "tokens", "time", "flops")


def step_seconds(history: RunHistory, start: int = 0) -> FloatArray:
    """Seconds of training that each row of `history.steps` from `start` on stands for, nan where the log has no times.

    See `accounting.step_time`.
    """
    steps, before = history.steps, max(start - 1, 0)
    columns = (steps[key][before:] for key in ("step", "step_time_ms", "tokens", "tokens_per_sec"))
    return step_time.step_seconds(*columns)[start - before :]


def rising(values: FloatArray, limit: float = np.inf, start: float = 0.0) -> FloatArray:
    """A column as an axis: never decreasing from `start` on, and nan where a value is below 0, at the limit or past it.

    A count or a clock that goes back would draw a curve backwards.
    """
    usable = (values >= 0) & (values < limit)
    risen = np.maximum.accumulate(np.where(usable, np.fmax(values, start), start))
    return np.where(usable, risen, np.nan)


def x_values(history: RunHistory, axis: Axis) -> FloatArray:
    """The x of each row of `history.steps`; nan where it is not known.

    time is seconds of training, the sum of the step times: evaluations, checkpoints, compilation and the gaps
    between attempts take none, and work that a later attempt did again counts once. flops is tokens times the FLOPs
    per token of the newest attempt. Raises ValueError for another axis.
    """
    steps = history.steps
    match axis:
        case "step":
            return steps[axis]
        case "tokens":
            return rising(steps[axis])
        case "time":
            seconds = step_seconds(history)
            if not np.isfinite(seconds).any():
                return seconds
            return np.cumsum(np.nan_to_num(seconds))
        case "flops":
            per_token = history.run.flops_per_token if history.run else None
            return rising(steps["tokens"]) * (per_token if per_token is not None and per_token > 0 else np.nan)
    raise ValueError(f"{axis!r} is not an x axis; known: {', '.join(AXES)}.")


def x_at_steps(history: RunHistory, axis: Axis, wanted: FloatArray) -> FloatArray:
    """The x of given steps, between records by interpolation; nan outside the log, but step 0 is at 0."""
    return wanted if axis == "step" else interpolated(history, x_values(history, axis), wanted)


def interpolated(history: RunHistory, x: FloatArray, wanted: FloatArray, from_zero: bool = True) -> FloatArray:
    """The x of given steps, where `x` is that of each row of `history.steps`; nan where it is not known.

    from_zero: step 0 is at 0, and steps before the first record lie between, unless the log begins in the middle of a
    run.
    """
    steps, known = history.steps["step"], np.isfinite(x)
    if not known.any():
        return np.full(len(wanted), np.nan)
    if not known.all():
        steps, x = steps[known], x[known]
    at = np.interp(wanted, steps, x, left=np.nan, right=np.nan)
    usual = steps[1] - steps[0] if len(steps) > 1 else steps[0]
    if from_zero and 0 < steps[0] <= max(1.0, usual):
        early = wanted < steps[0]
        at[early] = np.interp(wanted[early], [0.0, steps[0]], [0.0, x[0]], left=np.nan)
    return at


def validation_curve(history: RunHistory, axis: Axis, key: str = "loss") -> tuple[FloatArray, FloatArray]:
    """x and loss of the evaluations that measure what the newest one of the validation split does; x may be nan.

    Those of other sequences are left out: their losses are not comparable. key: another field of `eval` instead.
    """
    split = history.validation_split
    rows = comparable(history.evaluations_of(split))
    return eval_x_values(history, axis)[rows], history.evals[key][rows]


def comparable(evaluations: Sequence[Eval]) -> BoolArray:
    """Which evaluations of a split are of the same sequences as the newest, as far as the log records it."""
    return np.array([each.split_fingerprint == evaluations[-1].split_fingerprint for each in evaluations], dtype=bool)


def eval_x_values(history: RunHistory, axis: Axis) -> FloatArray:
    """The x of each row of `history.evals`; nan where it is not known."""
    x = x_at_steps(history, axis, history.evals["step"])
    if axis == "tokens":
        own = history.evals["tokens"]
        return np.where(np.isfinite(own), own, x)
    return x
