"""How far a run is, and when it will be done."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.analysis import units
from tuitrain.analysis.summary import wall_time_s
from tuitrain.events import Stage
from tuitrain.events.text import clean
from tuitrain.runs import RunHistory, Status

RECENT_STEPS = 200
"""Records over which the present pace is taken: long enough to hold evaluations, short enough to notice a change."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands; unknown is None. fraction lies in 0–1; durations are wall-clock seconds."""

    step: int | None
    total_steps: int | None
    tokens: int | None
    token_budget: int | None
    fraction: float | None
    eta_s: float | None
    elapsed_s: float | None


def stage_text(stage: Stage) -> str:
    """What a run does before its first step, and how much of it is done: `tokenizing corpus.txt, 43 %`."""
    done = f", {units.percent(min(max(stage.done, 0.0), 0.999))}" if stage.done is not None else ""
    return clean(stage.stage) + done


def preparation(history: RunHistory, status: Status) -> str | None:
    """What a live run does on the way to its first step; None where it has made one, or does not tell."""
    if not status.live:
        return None
    if history.stage is not None:
        return stage_text(history.stage)
    return "starting the engine" if status is Status.STARTING and history.last_time is None else None


def progress_of(history: RunHistory) -> Progress:
    """Progress by steps, or by tokens for a run that only has a token budget."""
    run = history.run
    total = run.total_steps if run else None
    budget = run.token_budget if run else None
    step, tokens = history.step, history.tokens
    fraction: float | None = None
    eta: float | None = None
    if total:
        done = step or 0
        fraction = min(done / total, 1.0)
        eta = _remaining(history, "step", total - done)
    elif budget:
        done = tokens or 0
        fraction = min(done / budget, 1.0)
        eta = _remaining(history, "tokens", budget - done)
    return Progress(step, total, tokens, budget, fraction, eta, wall_time_s(history))


def _remaining(history: RunHistory, key: str, missing: float) -> float | None:
    """Seconds until `missing` more units are done, at the wall-clock pace of the newest attempt's last records.

    The clock of the records counts, not step_time_ms, since evaluations and checkpoints take their time too.
    """
    if missing <= 0:
        return 0.0
    times, done = history.steps.series("time", "time")[1], history.steps[key]
    recent = min(RECENT_STEPS, len(times))
    if history.run is not None:
        first = history.attempt_steps[-1]
        recent = 0 if first is None else min(recent, int((history.steps["step"] >= first).sum()))
    if recent >= 2:
        seconds, units = times[-1] - times[-recent], done[-1] - done[-recent]
        if seconds > 0 and units > 0:
            return float(missing * seconds / units)
    if key == "step":
        step_ms = history.steps.last("step_time_ms")
        return missing * step_ms / 1000 if step_ms and step_ms > 0 else None
    rate = history.steps.last("tokens_per_sec")
    return missing / rate if rate and rate > 0 else None
