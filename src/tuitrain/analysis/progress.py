"""How far a run is, and when it will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.accounting import seconds_left
from tuitrain.analysis import units
from tuitrain.events import Run, Stage
from tuitrain.runs import RunHistory, RunSnapshot, Status
from tuitrain.text import clean


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
    done = f", {units.progress(min(stage.done, 0.999))}" if stage.done is not None else ""
    return clean(stage.stage) + done


def preparation(history: RunHistory, status: Status) -> str | None:
    """What a live run does before its first step; None after that, or where the log does not say."""
    if not status.live:
        return None
    if history.stage is not None:
        return stage_text(history.stage)
    return "starting the engine" if status is Status.STARTING and history.last_time is None else None


def activity(history: RunHistory, status: Status, *, loaded: bool, crash: str, printed: str) -> str:
    """What a run without steps does, or why it has none. crash: why it crashed; printed: the last of its console."""
    if not status.live and status is not Status.CRASHED and history.end is not None:
        reason = clean(history.end.reason or "")
        return f"no steps: {reason}" if reason else "no steps"
    if not loaded:
        return "reading the log"
    stage = preparation(history, status)
    if history.stage is not None and stage:
        return stage
    text = stage or (f"no steps: {clean(crash)}" if status is Status.CRASHED else "waiting for the first step")
    return f"{text} · console: {printed}" if printed else text


def progress_of(history: RunHistory) -> Progress:
    """Progress by steps, or by tokens for a run that only has a token budget."""
    steps = history.steps
    return _progress(
        history.run, history.step, history.tokens, history.recent_steps(),
        steps.last("step_time_ms"), steps.last("tokens_per_sec"), history.wall_time_s,
    )  # fmt: skip


def progress_of_snapshot(snapshot: RunSnapshot) -> Progress:
    """The progress of a run of which only a snapshot was read."""
    step = snapshot.step
    if step is None:
        return _progress(snapshot.run, None, None, snapshot.recent, None, None, snapshot.wall_time_s)
    return _progress(
        snapshot.run, step.step, step.tokens, snapshot.recent,
        step.step_time_ms, step.tokens_per_sec, snapshot.wall_time_s,
    )  # fmt: skip


def _progress(
    run: Run | None,
    step: int | None,
    tokens: int | None,
    recent: Sequence[tuple[float, float, float]],
    step_time_ms: float | None,
    tokens_per_sec: float | None,
    elapsed_s: float | None,
) -> Progress:
    """recent: time, step and tokens of the newest records, whose pace counts; else that of the newest step."""
    total, budget = (run.total_steps, run.token_budget) if run else (None, None)
    times = [row[0] for row in recent]
    fraction = eta = None
    if total:
        done = step or 0
        fraction = min(done / total, 1.0)
        seconds_each = step_time_ms / 1e3 if step_time_ms else None
        eta = seconds_left(total - done, times, [row[1] for row in recent], seconds_each)
    elif budget:
        done = tokens or 0
        fraction = min(done / budget, 1.0)
        seconds_each = 1 / tokens_per_sec if tokens_per_sec else None
        eta = seconds_left(budget - done, times, [row[2] for row in recent], seconds_each)
    return Progress(step, total, tokens, budget, fraction, eta, elapsed_s)
