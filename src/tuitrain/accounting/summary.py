"""The outcome of a run as a few numbers, from its records as columns: for the `end` record and for every reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tuitrain.accounting.losses import generalization_gap, perplexity
from tuitrain.accounting.peaks import on_cpu
from tuitrain.accounting.statistics import (
    Percentiles,
    energy_kwh,
    highest,
    last,
    last_whole,
    mean_of_end,
    mean_over_time,
    mean_step_seconds,
    percentiles,
    rate_over_time,
    scatter,
)
from tuitrain.accounting.step_time import (
    FloatArray,
    evaluated_steps,
    step_seconds,
    steps_covered,
    tokens_covered,
)
from tuitrain.events import Eval, Run, System, TimeOutsideSteps, TimeUse

CHINCHILLA_TOKENS = 20
"""Tokens per parameter at which compute is spent best (Hoffmann et al. 2022, arXiv 2203.15556, table 3)."""
CLOCK_ERROR = 0.01
"""By so much of it the steps may exceed the time between the first and the last record, as clocks are read."""


@dataclass(frozen=True)
class TimeSpent(TimeOutsideSteps):
    """Where the wall clock went, in seconds that add up to elapsed_s, from the launch to the newest record.

    training_s: the steps that the run kept, the waits for data (data_wait_s) among them; repeated_s: steps that a later
    attempt did again. queue_s: from the launch to the first record, None where the launch is unknown; other_s: the
    rest, such as text samples, and what is read and written beside the steps.
    """

    elapsed_s: float = 0.0
    training_s: float = 0.0
    data_wait_s: float | None = None
    repeated_s: float = 0.0
    queue_s: float | None = None
    other_s: float = 0.0


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
    exceed steps_logged, the number of records. extrapolated_steps of them have the time of a record of another step:
    none in a log of the engine, whose records are means. logged_time_s counts the time of each record once. The times
    of evaluated_steps records include evaluations, as other tools have them (see `step_time.evaluated_steps`): they
    count as the usual step, and not in the means.

    wall_time_s is the time of the attempts, of each from its `run` record to its last; time_spent divides all the time.
    peak_memory_gb is of one device, the highest. step_time_scatter is half the range of the middle 68 % of the step
    times, relative to their median: one standard deviation where they are normal.

    gpu_hours is the number of GPUs times wall_time_s, since a GPU is taken while a run starts, evaluates and saves
    too; cost_usd is theirs. energy_kwh is of the GPUs whose power was logged: so many, on one machine. Of a run on
    several machines the others are not in it.
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
    extrapolated_steps: int = 0
    evaluated_steps: int = 0
    logged_time_s: float | None = None
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
    energy_gpus: int | None = None
    energy_host: str | None = None
    cost_usd: float | None = None

    @property
    def has_diverged(self) -> bool:
        """Whether the newest loss is nan or infinite."""
        return self.last_loss is not None and not math.isfinite(self.last_loss)


@dataclass(frozen=True)
class Records:
    """The records of a run that a summary is made of.

    column: the values of a key of the `step` records, absent ones as nan; present: which of them are not absent.
    validation: of the evaluations; durations: theirs in ms, by their steps. wall_s: see Summary. power: Unix
    seconds and watts of all GPUs. machine: the newest reading. time_use: where it is wanted. superseded_ms: the
    step times of steps that a later attempt did again, in any order. launched: Unix seconds.
    """

    run: Run | None
    attempts: int
    column: Callable[[str], FloatArray]
    present: Callable[[str], NDArray[np.bool_]]
    validation: SplitOutcome
    durations: Mapping[int, float | None]
    wall_s: float | None
    power: tuple[FloatArray, FloatArray]
    machine: System | None = None
    time_use: TimeUse | None = None
    superseded_ms: Sequence[float] | FloatArray = ()
    launched: float | None = None


def summary_of(records: Records, usd_per_gpu_hour: float | None = None) -> Summary:
    """The summary of these records."""
    run, column, validation = records.run, records.column, records.validation
    step_numbers, token_counts, rates, step_ms = map(column, ("step", "tokens", "tokens_per_sec", "step_time_ms"))
    evaluated = [] if _has_means(run) else evaluated_steps(step_numbers, step_ms, records.durations)
    usual_ms, weights = step_ms.copy(), np.ones(len(step_ms))
    for each in evaluated:
        usual_ms[each.rows], weights[each.rows] = each.usual_ms, 0.0
    seconds = step_seconds(step_numbers, usual_ms, token_counts, rates)
    weights *= seconds
    losses, accuracies = (column(key)[records.present(key)] for key in ("loss", "accuracy"))
    tokens = last(token_counts)
    budget = run.token_budget if run else None
    per_token = run.flops_per_token if run else None
    params = run.architecture.params_total if run and run.architecture else None
    mean_rate = rate_over_time(tokens_covered(step_numbers, token_counts), seconds, rates)
    mean_step = mean_step_seconds(step_numbers, seconds)
    training_s = float(np.nansum(seconds)) if np.isfinite(seconds).any() else None
    hours = gpu_hours(run, records.wall_s, training_s) if len(step_numbers) else None
    per_step = _tokens_per_step(run, step_numbers, token_counts)
    covered = round(float(steps_covered(step_numbers).sum()))
    energy = energy_kwh(*records.power)
    powered = [gpu for gpu in records.machine.gpus if gpu.power_w is not None] if records.machine and energy else []
    loss_then = _training_loss_at(step_numbers[records.present("loss")], losses, validation.final_step)
    return Summary(
        name=run.name if run else None,
        run_id=run.run_id if run else None,
        attempts=records.attempts,
        step=last_whole(step_numbers),
        total_steps=run.total_steps if run else None,
        total_tokens=last_whole(token_counts),
        token_budget=budget,
        budget_fraction=tokens / budget if tokens is not None and budget else None,
        final_loss=mean_of_end(losses),
        last_loss=float(losses[-1]) if len(losses) else None,
        final_val_loss=validation.final,
        final_val_step=validation.final_step,
        best_val_loss=validation.best,
        best_val_step=validation.best_step,
        final_perplexity=perplexity(validation.final),
        final_bits_per_byte=validation.final_bits_per_byte,
        best_bits_per_byte=validation.best_bits_per_byte,
        generalization_gap=generalization_gap(loss_then, validation.final),
        final_accuracy=mean_of_end(accuracies),
        mean_mfu=mean_over_time(column("mfu"), weights),
        mean_mfu_causal=mean_over_time(column("mfu_causal"), weights),
        mean_tokens_per_sec=mean_rate,
        mean_step_time_ms=None if mean_step is None else 1000 * mean_step,
        step_time_scatter=scatter(step_ms),
        mean_tflops=mean_over_time(column("tflops"), weights),
        mfu_percentiles=percentiles(column("mfu")),
        tokens_per_sec_percentiles=percentiles(rates),
        step_time_ms_percentiles=percentiles(step_ms),
        tokens_per_hour=None if mean_rate is None else 3600 * mean_rate,
        peak_memory_gb=highest(column("mem_peak_gb")),
        steps_logged=len(step_numbers),
        steps_covered=covered,
        extrapolated_steps=0 if _has_means(run) else max(0, covered - len(step_numbers)),
        evaluated_steps=sum(len(each.rows) for each in evaluated),
        logged_time_s=float(np.nansum(step_ms)) / 1000 if np.isfinite(step_ms).any() else None,
        training_time_s=training_s,
        wall_time_s=records.wall_s,
        time_spent=_time_spent(records, step_numbers, training_s, float(np.nansum(step_ms - usual_ms)) / 1000),
        total_flops=tokens * per_token if tokens is not None and per_token is not None else None,
        params_total=params,
        tokens_per_parameter=tokens / params if tokens is not None and params else None,
        effective_batch_sequences=_sequences_per_step(run, per_step),
        effective_batch_tokens=per_step,
        gpu_hours=hours,
        energy_kwh=energy,
        energy_gpus=len(powered) or None,
        energy_host=(records.machine.host or None) if records.machine and powered else None,
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


def _time_spent(records: Records, steps: FloatArray, training_s: float | None, in_steps_s: float) -> TimeSpent | None:
    """None where the log has no clock that covers the steps, as one whose lines have no times.

    in_steps_s: what evaluations took within step times.
    """
    use = records.time_use.so_far() if records.time_use is not None else None
    if use is None or use.first is None or use.last is None or training_s is None:
        return None
    gaps = np.diff(steps)
    repeated_s = _exact_sum(records.superseded_ms) / 1000 * (float(np.median(gaps)) if len(gaps) else 1.0)
    launched = records.launched if records.launched is not None and records.launched <= use.first else None
    queue_s = use.first - launched if launched is not None else None
    elapsed_s = use.last - (use.first if launched is None else launched)
    outside = replace(use.outside, evaluation_s=use.outside.evaluation_s + in_steps_s)
    other_s = elapsed_s - (training_s + repeated_s + (queue_s or 0.0) + sum(vars(outside).values()))
    if not other_s >= -CLOCK_ERROR * elapsed_s - 1.0:
        return None
    waits = records.column("data_time_ms") / 1000 * steps_covered(steps)
    return TimeSpent(
        **vars(outside),
        elapsed_s=elapsed_s,
        training_s=training_s,
        data_wait_s=float(np.nansum(waits)) if np.isfinite(waits).any() else None,
        repeated_s=repeated_s,
        queue_s=queue_s,
        other_s=max(0.0, other_s),
    )


def _exact_sum(values: Iterable[float]) -> float:
    """The sum without NaN, which does not depend on the order; NaN past the range of a float."""
    try:
        return math.fsum(each for each in values if not math.isnan(each))
    except (OverflowError, ValueError):  # ValueError: infinities of both signs
        return math.nan


def gpu_hours(run: Run | None, wall_s: float | None, training_s: float | None) -> float | None:
    """Hours times GPUs; of the training time where the log has no clock that covers it.

    None where it is not known how many GPUs there were, or the run trained on the CPU.
    """
    hardware = run.hardware if run else None
    if hardware is None or (on_cpu(run) and (hardware.device_type == "cpu" or hardware.peak_tflops is None)):
        return None
    known = [seconds for seconds in (wall_s, training_s) if seconds is not None]
    return hardware.count * max(known) / 3600 if known else None


def _has_means(run: Run | None) -> bool:
    """Whether the records hold means over the steps since the one before, as those of the engine do."""
    telemetry = run.config.get("telemetry") if run else None
    return isinstance(telemetry, dict) and "log_interval" in telemetry


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
    return mean_of_end(losses if step is None else losses[: int(np.searchsorted(steps, step, side="right"))])
