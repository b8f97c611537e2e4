"""The outcome of a run: the few numbers that a table of runs shows."""

from __future__ import annotations

import numpy as np

from tuitrain.accounting.statistics import Percentiles, mean_over_time, rate_over_time
from tuitrain.accounting.step_time import tokens_covered
from tuitrain.accounting.summary import Records, SplitOutcome, Summary, TimeSpent, split_outcome, summary_of
from tuitrain.analysis.series import Axis, step_seconds, validation_curve, x_values
from tuitrain.runs import FloatArray, RunHistory

__all__ = [
    "Percentiles",
    "SplitOutcome",
    "Summary",
    "TimeSpent",
    "mean_of",
    "rows_until",
    "split_outcomes",
    "summarize",
    "value_at",
]

SLACK = 1e-9
"""Relative difference up to which two positions on an axis are the same."""


def summarize(
    history: RunHistory,
    at: tuple[Axis, float] | None = None,
    *,
    usd_per_gpu_hour: float | None = None,
    launched: float | None = None,
) -> Summary:
    """The outcome of a run, or, with `at`, what it was when it reached that point of an x axis.

    At a point the validation loss is interpolated between the evaluations around it. A run that has not
    reached it has only unknown numbers. launched: Unix seconds of its launch, where that is known.
    """
    steps, machine = history.steps, history.system_columns
    rows = len(steps) if at is None else rows_until(history, *at)
    until = np.inf if at is None else float(steps["time"][rows - 1]) if rows else -np.inf
    readings, watts = machine.points("gpu_power_w")
    times = machine["time"][readings]
    records = Records(
        run=history.run,
        attempts=len(history.attempts),
        column=lambda key: steps[key][:rows],
        present=lambda key: steps.present(key)[:rows],
        validation=_validation(history, at) if rows or at is None else SplitOutcome(),
        durations={each.step: each.duration_ms for each in history.evaluations_of(history.validation_split)},
        wall_s=history.wall_time_until(until) if rows or at is None else None,
        power=(times[times <= until], watts[times <= until]),
        machine=history.system,
        time_use=history.time_use if at is None else None,
        superseded_ms=history.superseded_steps["step_time_ms"],
        launched=launched,
    )
    return summary_of(records, usd_per_gpu_hour)


def split_outcomes(history: RunHistory) -> dict[str, SplitOutcome]:
    """The outcome of each split, the validation split first."""
    return {split: split_outcome(history.evaluations_of(split)) for split in history.splits}


def _validation(history: RunHistory, at: tuple[Axis, float] | None) -> SplitOutcome:
    """The outcome of the validation split at the end of the run or at a point of an axis."""
    if at is None:
        return split_outcome(history.evaluations_of(history.validation_split))
    axis, limit = at
    steps, _ = validation_curve(history, "step")
    x, losses = validation_curve(history, axis)
    _, bits = validation_curve(history, axis, "bits_per_byte")
    final, final_bits = value_at(x, losses, limit), value_at(x, bits, limit)
    before = x <= limit + SLACK * abs(limit)
    rows = np.flatnonzero(np.isfinite(losses) & before)
    if not len(rows):
        return SplitOutcome(final, final_bits_per_byte=final_bits)
    best = rows[np.argmin(losses[rows])]
    measured = bits[np.isfinite(bits) & before]
    lowest = float(measured.min()) if len(measured) else None
    return SplitOutcome(final, None, float(losses[best]), int(steps[best]), final_bits, lowest)


def value_at(x: FloatArray, y: FloatArray, at: float) -> float | None:
    """y at a given x, linear between points; None outside of them."""
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    slack = SLACK * abs(at)
    if not len(x) or not x[0] - slack <= at <= x[-1] + slack:
        return None
    return float(np.interp(at, x, y))


def rows_until(history: RunHistory, axis: Axis, limit: float) -> int:
    """How many rows lie up to a point of an axis; none when the run has not reached it."""
    x = x_values(history, axis)
    finite = np.flatnonzero(np.isfinite(x))
    slack = SLACK * abs(limit)
    if not len(finite) or x[finite[-1]] + slack < limit:
        return 0
    return int(np.searchsorted(x[finite], limit + slack, side="right"))


def mean_of(history: RunHistory, key: str, seconds: FloatArray | None = None) -> float | None:
    """The mean of a metric over the run, each record weighted by the time it stands for, as `summarize` has it.

    Of tokens_per_sec it is all tokens by all seconds. None without a finite value. seconds: `step_seconds` if known.
    """
    seconds, steps = step_seconds(history) if seconds is None else seconds, history.steps
    if key == "tokens_per_sec":
        return rate_over_time(tokens_covered(steps["step"], steps["tokens"]), seconds, steps[key])
    return mean_over_time(steps[key], seconds)
