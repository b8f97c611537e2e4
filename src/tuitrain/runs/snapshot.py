"""A run at a snapshot: what a list of runs shows, read from the two ends of the log and a few places between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuitrain.events import Alert, End, Eval, Run, Stage, Step
from tuitrain.runs.curve import Points
from tuitrain.runs.history import RunHistory
from tuitrain.runs.layout import RunDirectory, RunInfo
from tuitrain.runs.newest import KEYS, NewestFacts, read_newest
from tuitrain.runs.status import Status, derive_status


@dataclass(frozen=True)
class RunSnapshot:
    """The newest facts of a run; what the log does not say is None. problem: what of it cannot be read.

    step: the newest one, with the newest known loss, tokens and speed. evaluation: the newest on the validation split.
    broken_lines: lines that could not be read, at least; all of them where every line was looked at.
    """

    directory: RunDirectory
    info: RunInfo | None
    status: Status
    run: Run | None
    step: Step | None
    evaluation: Eval | None
    end: End | None
    last_time: float | None
    alert: Alert | None = None
    curve: Points = ()
    """The loss at a few places of the log."""
    problem: str = ""
    broken_lines: int = 0
    every_line_read: bool = True
    stage: Stage | None = None
    """What the newest attempt does, until its first step."""
    recent: tuple[tuple[float, int, float], ...] = ()
    """Time, step and tokens of the newest steps of this attempt, for its pace."""
    wall_time_s: float | None = None
    """Seconds that the run took, without the time between its attempts."""

    @property
    def name(self) -> str:
        """The run's short name, or its id."""
        if self.run is not None:
            return self.run.name
        return self.info.name if self.info else self.directory.run_id

    @property
    def created(self) -> float | None:
        """Unix seconds of its launch; of its newest record where only that is known."""
        return self.info.created if self.info is not None else self.last_time

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return self.info.tags if self.info is not None else []

    @property
    def notes(self) -> list[str]:
        """Its notes, the oldest first."""
        return self.info.notes if self.info is not None else []

    @property
    def loss(self) -> float | None:
        """The newest loss."""
        return self.step.loss if self.step is not None else None

    @property
    def val_loss(self) -> float | None:
        """The newest validation loss."""
        return self.evaluation.loss if self.evaluation is not None else None

    @property
    def params(self) -> int | None:
        """Parameters of the model."""
        return self.run.architecture.params_total if self.run is not None and self.run.architecture else None

    @property
    def progress(self) -> float | None:
        """Share of the work that is done, 0–1: of the steps, or of the token budget where there is only that."""
        if self.run is None:
            return None
        if self.run.total_steps:
            return min((self.step.step if self.step else 0) / self.run.total_steps, 1.0)
        if self.run.token_budget:
            return min((self.step.tokens or 0 if self.step else 0) / self.run.token_budget, 1.0)
        return None


def read_snapshot(directory: RunDirectory, now: float | None = None) -> RunSnapshot:
    """Look at a run: the first and the last part of its log and a few places between; a missing log is an empty one.

    What is in neither part, such as the newest evaluation, is looked for backwards through at most 8 MB.
    """
    return SnapshotReader().look(directory, now)


def with_history(seen: RunSnapshot, history: RunHistory) -> RunSnapshot:
    """The same with what the whole log says, also where its ends leave something open."""
    values: dict[str, Any] = {key: history.steps.last(key) for key in (*KEYS, "step_time_ms")} | {
        "tokens": history.tokens
    }
    step = None if history.step is None else Step(time=history.last_time or 0.0, step=history.step, **values)
    return replace(
        seen, run=history.run, step=step, evaluation=history.evaluation, broken_lines=history.broken_count,
        every_line_read=True, wall_time_s=history.wall_time_s,
    )  # fmt: skip


class SnapshotReader:
    """Looks at runs again and again, and reads no more of each than what came since it last did."""

    def __init__(self) -> None:
        self._logs: dict[RunDirectory, NewestFacts] = {}
        self._infos: dict[RunDirectory, tuple[tuple[int, ...], RunInfo | None]] = {}
        self._seen: dict[RunDirectory, RunSnapshot] = {}

    def look_at(self, runs: Sequence[RunDirectory]) -> tuple[RunSnapshot, ...]:
        """All of them, in their order; what was known of others is forgotten."""
        for gone in self._seen.keys() - set(runs):
            del self._logs[gone], self._infos[gone], self._seen[gone]
        return tuple(self.look(run) for run in runs)

    def look(self, directory: RunDirectory, now: float | None = None) -> RunSnapshot:
        """One run. As long as nothing about it changes, the very same snapshot."""
        info = self._info(directory)
        log = self._log(directory, info)
        status = derive_status(
            info, log.end, log.last_time, log.begun, now, lock=directory.lock, log=directory.metrics,
            log_bytes=log.offset, readable=not log.problem,
        )  # fmt: skip
        problem = log.problem
        if info is None and self._infos[directory][0]:
            problem = problem or "run.json cannot be read"
        seen = RunSnapshot(
            directory, info, status, log.run, log.step, log.evaluation, log.end, log.last_time, log.alert, log.curve,
            problem, log.broken, log.whole, log.stage, log.recent, log.wall_time_s,
        )  # fmt: skip
        known = self._seen.get(directory)
        if seen != known:
            self._seen[directory] = known = seen
        return known

    def _info(self, directory: RunDirectory) -> RunInfo | None:
        mark = _mark(directory.info)
        known = self._infos.get(directory)
        if known is None or known[0] != mark:
            known = self._infos[directory] = (mark, directory.read_info())
        return known[1]

    def _log(self, directory: RunDirectory, info: RunInfo | None) -> NewestFacts:
        known = self._logs.get(directory)
        if known is None or _mark(directory.metrics) != known.mark or known.problem:
            launched_at = info.log_bytes if info is not None else None
            known = self._logs[directory] = read_newest(directory.metrics, known or NewestFacts(), launched_at)
        return known


def _mark(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
