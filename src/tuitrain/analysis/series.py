"""The x axes of a run: steps, tokens, seconds of training, floating-point operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuitrain.events import Eval
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.runs.columns import BoolArray

Axis = Literal["step", "tokens", "time", "flops"]
AXES: tuple[Axis, ...] = ("step", "tokens", "time", "flops")

MAX_STEP_SECONDS = 1e9
"""Thirty years."""


def steps_covered(steps: FloatArray) -> FloatArray:
    """How many optimizer steps each record stands for, when records are written every so many steps.

    A record covers the steps since the one before it. The first covers what its own number allows, at most as many
    as the second, so that a log that begins in the middle of a run does not count steps before it.
    """
    if not len(steps):
        return np.empty(0)
    gaps = np.diff(steps)
    usual = gaps[0] if len(gaps) else steps[0]
    return np.concatenate(([max(1.0, min(steps[0], usual))], gaps))


def step_seconds(history: RunHistory, start: int = 0) -> FloatArray:
    """Seconds of training that each row of `history.steps` from `start` on stands for, nan where the log has no times.

    step_time_ms times the steps covered; a row without it counts its tokens at its throughput. A step with a
    negative time, or more than MAX_STEP_SECONDS, counts as unknown.
    """
    steps = history.steps
    numbers = steps["step"]
    covered = np.diff(numbers[start - 1 :]) if start else steps_covered(numbers)
    with np.errstate(over="ignore"):
        seconds = steps["step_time_ms"][start:] / 1000 * covered
    unknown = ~_plausible(seconds)
    if unknown.any():
        with np.errstate(all="ignore"):
            by_rate = tokens_covered(history, start) / steps["tokens_per_sec"][start:]
        seconds[unknown] = np.where(_plausible(by_rate), by_rate, np.nan)[unknown]
    return seconds


def _plausible(seconds: FloatArray) -> NDArray[np.bool_]:
    """Which of these durations are plausible for one record."""
    return (seconds >= 0) & (seconds <= MAX_STEP_SECONDS)


def tokens_covered(history: RunHistory, start: int = 0) -> FloatArray:
    """Tokens that each row of `history.steps` from `start` on stands for, nan where they are not recorded."""
    tokens, numbers = history.steps["tokens"], history.steps["step"]
    if start:
        return np.diff(tokens[start - 1 :])
    if not len(tokens):
        return np.empty(0)
    first = tokens[0] * steps_covered(numbers[:2])[0] / numbers[0] if numbers[0] > 0 else np.nan
    return np.concatenate(([first], np.diff(tokens)))


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
