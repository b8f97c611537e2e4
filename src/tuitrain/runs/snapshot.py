"""A run at a snapshot: what a list of runs shows, read from the two ends of the log and a few parts between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitrain.events import Alert, End, Eval, Run, Stage, Step
from tuitrain.events.layout import RunMetadata
from tuitrain.runs.crash import crash_reason
from tuitrain.runs.curve import Points
from tuitrain.runs.history import RunHistory
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.loading import drain, load_history
from tuitrain.runs.log_ends import KEYS, LogEnds, read_log_ends, read_on
from tuitrain.runs.queue_order import QueueOrder
from tuitrain.runs.slurm import PATIENCE_S, Job, job_of_run
from tuitrain.runs.status import Status, derive_status, status_of_source

if TYPE_CHECKING:
    from tuitrain.readers.model import Reader
    from tuitrain.runs.foreign import SourceFollower
    from tuitrain.runs.kept_snapshots import KeptSnapshot


RESTARTS_ENDED = "restarts_ended"
"""The code of the alert that says why a run with `--retries` crashed and is not restarted."""


@dataclass(frozen=True)
class RunSnapshot:
    """The newest values of a run; unknown is None. problem: what of it cannot be read.

    step: the newest one, with the newest loss, tokens and speed. evaluation: the newest on the validation split.
    broken_lines: lines that could not be read, at least; all of them where every line was looked at.
    """

    directory: RunDirectory
    info: RunMetadata | None
    status: Status
    run: Run | None
    step: Step | None
    evaluation: Eval | None
    end: End | None
    last_time: float | None
    alert: Alert | None = None
    curve: Points = ()
    """The loss at a few parts of the log."""
    problem: str = ""
    broken_lines: int = 0
    every_line_read: bool = True
    stage: Stage | None = None
    """What the newest attempt does, until its first step."""
    recent: tuple[tuple[float, float, float], ...] = ()
    """Time, step and tokens of the newest steps of this attempt, for its pace."""
    wall_time_s: float | None = None
    """Seconds that the run took, without the time between its attempts."""
    queue_position: int | None = None
    """Of a queued run: which of those that wait it is, the first being 1."""
    job: Job | None = None
    """Its job, while Slurm may start it or go on with it."""

    @property
    def name(self) -> str:
        """The run's short name, or its id."""
        if self.run is not None:
            return self.run.name
        if self.directory.source is not None:
            return self.directory.source.name
        return self.info.name if self.info else self.directory.run_id

    @property
    def reason(self) -> str | None:
        """Why it ended: in its end record, or of a crash what is known otherwise; None while it lives.

        After the last of its restarts also why there is no other.
        """
        if self.status.live:
            return None
        launched = self.info.started if self.info is not None else None
        if (
            self.status in (Status.FAILED, Status.CRASHED)
            and self.alert is not None
            and self.alert.code == RESTARTS_ENDED
            and self.alert.time >= (launched or 0.0)
        ):
            return self.alert.message.rstrip(".")
        return self.crash or (self.end.reason if self.end is not None else None)

    @property
    def crash(self) -> str:
        """Why it crashed; empty where it did not."""
        return crash_reason(self.info, self.job) if self.status is Status.CRASHED else ""

    @property
    def created(self) -> float | None:
        """Unix seconds of its launch; of its newest record without metadata."""
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
    """Read the first and the last part of a log and a few parts between; a missing log is an empty one.

    What is in neither part, such as the newest evaluation, is searched for backwards through at most 8 MB.
    """
    return SnapshotReader(PATIENCE_S).read(directory, now)


def read_whole(
    directory: RunDirectory, reader: Reader | None = None, history: RunHistory | None = None
) -> tuple[RunSnapshot, RunHistory]:
    """A snapshot of a run and its whole log. Raises FileNotFoundError when there is none.

    reader: of a log of another tool, which is read once. history: an empty one to read the log into.
    """
    if directory.source is None:
        snapshot = read_snapshot(directory)
        history = load_history(directory, history)
        return with_history(snapshot, history), history
    # The readers of all formats are imported only for a log of another tool.
    from tuitrain.runs.foreign import SourceFollower

    follower = SourceFollower(directory, reader)
    history = drain(follower, history or RunHistory())
    ending = follower.records.reader.info.ending
    status = status_of_source(ending, history.end, history.last_time, history.has_begun)
    snapshot = RunSnapshot(
        directory, directory.read_metadata(), status, None, None, None, history.end, history.last_time,
        history.alerts[-1] if history.alerts else None, stage=history.stage, recent=history.recent_steps(),
    )  # fmt: skip
    return with_history(snapshot, history), history


def with_history(snapshot: RunSnapshot, history: RunHistory) -> RunSnapshot:
    """The same with what the whole log says, also where its ends leave something open."""
    return replace(
        snapshot, run=history.run, step=_newest_step(history), evaluation=history.evaluation,
        broken_lines=history.broken_count, every_line_read=True, wall_time_s=history.wall_time_s,
    )  # fmt: skip


def _newest_step(history: RunHistory) -> Step | None:
    """The newest step, with the newest value of each key where its own record has none."""
    if history.step is None:
        return None
    values: dict[str, Any] = {key: history.steps.last(key) for key in (*KEYS, "step_time_ms")}
    values["tokens"] = history.tokens
    return Step(time=history.steps.last("time") or 0.0, step=history.step, **values)


class SnapshotReader:
    """Reads runs again and again, and of each only what was written since the last time."""

    def __init__(self, job_wait_s: float = 0.0) -> None:
        """job_wait_s: how long to wait for Slurm where it was not asked yet."""
        self._job_wait_s = job_wait_s
        self._logs: dict[RunDirectory, LogEnds] = {}
        self._followers: dict[RunDirectory, SourceFollower] = {}
        self._kept: dict[RunDirectory, KeptSnapshot] = {}
        self._infos: dict[RunDirectory, tuple[tuple[int, ...], RunMetadata | None]] = {}
        self._snapshots: dict[RunDirectory, RunSnapshot] = {}
        self._queues = QueueOrder()

    def read_all(self, runs: Sequence[RunDirectory]) -> tuple[RunSnapshot, ...]:
        """A snapshot of each, in their order; other runs are forgotten."""
        for gone in self._snapshots.keys() - set(runs):
            del self._snapshots[gone]
            for each in (self._logs, self._infos, self._followers, self._kept):
                each.pop(gone, None)
        return tuple(self.read(run) for run in runs)

    def read(self, directory: RunDirectory, now: float | None = None) -> RunSnapshot:
        """A snapshot of one run. As long as nothing about it changes, the very same one."""
        mark, newest = "", 0.0
        if directory.source is not None and directory not in self._followers:
            # The readers of all formats are imported only for a log of another tool.
            from tuitrain.runs.kept_snapshots import kept_snapshot, mark_of

            mark, newest = mark_of(directory)
            kept = self._kept.get(directory)
            if kept is None or kept.mark != mark:
                kept = kept_snapshot(directory, mark) if mark else None
            if kept is not None:
                self._kept[directory] = kept
                return self._unchanged(directory, _snapshot_of(directory, kept, now))
        info = self._info(directory)
        log = self._log(directory, info)
        tail, job = log.tail, None
        if directory.source is not None:
            status = status_of_source(log.ending, tail.end, log.last_time, log.has_begun, now)
        else:
            job = job_of_run(directory, info, tail.end, log.end_of_lines, self._job_wait_s)
            status = derive_status(
                info, tail.end, log.last_time, log.has_begun, now, lock=directory.lock, log=directory.metrics,
                log_bytes=log.end_of_lines, readable=not log.problem, paused=tail.paused_since is not None, job=job,
                own_times=_own_times(tail), console=directory.console,
            )  # fmt: skip
        problem = log.problem
        if info is None and self._infos[directory][0]:
            problem = problem or "run.json cannot be read"
        snapshot = RunSnapshot(
            directory, info, status, log.run, _newest_step(tail), log.evaluation, tail.end, log.last_time,
            tail.alerts[-1] if tail.alerts else None, log.curve, problem, log.head.broken_count + tail.broken_count,
            log.whole, tail.stage, tail.recent_steps(), log.wall_time_s,
            self._queues.position(directory.path.parent, directory.run_id) if status is Status.QUEUED else None,
            job,
        )  # fmt: skip
        if mark and not problem:
            from tuitrain.runs.kept_snapshots import KeptSnapshot, keep_snapshot

            kept = KeptSnapshot(
                mark, log.run, snapshot.step, log.evaluation, tail.end, snapshot.alert, tail.stage, log.last_time,
                log.curve, snapshot.recent, log.wall_time_s, snapshot.broken_lines, log.ending, log.has_begun,
            )  # fmt: skip
            keep_snapshot(directory, kept, newest)
        return self._unchanged(directory, snapshot)

    def _unchanged(self, directory: RunDirectory, snapshot: RunSnapshot) -> RunSnapshot:
        """The snapshot of before where it is the same as this one."""
        before = self._snapshots.get(directory)
        if snapshot != before:
            self._snapshots[directory] = before = snapshot
        return before

    def _info(self, directory: RunDirectory) -> RunMetadata | None:
        mark = _mark(directory.info)
        before = self._infos.get(directory)
        if before is None or before[0] != mark:
            before = self._infos[directory] = (mark, directory.read_metadata())
        return before[1]

    def _log(self, directory: RunDirectory, info: RunMetadata | None) -> LogEnds:
        before = self._logs.get(directory)
        if directory.source is not None:
            follower = self._followers.get(directory)
            if follower is None:
                # The readers of all formats are imported only for a log of another tool.
                from tuitrain.runs.foreign import SourceFollower

                follower = self._followers[directory] = SourceFollower(directory)
            before = self._logs[directory] = read_on(follower, before or LogEnds())
        elif before is None or _mark(directory.metrics) != before.mark or before.problem:
            launched_at = info.log_bytes if info is not None else None
            before = self._logs[directory] = read_log_ends(directory.metrics, before or LogEnds(), launched_at)
        return before


def _own_times(history: RunHistory) -> list[float]:
    """The times of the newest steps, and of the newest evaluation if it came after them."""
    times = [time for time, _, _ in history.recent_steps()]
    newest = history.evaluation.time if history.evaluation is not None else None
    return times if newest is None or (times and newest < times[-1]) else [*times, newest]


def _snapshot_of(directory: RunDirectory, kept: KeptSnapshot, now: float | None) -> RunSnapshot:
    """The snapshot of a run of another tool as it was kept, with its status of today."""
    status = status_of_source(kept.ending, kept.end, kept.last_time, kept.has_begun, now)
    return RunSnapshot(
        directory, None, status, kept.run, kept.step, kept.evaluation, kept.end, kept.last_time, kept.alert, kept.curve,
        "", kept.broken_lines, True, kept.stage, kept.recent, kept.wall_time_s,
    )  # fmt: skip


def _mark(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
