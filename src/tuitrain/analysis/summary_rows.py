"""A summary as rows of a name and a text: the outcome of a run, and where its time went."""

from __future__ import annotations

from tuitrain.accounting.statistics import Percentiles
from tuitrain.accounting.summary import CHINCHILLA_TOKENS, Summary, TimeSpent
from tuitrain.analysis import units
from tuitrain.analysis.description import Rows
from tuitrain.analysis.generalization import generalization_verdict
from tuitrain.analysis.metrics import SUMMARY_METRICS, Metric, metric

_PERCENTILES = {
    "mean_mfu": ("mfu", "mfu_percentiles"),
    "mean_tokens_per_sec": ("tokens_per_sec", "tokens_per_sec_percentiles"),
    "mean_step_time_ms": ("step_time_ms", "step_time_ms_percentiles"),
}
_ELSEWHERE = frozenset({"effective_batch_tokens", "training_time_s"})
"""Keys that stand in the row of another, or among the times."""
TIMES = (
    ("training", "training_s"), ("of it waiting for data", "data_wait_s"), ("repeated steps", "repeated_s"),
    ("evaluations", "evaluation_s"), ("checkpoints", "checkpoint_s"), ("compilation", "compile_s"),
    ("start-up", "startup_s"), ("paused", "paused_s"), ("between attempts", "between_attempts_s"),
    ("launch and queue", "queue_s"), ("the rest", "other_s"), ("wall clock", "elapsed_s"),
)  # fmt: skip
"""Fields of `TimeSpent` by what they are called; the last is the sum of the others, but of the waits for data."""
_BESIDE_TRAINING = TIMES[2:-1]
_LEAST_S = 0.05
"""A shorter time has no row."""


def summary_rows(summary: Summary) -> Rows:
    """The known values of a summary, means with their 5th, 50th and 95th percentiles, and how well it generalises."""
    rows: Rows = []
    for each in SUMMARY_METRICS:
        value = getattr(summary, each.key)
        if value is None or each.key in _ELSEWHERE:
            continue
        rows.append((each.title, _text(summary, each, value)))
        if each.key == "generalization_gap" and (sentence := generalization_verdict(summary)):
            rows.append(("", sentence))
    return rows


def _text(summary: Summary, each: Metric, value: float) -> str:
    text = each.text(value)
    match each.key:
        case "final_val_loss" if summary.final_val_step is not None:
            return f"{text} at step {summary.final_val_step:,}"
        case "best_val_loss" if summary.best_val_step is not None:
            return f"{text} at step {summary.best_val_step:,}"
        case "total_tokens" if summary.token_budget:
            return f"{text} of {units.count(summary.token_budget)}, {units.progress(summary.budget_fraction or 0.0)}"
        case "tokens_per_parameter":
            return f"{text} (compute is spent best at {CHINCHILLA_TOKENS}, by Chinchilla)"
        case "effective_batch_sequences" if summary.effective_batch_tokens is not None:
            return f"{text}, {summary.effective_batch_tokens:,} tokens"
        case "energy_kwh" if summary.energy_gpus:
            gpus = "1 GPU" if summary.energy_gpus == 1 else f"{summary.energy_gpus:,} GPUs"
            return f"{text}, of {gpus}" + (f" on {summary.energy_host}" if summary.energy_host else "")
        case key if key in _PERCENTILES:
            of, name = _PERCENTILES[key]
            percentiles: Percentiles | None = getattr(summary, name)
            if percentiles is not None:
                return f"{text}, percentiles {_percentiles(metric(of), percentiles)}"
    return text


def _percentiles(of: Metric, values: Percentiles) -> str:
    """`5: 46.1 %, 50: 47.2 %, 95: 47.9 %`."""
    return ", ".join(f"{at}: {of.text(value)}" for at, value in ((5, values.p5), (50, values.p50), (95, values.p95)))


def time_rows(summary: Summary) -> Rows:
    """Training time and what it is made from, then where the rest of the wall clock went; empty where it is unknown."""
    spent, rows = summary.time_spent, Rows()
    if summary.training_time_s is not None:
        rows.append(("training time", f"{_share(summary.training_time_s, spent)}{training_note(summary)}"))
    if spent is None:
        wall_s = summary.wall_time_s
        # A log whose lines have no times has the moment of its writing for all of them.
        is_known = wall_s is not None and wall_s >= (summary.training_time_s or 0.0) and wall_s > 0
        return [*rows, ("wall clock", units.duration(wall_s))] if is_known else rows
    if spent.data_wait_s is not None:
        rows.append(("  of it waiting for data", _share(spent.data_wait_s, spent)))
    known = ((title, getattr(spent, key)) for title, key in _BESIDE_TRAINING)
    rows += [(title, _share(seconds, spent)) for title, seconds in known if seconds is not None and seconds >= _LEAST_S]
    if spent.queue_s and summary.wall_time_s is not None:
        rows.append(("in all from the launch", units.duration(spent.elapsed_s)))
        return [*rows, ("wall clock of the run", units.duration(summary.wall_time_s))]
    return [*rows, ("wall clock", units.duration(spent.elapsed_s))]


def _share(seconds: float, spent: TimeSpent | None) -> str:
    text = units.duration(seconds)
    return f"{text}, {units.percent(seconds / spent.elapsed_s)}" if spent is not None and spent.elapsed_s > 0 else text


def training_note(summary: Summary) -> str:
    """Which steps the training time is of, where the log has not each of them: ` (199 of 2,000 steps logged, …)`."""
    logged, covered, step, total = (
        summary.steps_logged, summary.steps_covered, summary.step or 0, summary.total_steps,
    )  # fmt: skip
    notes = []
    if summary.extrapolated_steps:
        whole = max(total or 0, step)
        alone = "" if summary.logged_time_s is None else f", {units.duration(summary.logged_time_s)} of it measured"
        notes.append(
            f"{logged:,} of {whole:,} steps logged{alone}; each of the other {summary.extrapolated_steps:,} counts as "
            "the record after it"
        )
    elif covered < step:
        notes.append(f"of the {covered:,} steps that are logged, up to step {step:,}")
    elif total and covered < total:
        notes.append(f"{covered:,} of {total:,} steps")
    if summary.evaluated_steps:
        notes.append(f"{summary.evaluated_steps:,} records that include an evaluation count as the usual step")
    return f" ({'; '.join(notes)})" if notes else ""
