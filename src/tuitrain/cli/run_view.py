"""A run as JSON, as one line, and as titled rows: what `ls`, `status` and `show` print."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import msgspec

from tuitrain.accounting.summary import gpu_hours
from tuitrain.analysis import units
from tuitrain.analysis.description import changes_from_preset, unread_lines
from tuitrain.analysis.generalization import generalization_verdict
from tuitrain.analysis.job_text import job_text
from tuitrain.analysis.metrics import METRICS, metric, metric_of
from tuitrain.analysis.own_metrics import newest_own, own_metrics
from tuitrain.analysis.progress import progress_of_snapshot, stage_text
from tuitrain.analysis.report import describe
from tuitrain.analysis.summary import Summary, split_outcomes, summarize
from tuitrain.analysis.summary_rows import summary_rows, time_rows
from tuitrain.events import Alert
from tuitrain.runs import RunDirectory, RunHistory, RunSnapshot, Status
from tuitrain.text import clean

MAX_UNREAD_SHOWN = 5
MAX_LINES_SHOWN = 10
MAX_ALERTS_SHOWN = 10
MAX_OWN_SHOWN = 30
Rows = list[tuple[str, str]]


def run_json(snapshot: RunSnapshot, usd_per_gpu_hour: float | None = None) -> dict[str, Any]:
    """A run as plain values: what `ls --json` and `status --json` print. Unknown is null."""
    step, progress, params = snapshot.step, progress_of_snapshot(snapshot), snapshot.params
    job = snapshot.job
    hours = gpu_hours(snapshot.run, progress.elapsed_s, None)
    return {
        "run_id": snapshot.directory.run_id,
        "path": snapshot.directory.remote or str(snapshot.directory.path.absolute()),
        "name": snapshot.name,
        "status": str(snapshot.status),
        "step": progress.step,
        "total_steps": progress.total_steps,
        "tokens": progress.tokens,
        "loss": snapshot.loss,
        "val_loss": snapshot.val_loss,
        "bits_per_byte": snapshot.evaluation.bits_per_byte if snapshot.evaluation is not None else None,
        "mfu": step.mfu if step else None,
        "tokens_per_sec": step.tokens_per_sec if step else None,
        "eta_s": progress.eta_s if snapshot.status.live and snapshot.status is not Status.PAUSED else None,
        "wall_time_s": progress.elapsed_s,
        "tokens_per_parameter": progress.tokens / params if progress.tokens is not None and params else None,
        "gpu_hours": hours,
        "cost_usd": hours * usd_per_gpu_hour if hours is not None and usd_per_gpu_hour is not None else None,
        "broken_lines": snapshot.broken_lines,
        "every_line_read": snapshot.every_line_read,
        "problem": snapshot.problem or None,
        "reason": snapshot.reason,
        "job_id": snapshot.info.job_id if snapshot.info else None,
        "job_state": job.state if job is not None else None,
        "job_reason": job.reason if job is not None else None,
        "job_start": job.start if job is not None else None,
        "created": snapshot.info.created if snapshot.info else None,
        "last_time": snapshot.last_time,
        "tags": snapshot.tags,
        "group": snapshot.info.group if snapshot.info else None,
        "queue_position": snapshot.queue_position,
        "notes": snapshot.notes,
    }


def summary_of_run(snapshot: RunSnapshot, history: RunHistory, usd_per_gpu_hour: float | None) -> Summary:
    """The summary of a run, with the time from its launch on."""
    launched = snapshot.info.created if snapshot.info is not None else None
    return summarize(history, usd_per_gpu_hour=usd_per_gpu_hour, launched=launched)


def full_json(snapshot: RunSnapshot, history: RunHistory, usd_per_gpu_hour: float | None = None) -> dict[str, Any]:
    """The details of a run as plain values: what `show --json` prints. Unknown is null."""
    newest = {key: history.steps.last(key) for key in history.steps.keys}
    newest |= {name: newest_own(history, name) for name in own_metrics([history])}
    summary = summary_of_run(snapshot, history, usd_per_gpu_hour)
    return run_json(snapshot, usd_per_gpu_hour) | {
        "run": msgspec.to_builtins(history.run),
        "newest": newest | {"step": history.step, "tokens": history.tokens},
        "summary": asdict(summary),
        "logged_summary": history.logged_summary,
        "generalization": generalization_verdict(summary),
        "evaluations": {split: asdict(outcome) for split, outcome in split_outcomes(history).items()},
        "config_difference": _preset_difference(history),
        "alerts": [alert_json(alert) for alert in all_alerts(snapshot, history)],
    }


def alert_json(alert: Alert) -> dict[str, Any]:
    """An alert as plain values."""
    return {key: getattr(alert, key) for key in ("time", "level", "code", "message", "step")}


def all_alerts(snapshot: RunSnapshot, history: RunHistory) -> list[Alert]:
    """Those of the log and of the rules, and how the run stands at this moment."""
    return [*history.alerts, *history.standing_alerts(snapshot.status, time.time(), snapshot.crash)]


def status_line(snapshot: RunSnapshot) -> str:
    """Status, id, step, loss, validation loss, why it ended, the time it takes, and the age of its newest record."""
    parts = [str(snapshot.status), snapshot.directory.run_id]
    if snapshot.queue_position is not None:
        parts.append(f"{snapshot.queue_position} in the queue")
    if snapshot.stage is not None and snapshot.status.live:
        parts.append(stage_text(snapshot.stage))
    if snapshot.step is not None:
        total = f" of {snapshot.run.total_steps:,}" if snapshot.run and snapshot.run.total_steps else ""
        parts += [f"step {snapshot.step.step:,}{total}", f"loss {metric('loss').text(snapshot.loss)}"]
    if snapshot.evaluation is not None:
        parts.append(f"val {metric('val_loss').text(snapshot.evaluation.loss)}")
    if snapshot.reason:
        parts.append(snapshot.reason)
    if snapshot.job is not None and snapshot.status.live:
        parts.append(job_text(snapshot.job))
    progress = progress_of_snapshot(snapshot)
    if snapshot.status.live and snapshot.status not in (Status.PAUSED, Status.QUEUED):
        parts.append(f"ETA {units.duration(progress.eta_s)}")
    elif not snapshot.status.live and progress.elapsed_s is not None:
        parts.append(f"took {units.duration(progress.elapsed_s)}")
    if snapshot.last_time is not None:
        age = units.age(time.time() - snapshot.last_time)
        parts.append("now" if age == "now" else f"{age} ago")
    parts += [snapshot.problem, unread_lines(snapshot.broken_lines, snapshot.every_line_read)]
    return clean("  ".join(filter(None, parts)))


def sections(snapshot: RunSnapshot, history: RunHistory, usd_per_gpu_hour: float | None = None) -> dict[str, Rows]:
    """What `show` prints about a run, by title; a section may be empty."""
    summary = summary_of_run(snapshot, history, usd_per_gpu_hour)
    return {
        "log": _source_rows(snapshot.directory),
        "Slurm": _job_rows(snapshot),
        "newest values": _newest_values(history),
        "summary": summary_rows(summary),
        "time": time_rows(summary),
        "evaluations": _evaluations(history),
        "alerts": _alerts(snapshot, history),
        "differs from its preset": [
            (key, f"{units.config_value(before)} → {units.config_value(after)}")
            for key, (before, after) in _preset_difference(history).items()
        ],
        "hyperparameters": _hyperparameters(snapshot.directory, history),
        **dict(describe(history, snapshot.info).report),
        "halving": _rungs(snapshot),
        "end": _end(snapshot),
        "lines of the log that cannot be read": _unread_lines(history),
    }


def _alerts(snapshot: RunSnapshot, history: RunHistory) -> Rows:
    """The newest alerts, but those that only say that the run has ended."""
    alerts = [each for each in all_alerts(snapshot, history) if each.level != "info"]
    texts = [f"{'' if each.step is None else f'step {each.step:,}: '}{each.message}" for each in alerts]
    rows = [(each.level, clean(text)) for each, text in zip(alerts, texts, strict=True)][-MAX_ALERTS_SHOWN:]
    more = len(alerts) - len(rows)
    return [*([(f"{more:,} more", "before these; `tuitrain check` lists them")] if more else []), *rows]


def _rungs(snapshot: RunSnapshot) -> Rows:
    """How a run of a halved sweep stood at its rungs."""
    halving = snapshot.info.halving if snapshot.info is not None else None
    if halving is None:
        return []
    rows = []
    for each in halving.results:
        loss = "not finite" if each.loss is None else metric(halving.metric).text(each.loss)
        ahead = "goes on" if each.goes_on else "is stopped"
        rows.append((f"step {each.step:,}", f"{halving.metric} {loss}, rank {each.rank} of {each.of}: {ahead}"))
    rows += [(f"step {step:,}", "not reached") for step in halving.rungs[len(halving.results) :]]
    return rows


def _end(snapshot: RunSnapshot) -> Rows:
    """How an external program ended or a run crashed, and the last lines that it printed unless it completed."""
    end, info = snapshot.end, snapshot.info
    if snapshot.status is Status.CRASHED:
        printed = info.exit.last_lines[-MAX_LINES_SHOWN:] if info is not None and info.exit is not None else []
        return [
            ("reason", snapshot.reason or ""),
            *(("" if at else "console", text) for at, text in enumerate(printed)),
        ]
    if end is None or "exit_code" not in end.summary:
        return []
    rows = [("reason", end.reason or "")]
    lines = end.summary.get("last_lines") if end.status != "completed" else None
    return [*rows, *(("" if at else "console", str(text)) for at, text in enumerate(lines or ()))]


def _job_rows(snapshot: RunSnapshot) -> Rows:
    """The job of a run that is not over; `start` names that of one which is."""
    if snapshot.job is None:
        return []
    return [("status", str(snapshot.status)), ("queue", job_text(snapshot.job))]


def _source_rows(run: RunDirectory) -> Rows:
    """Format and path of the log of another tool; empty for one of ours."""
    return [] if run.source is None else [("format", run.source.format), ("path", run.remote or str(run.source.path))]


def _hyperparameters(run: RunDirectory, history: RunHistory) -> Rows:
    """What the log says about the configuration; of a run of the engine `config.toml` says it."""
    if history.run is None or (run.source is None and run.config.exists()):
        return []
    # Imported here: `ls` does without.
    from tuitrain.config import flatten

    return [(key, units.config_value(value)) for key, value in flatten(history.run.config).items()]


def _newest_values(history: RunHistory) -> Rows:
    rows = [("step", f"{history.step:,}")] if history.step is not None else []
    for each in METRICS:
        table = history.evals if each.source == "eval" else history.steps
        if (value := table.last(each.column)) is not None:
            rows.append((each.title, each.text(value)))
    own = [(metric_of(name).title, metric_of(name).text(newest_own(history, name))) for name in own_metrics([history])]
    more = len(own) - MAX_OWN_SHOWN
    return [*rows, *own[:MAX_OWN_SHOWN], *([(f"and {more:,} more", "--json has them")] if more > 0 else [])]


def _evaluations(history: RunHistory) -> Rows:
    """Newest and best loss of each split, where there are others than `val`."""

    def text(loss: float | None, step: int | None) -> str:
        return units.UNKNOWN if loss is None or step is None else f"{metric('val_loss').text(loss)} at step {step:,}"

    if history.splits in ([], ["val"]):
        return []
    return [
        (split, f"{text(each.final, each.final_step)}, best {text(each.best, each.best_step)}")
        for split, each in split_outcomes(history).items()
    ]


def _unread_lines(history: RunHistory) -> Rows:
    """The last lines that are not records, and why."""
    shown = history.broken[-MAX_UNREAD_SHOWN:]
    rows = [(f"line {line.number:,}", line.reason) for line in shown]
    more = history.broken_count - len(shown)
    return [*rows, (f"{more:,} more", "before these")] if more else rows


def _preset_difference(history: RunHistory) -> dict[str, tuple[Any, Any]]:
    """Keys that were changed from the preset a run started from: the preset's value and the run's."""
    return changes_from_preset(history.config) or {}
