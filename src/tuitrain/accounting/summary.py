"""The outcome of a run as a few numbers, from its records as columns: for the `end` record and for every reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuitrain.accounting.losses import generalization_gap, perplexity
from tuitrain.accounting.peaks import on_cpu
from tuitrain.accounting.step_time import FloatArray, step_seconds, steps_covered, tokens_covered
from tuitrain.events import Eval, Run, TimeUse

FINAL_SHARE = 0.05
FINAL_RECORDS = 50
"""The end of a run is its last 5 % of `step` records, at least one and at most 50."""
CHINCHILLA_TOKENS = 20
"""Tokens per parameter at which compute is spent best (Hoffmann et al. 2022, arXiv 2203.15556, table 3)."""
LONGEST_GAP = 3.0
"""Readings of the power further apart than so many times their median distance have a gap between them."""
JOULES_PER_KWH = 3.6e6
CLOCK_ERROR = 0.01
"""By so much of it the steps may exceed the time between the first and the last record, as clocks are read."""


@dataclass(frozen=True)
class Percentiles:
    """Of the values that the log has of a metric, each counted once: 5 %, 50 % and 95 % of them lie below."""

    p5: float
    p50: float
    p95: float


@dataclass(frozen=True)
class TimeSpent:
    """Where the wall clock went, in seconds that add up to elapsed_s, from the launch to the newest record.

    training_s: the steps that the run kept, the waits for data (data_wait_s) among them; repeated_s: steps that a later
    attempt did again; the others as in `TimeUse`. queue_s: from the launch to the first record, None where the launch
    is unknown; other_s: the rest, such as text samples, and what is read and written beside the steps.
    """

    elapsed_s: float
    training_s: float
    data_wait_s: float | None
    repeated_s: float
    evaluation_s: float
    checkpoint_s: float
    compile_s: float
    startup_s: float
    between_attempts_s: float
    queue_s: float | None
    other_s: float
    paused_s: float = 0.0


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
    exceed steps_logged, the number of records. wall_time_s is the time of the attempts, of each from its `run` record
    to its last; time_spent divides all the time. peak_memory_gb is of one device, the highest. step_time_scatter is
    half the range of the middle 68 % of the step times, relative to their median: one standard deviation where they
    are normal.

    gpu_hours is the number of GPUs times wall_time_s, since a GPU is taken while a run starts, evaluates and saves
    too; cost_usd is theirs. energy_kwh is of the GPUs whose power was logged.
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
    time_spent: TimeSpent | None = None
    total_flops: float | None = None
    params_total: int | None = None
    tokens_per_parameter: float | None = None
    effective_batch_sequences: int | None = None
    effective_batch_tokens: int | None = None
    gpu_hours: float | None = None
    energy_kwh: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True)
class Records:
    """The records of a run that a summary is made of.

    column: the values of a key of the `step` records, absent ones as nan; present: which of them are not absent.
    validation: of the evaluations. wall_s: see Summary. power: Unix seconds and watts of all GPUs. time_use: where it
    is wanted. superseded_ms: the sum of the step times that a later attempt did again. launched: Unix seconds.
    """

    run: Run | None
    attempts: int
    column: Callable[[str], FloatArray]
    present: Callable[[str], NDArray[np.bool_]]
    validation: SplitOutcome
    wall_s: float | None
    power: tuple[FloatArray, FloatArray]
    time_use: TimeUse | None = None
    superseded_ms: float = 0.0
    launched: float | None = None


def summary_of(records: Records, usd_per_gpu_hour: float | None = None) -> Summary:
    """The summary of these records."""
    run, column, validation = records.run, records.column, records.validation
    step_numbers, token_counts, rates, step_ms = map(column, ("step", "tokens", "tokens_per_sec", "step_time_ms"))
    seconds = step_seconds(step_numbers, step_ms, token_counts, rates)
    losses, accuracies = (column(key)[records.present(key)] for key in ("loss", "accuracy"))
    tokens = _last(token_counts)
    budget = run.token_budget if run else None
    per_token = run.flops_per_token if run else None
    params = run.architecture.params_total if run and run.architecture else None
    mean_rate = rate_over_time(tokens_covered(step_numbers, token_counts), seconds, rates)
    mean_step = _mean_step_seconds(step_numbers, seconds)
    training_s = float(np.nansum(seconds)) if np.isfinite(seconds).any() else None
    hours = gpu_hours(run, records.wall_s, training_s) if len(step_numbers) else None
    per_step = _tokens_per_step(run, step_numbers, token_counts)
    loss_then = _training_loss_at(step_numbers[records.present("loss")], losses, validation.final_step)
    return Summary(
        name=run.name if run else None,
        run_id=run.run_id if run else None,
        attempts=records.attempts,
        step=_last_whole(step_numbers),
        total_steps=run.total_steps if run else None,
        total_tokens=_last_whole(token_counts),
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
        generalization_gap=generalization_gap(loss_then, validation.final),
        final_accuracy=_final(accuracies),
        mean_mfu=mean_over_time(column("mfu"), seconds),
        mean_mfu_causal=mean_over_time(column("mfu_causal"), seconds),
        mean_tokens_per_sec=mean_rate,
        mean_step_time_ms=None if mean_step is None else 1000 * mean_step,
        step_time_scatter=_scatter(step_ms),
        mean_tflops=mean_over_time(column("tflops"), seconds),
        mfu_percentiles=_percentiles(column("mfu")),
        tokens_per_sec_percentiles=_percentiles(rates),
        step_time_ms_percentiles=_percentiles(step_ms),
        tokens_per_hour=None if mean_rate is None else 3600 * mean_rate,
        peak_memory_gb=_highest(column("mem_peak_gb")),
        steps_logged=len(step_numbers),
        steps_covered=round(float(steps_covered(step_numbers).sum())),
        training_time_s=training_s,
        wall_time_s=records.wall_s,
        time_spent=_time_spent(records, step_numbers, training_s),
        total_flops=tokens * per_token if tokens is not None and per_token is not None else None,
        params_total=params,
        tokens_per_parameter=tokens / params if tokens is not None and params else None,
        effective_batch_sequences=_sequences_per_step(run, per_step),
        effective_batch_tokens=per_step,
        gpu_hours=hours,
        energy_kwh=energy_kwh(*records.power),
        cost_usd=hours * usd_per_gpu_hour if hours is not None and usd_per_gpu_hour is not None else None,
    )


def split_outcome(evaluations: Sequence[Eval]) -> SplitOutcome:
    """The outcome of the evaluations of a split, in the order of their steps."""
    if not evaluations:
        return SplitOutcome()
    newest = evaluations[-1]
    alike = [each for each in evaluations if each.split_fingerprint == newest.split_fingerprint]
    losses = [(each.loss, each.step) for each in alike if each.loss is not None and math.isfinite(each.loss)]
    best, best_step = min(losses, key=lambda each: each[0], default=(None, None))
    known = (each.bits_per_byte for each in alike if each.bits_per_byte is not None)
    bits = min(filter(math.isfinite, known), default=None)
    return SplitOutcome(newest.loss, newest.step, best, best_step, newest.bits_per_byte, bits)


def energy_kwh(times: FloatArray, watts: FloatArray) -> float | None:
    """Energy of GPUs from readings of their power, kWh; None where that was not logged.

    The integral by the trapezoidal rule. A gap between the readings, as between two attempts, adds nothing. Those of
    `system` records are of the machine of rank 0 and of all its GPUs.
    """
    usable = (times >= 0) & (watts >= 0) & np.isfinite(watts)
    times, watts = times[usable], watts[usable]
    if len(times) < 2:
        return None
    seconds = np.diff(times)
    forward = seconds > 0
    usual = float(np.median(seconds[forward])) if forward.any() else 0.0
    seconds[~(forward & (seconds <= LONGEST_GAP * usual))] = 0
    with np.errstate(all="ignore"):
        joules = float(np.sum(seconds * (watts[1:] / 2 + watts[:-1] / 2)))
    return joules / JOULES_PER_KWH if math.isfinite(joules) else None


def mean_over_time(values: FloatArray, seconds: FloatArray) -> float | None:
    """Mean of the finite values, weighted by the seconds that each stands for where these are known."""
    if len(values) and seconds.min() > 0 and math.isfinite(mean := float(np.average(values, weights=seconds))):
        # All are finite and have a weight: this needs fewer passes over them.
        return mean
    finite = np.isfinite(values)
    if not finite.any():
        return None
    both = finite & np.isfinite(seconds) & (seconds > 0)
    if not both.any():
        return float(values[finite].mean())
    return float(np.average(values[both], weights=seconds[both]))


def rate_over_time(tokens: FloatArray, seconds: FloatArray, rates: FloatArray) -> float | None:
    """All tokens by all seconds, of the records that know both; else the mean of the recorded rates."""
    counted, total = float(tokens.sum()), float(seconds.sum())
    if not math.isfinite(counted + total):
        both = np.isfinite(tokens) & np.isfinite(seconds)
        counted, total = float(tokens[both].sum()), float(seconds[both].sum())
    return counted / total if total > 0 else mean_over_time(rates, seconds)


def _time_spent(records: Records, steps: FloatArray, training_s: float | None) -> TimeSpent | None:
    """None where the log has no clock that covers the steps, as one whose lines have no times."""
    use = records.time_use.so_far() if records.time_use is not None else None
    if use is None or use.first is None or use.last is None or training_s is None:
        return None
    gaps = np.diff(steps)
    repeated_s = records.superseded_ms / 1000 * (float(np.median(gaps)) if len(gaps) else 1.0)
    launched = records.launched if records.launched is not None and records.launched <= use.first else None
    queue_s = use.first - launched if launched is not None else None
    elapsed_s = use.last - (use.first if launched is None else launched)
    known = (
        training_s, repeated_s, use.evaluation_s, use.checkpoint_s, use.compile_s, use.startup_s, use.between_s,
        use.paused_s, queue_s or 0.0,
    )  # fmt: skip
    other_s = elapsed_s - sum(known)
    if not other_s >= -CLOCK_ERROR * elapsed_s - 1.0:
        return None
    waits = records.column("data_time_ms") / 1000 * steps_covered(steps)
    return TimeSpent(
        elapsed_s=elapsed_s,
        training_s=training_s,
        data_wait_s=float(np.nansum(waits)) if np.isfinite(waits).any() else None,
        repeated_s=repeated_s,
        evaluation_s=use.evaluation_s,
        checkpoint_s=use.checkpoint_s,
        compile_s=use.compile_s,
        startup_s=use.startup_s,
        between_attempts_s=use.between_s,
        queue_s=queue_s,
        other_s=max(0.0, other_s),
        paused_s=use.paused_s,
    )


def gpu_hours(run: Run | None, wall_s: float | None, training_s: float | None) -> float | None:
    """Hours times GPUs; of the training time where the log has no clock that covers it.

    None where it is not known how many GPUs there were, or the run trained on the CPU.
    """
    hardware = run.hardware if run else None
    if hardware is None or (on_cpu(run) and (hardware.device_type == "cpu" or hardware.peak_tflops is None)):
        return None
    known = [seconds for seconds in (wall_s, training_s) if seconds is not None]
    return hardware.count * max(known) / 3600 if known else None


def _tokens_per_step(run: Run | None, steps: FloatArray, tokens: FloatArray) -> int | None:
    """Tokens of an optimizer step: as the run says, else what most steps of the log added."""
    if run is not None and run.tokens_per_step:
        return run.tokens_per_step
    with np.errstate(all="ignore"):
        each = np.diff(tokens) / np.diff(steps)
    each = each[np.isfinite(each) & (each > 0)]
    return round(float(np.median(each))) if len(each) else None


def _sequences_per_step(run: Run | None, tokens: int | None) -> int | None:
    """Sequences of an optimizer step over all processes: as configured, else the tokens by the length of a sequence."""
    train = run.config.get("train") if run else None
    configured = train.get("global_batch_size") if isinstance(train, dict) else None
    if isinstance(configured, int) and not isinstance(configured, bool) and configured > 0:
        return configured
    length = run.architecture.seq_len if run and run.architecture else None
    return tokens // length if length and tokens and tokens % length == 0 else None


def _training_loss_at(steps: FloatArray, losses: FloatArray, step: int | None) -> float | None:
    """The training loss of the records up to the step of an evaluation, averaged as at the end of a run."""
    return _final(losses if step is None else losses[: int(np.searchsorted(steps, step, side="right"))])


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


def _last_whole(values: FloatArray) -> int | None:
    return None if (value := _last(values)) is None else int(value)


def _highest(values: FloatArray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else None


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
