"""How far a run is, and when it will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.accounting import RECENT_RECORDS, seconds_left
from tuitrain.analysis import units
from tuitrain.events import Stage
from tuitrain.events.text import clean
from tuitrain.runs import RunHistory, RunSnapshot, Status


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
    return Progress(step, total, tokens, budget, fraction, eta, history.wall_time_s)


def progress_seen(seen: RunSnapshot) -> Progress:
    """The same of a run that was only glanced at."""
    run, step = seen.run, seen.step
    total, budget = (run.total_steps, run.token_budget) if run else (None, None)
    eta: float | None = None
    times = [time for time, _, _ in seen.recent]
    if total:
        eta = _seconds_left("step", total - (step.step if step else 0), times, [each for _, each, _ in seen.recent],
                            step.step_time_ms if step else None)  # fmt: skip
    elif budget:
        eta = _seconds_left("tokens", budget - (step.tokens or 0 if step else 0), times,
                            [each for _, _, each in seen.recent], step.tokens_per_sec if step else None)  # fmt: skip
    return Progress(
        step.step if step else None, total, step.tokens if step else None, budget, seen.progress, eta, seen.wall_time_s
    )


def _remaining(history: RunHistory, key: str, missing: float) -> float | None:
    """Seconds until `missing` more steps or tokens are done, at the pace of the newest attempt's last records."""
    steps = history.steps
    recent = min(RECENT_RECORDS, len(steps))
    if history.run is not None:
        first = history.attempt_steps[-1]
        recent = 0 if first is None else min(recent, int((steps["step"] >= first).sum()))
    rows = slice(len(steps) - recent, None)
    value = steps.last("step_time_ms" if key == "step" else "tokens_per_sec")
    return _seconds_left(key, missing, steps["time"][rows].tolist(), steps[key][rows].tolist(), value)


def _seconds_left(
    key: str, missing: float, times: Sequence[float], done: Sequence[float], newest: float | None
) -> float | None:
    """newest: of steps the newest step's milliseconds, of tokens how many a second."""
    each = None if not newest else newest / 1e3 if key == "step" else 1 / newest
    return seconds_left(missing, times, done, each)
