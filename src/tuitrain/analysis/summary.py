"""The outcome of a run: the few numbers that a table of runs shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuitrain.accounting import perplexity
from tuitrain.analysis.generalization import generalization_gap, generalization_verdict
from tuitrain.analysis.resources import device_hours, energy_kwh, sequences_per_step, tokens_per_step
from tuitrain.analysis.series import (
    Axis,
    comparable,
    step_seconds,
    steps_covered,
    tokens_covered,
    validation_curve,
    x_values,
)
from tuitrain.events import Eval
from tuitrain.runs import FloatArray, RunHistory

FINAL_SHARE = 0.05
FINAL_RECORDS = 50
"""The end of a run is its last 5 % of `step` records, at least one and at most 50."""
SLACK = 1e-9
"""Relative difference up to which two positions on an axis are the same."""


CHINCHILLA_TOKENS = 20
"""Tokens per parameter at which compute is spent best (Hoffmann et al. 2022, arXiv 2203.15556, table 3)."""


@dataclass(frozen=True)
class Percentiles:
    """Of the values that the log has of a metric, each counted once: 5 %, 50 % and 95 % of them lie below."""

    p5: float
    p50: float
    p95: float


@dataclass(frozen=True)
class Summary:
    """The outcome of a run. Unknown is None; a loss that ended as nan is nan.

    final_loss and final_accuracy are means over the end of the run (see FINAL_RECORDS), of finite values where there
    are any; last_loss is the newest value as recorded. The best validation loss is the lowest that was measured on the
    sequences of the newest evaluation, and so is best_bits_per_byte. generalization_gap is (validation − training) /
    training, of the newest validation loss and of the training loss of the records before it, averaged as final_loss.

    mean_tokens_per_sec is all tokens by all step time, mean_mfu is weighted by step time, so the two agree, and
    tokens_per_hour is of training time too. training_time_s is the sum of the step times, without evaluations,
    checkpoints and compilation; a record stands for the steps since the one before it, so that steps_covered may
    exceed steps_logged, the number of records. wall_time_s is the time of the attempts, of each from its first record
    to its last. peak_memory_gb is of one device, the highest. step_time_scatter is half the range of the middle 68 % of
    the step times, relative to their median: one standard deviation where they are normal.

    gpu_hours are of the time of the attempts, cost_usd is theirs. energy_kwh is of the GPUs whose power was logged.
    """

    name: str | None = None
    run_id: str | None = None
    attempts: int = 0
    step: int | None = None
    total_steps: int | None = None
    total_tokens: int | None = None
    token_budget: int | None = None
    budget_fraction: float | None = None
    final_loss: float | None = None
    last_loss: float | None = None
    final_val_loss: float | None = None
    final_val_step: int | None = None
    best_val_loss: float | None = None
    best_val_step: int | None = None
    final_perplexity: float | None = None
    final_bits_per_byte: float | None = None
    best_bits_per_byte: float | None = None
    generalization_gap: float | None = None
    final_accuracy: float | None = None
    mean_mfu: float | None = None
    mean_mfu_causal: float | None = None
    mean_tokens_per_sec: float | None = None
    mean_step_time_ms: float | None = None
    step_time_scatter: float | None = None
    mean_tflops: float | None = None
    mfu_percentiles: Percentiles | None = None
    tokens_per_sec_percentiles: Percentiles | None = None
    step_time_ms_percentiles: Percentiles | None = None
    tokens_per_hour: float | None = None
    peak_memory_gb: float | None = None
    steps_logged: int = 0
    steps_covered: int = 0
    training_time_s: float | None = None
    wall_time_s: float | None = None
    total_flops: float | None = None
    params_total: int | None = None
    tokens_per_parameter: float | None = None
    effective_batch_sequences: int | None = None
    effective_batch_tokens: int | None = None
    gpu_hours: float | None = None
    energy_kwh: float | None = None
    cost_usd: float | None = None

    @property
    def generalization(self) -> str | None:
        """A sentence on how well the run generalises; None where that is unknown."""
        return generalization_verdict(
            self.generalization_gap, self.final_val_loss, self.final_val_step, self.best_val_loss, self.best_val_step
        )


def summarize(
    history: RunHistory, at: tuple[Axis, float] | None = None, usd_per_gpu_hour: float | None = None
) -> Summary:
    """The outcome of a run, or, with `at`, what it was when it reached that point of an x axis.

    At a point the validation loss is interpolated between the evaluations around it. A run that has not
    reached it has only unknown numbers.
    """
    run, steps = history.run, history.steps
    rows = len(steps) if at is None else rows_until(history, *at)
    seconds = step_seconds(history)[:rows]
    losses, accuracies = (steps[key][:rows][steps.present(key)[:rows]] for key in ("loss", "accuracy"))
    tokens = _last(steps["tokens"][:rows])
    budget = run.token_budget if run else None
    per_token = run.flops_per_token if run else None
    validation = _validation(history, at) if rows or at is None else SplitOutcome()
    mean_step = _mean_step_seconds(steps["step"][:rows], seconds)
    architecture = run.architecture if run else None
    params = architecture.params_total if architecture else None
    mean_rate = _rate(tokens_covered(history)[:rows], seconds, steps["tokens_per_sec"][:rows])
    training_s = float(np.nansum(seconds)) if np.isfinite(seconds).any() else None
    wall_s = history.wall_time_s if at is None else None
    hours = device_hours(history, wall_s, training_s) if rows else None
    return Summary(
        name=run.name if run else None,
        run_id=run.run_id if run else None,
        attempts=len(history.attempts),
        step=_last_whole(steps["step"][:rows]),
        total_steps=run.total_steps if run else None,
        total_tokens=_last_whole(steps["tokens"][:rows]),
        token_budget=budget,
        budget_fraction=tokens / budget if tokens is not None and budget else None,
        final_loss=_final(losses),
        last_loss=float(losses[-1]) if len(losses) else None,
        final_val_loss=validation.final,
        final_val_step=validation.final_step,
        best_val_loss=validation.best,
        best_val_step=validation.best_step,
        final_perplexity=perplexity(validation.final),
        final_bits_per_byte=validation.final_bits_per_byte,
        best_bits_per_byte=validation.best_bits_per_byte,
        generalization_gap=generalization_gap(
            _training_loss_at(history, validation.final_step, losses), validation.final
        ),
        final_accuracy=_final(accuracies),
        mean_mfu=_weighted(steps["mfu"][:rows], seconds),
        mean_mfu_causal=_weighted(steps["mfu_causal"][:rows], seconds),
        mean_tokens_per_sec=mean_rate,
        mean_step_time_ms=None if mean_step is None else 1000 * mean_step,
        step_time_scatter=_scatter(steps["step_time_ms"][:rows]),
        mean_tflops=_weighted(steps["tflops"][:rows], seconds),
        mfu_percentiles=_percentiles(steps["mfu"][:rows]),
        tokens_per_sec_percentiles=_percentiles(steps["tokens_per_sec"][:rows]),
        step_time_ms_percentiles=_percentiles(steps["step_time_ms"][:rows]),
        tokens_per_hour=None if mean_rate is None else 3600 * mean_rate,
        peak_memory_gb=_highest(steps["mem_peak_gb"][:rows]),
        steps_logged=len(seconds),
        steps_covered=round(float(steps_covered(steps["step"][:rows]).sum())),
        training_time_s=training_s,
        wall_time_s=wall_s,
        total_flops=tokens * per_token if tokens is not None and per_token is not None else None,
        params_total=params,
        tokens_per_parameter=tokens / params if tokens is not None and params else None,
        effective_batch_sequences=sequences_per_step(history),
        effective_batch_tokens=tokens_per_step(history),
        gpu_hours=hours,
        energy_kwh=energy_kwh(history) if at is None else None,
        cost_usd=hours * usd_per_gpu_hour if hours is not None and usd_per_gpu_hour is not None else None,
    )


def _training_loss_at(history: RunHistory, step: int | None, losses: FloatArray) -> float | None:
    """The training loss of the records up to the step of an evaluation, averaged as at the end of a run."""
    if step is None:
        return _final(losses)
    rows, values = history.steps.points("loss")
    before = int(np.searchsorted(history.steps["step"][rows], step, side="right"))
    return _final(values[:before])


@dataclass(frozen=True)
class SplitOutcome:
    """Newest and lowest loss of a split, the lowest among evaluations of the same sequences as the newest.

    So are the bits per byte.
    """

    final: float | None = None
    final_step: int | None = None
    best: float | None = None
    best_step: int | None = None
    final_bits_per_byte: float | None = None
    best_bits_per_byte: float | None = None


def split_outcomes(history: RunHistory) -> dict[str, SplitOutcome]:
    """The outcome of each split, the validation split first."""
    return {split: _outcome(history.evaluations_of(split)) for split in history.splits}


def _outcome(evaluations: Sequence[Eval]) -> SplitOutcome:
    if not evaluations:
        return SplitOutcome()
    newest = evaluations[-1]
    alike = [each for each, same in zip(evaluations, comparable(evaluations), strict=True) if same]
    losses = [(each.loss, each.step) for each in alike if each.loss is not None and math.isfinite(each.loss)]
    best, best_step = min(losses, key=lambda each: each[0], default=(None, None))
    bits = [
        each.bits_per_byte for each in alike if each.bits_per_byte is not None and math.isfinite(each.bits_per_byte)
    ]
    return SplitOutcome(newest.loss, newest.step, best, best_step, newest.bits_per_byte, min(bits, default=None))


def _validation(history: RunHistory, at: tuple[Axis, float] | None) -> SplitOutcome:
    """The outcome of the validation split at the end of the run or at a point of an axis."""
    if at is None:
        return _outcome(history.evaluations_of(history.validation_split))
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


def _final(values: FloatArray) -> float | None:
    """The mean of the end of these recorded values."""
    if not len(values):
        return None
    end = values[-min(FINAL_RECORDS, math.ceil(FINAL_SHARE * len(values))) :]
    finite = end[np.isfinite(end)]
    return float(finite.mean()) if len(finite) else float(end[-1])


def _last(values: FloatArray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None


def _highest(values: FloatArray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else None


def _weighted(values: FloatArray, weights: FloatArray) -> float | None:
    """Mean of the finite values, weighted where weights are known."""
    if len(values) and weights.min() > 0 and math.isfinite(mean := float(np.average(values, weights=weights))):
        # All are finite and have a weight: this needs fewer passes over them.
        return mean
    finite = np.isfinite(values)
    if not finite.any():
        return None
    both = finite & np.isfinite(weights) & (weights > 0)
    if not both.any():
        return float(values[finite].mean())
    return float(np.average(values[both], weights=weights[both]))


def _rate(tokens: FloatArray, seconds: FloatArray, rates: FloatArray) -> float | None:
    """All tokens by all seconds, of the rows that know both; else the mean of the recorded rates."""
    counted, total = float(tokens.sum()), float(seconds.sum())
    if not math.isfinite(counted + total):
        both = np.isfinite(tokens) & np.isfinite(seconds)
        counted, total = float(tokens[both].sum()), float(seconds[both].sum())
    return counted / total if total > 0 else _weighted(rates, seconds)


def mean_over_time(history: RunHistory, key: str, seconds: FloatArray | None = None) -> float | None:
    """The mean of a metric over the run, each record weighted by the time it stands for, as `summarize` has it.

    Of tokens_per_sec it is all tokens by all seconds. None without a finite value. seconds: `step_seconds` if known.
    """
    seconds = step_seconds(history) if seconds is None else seconds
    if key == "tokens_per_sec":
        return _rate(tokens_covered(history), seconds, history.steps[key])
    return _weighted(history.steps[key], seconds)


def _mean_step_seconds(steps: FloatArray, seconds: FloatArray) -> float | None:
    finite = np.isfinite(seconds)
    covered = float(steps_covered(steps)[finite].sum())
    return float(seconds[finite].sum()) / covered if covered > 0 else None


def _scatter(values: FloatArray) -> float | None:
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return None
    low, middle, high = np.quantile(finite, (0.16, 0.5, 0.84))
    return float((high - low) / (2 * middle)) if middle > 0 else None


def _percentiles(values: FloatArray) -> Percentiles | None:
    finite = values[np.isfinite(values)]
    return Percentiles(*map(float, np.percentile(finite, (5, 50, 95)))) if len(finite) else None


def _last_whole(values: FloatArray) -> int | None:
    return None if (value := _last(values)) is None else int(value)
