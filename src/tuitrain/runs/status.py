"""The status of a run, derived from its events, its heartbeat and the process table; it is stored nowhere."""

from __future__ import annotations

import enum
import socket
import statistics
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import psutil

from tuitrain.accounting import RECENT_RECORDS
from tuitrain.events import AnyRecord, Control, End, Eval, Run, Stage, Step
from tuitrain.events.layout import RunMetadata
from tuitrain.events.lock import lock_held
from tuitrain.events.requests import paused_since
from tuitrain.readers.blocks import Steps
from tuitrain.readers.model import Ending
from tuitrain.runs.layout import RemoteMetadata
from tuitrain.runs.slurm import Job, is_undecided

AHEAD_S = 120.0
"""Clocks of two machines may differ by so much."""
STALLED_AFTER_S = 120.0
"""Silence of a living process after which it counts as stalled; the heartbeat is written every few seconds."""
SILENT_FACTOR, LONGEST_FACTOR, LEAST_INTERVALS = 20.0, 3.0, 3
"""A launched program is stalled after so many of its own intervals between steps, and so many times the longest."""
QUIET_S = 1800.0
"""Where its pace is not known: after so long without a record and without a line on its console."""
LIVE_WITHIN_S = 60.0
"""Age of the heartbeat up to which a run on another machine counts as alive."""


class Status(enum.StrEnum):
    """The status of a run. `queued`: it waits for a free GPU or CPU slot, or in the queue of Slurm. `paused`: it waits
    between two steps, as requested. `interrupted`: the log of another tool that marks the end of a run has no such
    mark. `unknown`: silent, and its process cannot be inspected from this machine.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STALLED = "stalled"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"

    @property
    def live(self) -> bool:
        """Whether more records may come."""
        return self in (Status.QUEUED, Status.STARTING, Status.RUNNING, Status.STALLED, Status.PAUSED)

    @property
    def exit_code(self) -> int:
        """Exit code of `tuitrain status`: 0 completed, 100 failed, crashed or interrupted, 101 live, 103 stopped, 1."""
        if self.live:
            return 101
        codes = {Status.COMPLETED: 0, Status.FAILED: 100, Status.CRASHED: 100, Status.STOPPED: 103}
        codes[Status.INTERRUPTED] = 100
        return codes.get(self, 1)


@dataclass
class Liveness:
    """What the records of a log, in their order, say about whether its run is alive."""

    end: End | None = None
    stage: Stage | None = None
    last_time: float | None = None
    has_steps: bool = False
    paused_since: float | None = None
    """Unix seconds since when the run waits to continue."""
    own_times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_RECORDS))
    """Times of the newest steps and evaluations of the attempt."""

    def absorb(self, records: Iterable[AnyRecord | Steps]) -> None:
        """Add further records."""
        for kind, group in groupby(records, type):
            if kind is Step:
                # Of many in a row only the newest counts.
                steps: list[Any] = list(group)
                self.own_times.extend(step.time for step in steps[-RECENT_RECORDS:-1])
                self._absorb_one(steps[-1])
            else:
                for each in group:
                    self._absorb_one(each.ends[-1] if isinstance(each, Steps) else each)

    def _absorb_one(self, record: AnyRecord) -> None:
        self.last_time = record.time
        if isinstance(record, Step | Eval):
            self.own_times.append(record.time)
        match record:
            case Step():
                # Steps after an end are of a later attempt, also where its first record cannot be read.
                self.end, self.stage, self.has_steps, self.paused_since = None, None, True, None
            case Run():
                self.end = self.paused_since = None
                self.own_times.clear()
            case Stage():
                self.end, self.stage, self.paused_since = None, record, None
            case Control():
                self.paused_since = paused_since(record, self.paused_since)
            case End():
                self.end, self.stage, self.paused_since = record, None, None

    @property
    def has_begun(self) -> bool:
        """Whether the newest attempt has made a step."""
        return self.has_steps and self.stage is None


def process_alive(info: RunMetadata | None) -> bool | None:
    """Whether the engine's process is alive; None where this machine cannot know."""
    if isinstance(info, RemoteMetadata):
        return info.alive
    return _is_alive(info, info.pid, info.pid_started) if info is not None else None


def supervisor_alive(info: RunMetadata | None) -> bool:
    """Whether the process that waits for the engine's is alive, as far as this machine can know."""
    if isinstance(info, RemoteMetadata):
        return info.supervisor_alive is True
    return info is not None and _is_alive(info, info.supervisor, info.supervisor_started) is True


def _is_alive(info: RunMetadata, pid: int | None, started: float | None) -> bool | None:
    if pid is None or info.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        reused = started is not None and abs(process.create_time() - started) > 2.0
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return not reused


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def is_wrapped(info: RunMetadata | None) -> bool:
    """Whether the run is an external program, started by `tuitrain.launch.external`."""
    return info is not None and "tuitrain.launch.external" in info.command[:3]


def derive_status(
    info: RunMetadata | None,
    end: End | None,
    last_time: float | None,
    has_steps: bool,
    now: float | None = None,
    *,
    lock: Path | None = None,
    log: Path | None = None,
    log_bytes: int | None = None,
    readable: bool = True,
    paused: bool = False,
    own_times: Sequence[float] = (),
    console: Path | None = None,
    job: Job | None = None,
) -> Status:
    """Status from the newest attempt's `end` record, the newest record's time and the run's metadata.

    lock: the run's lock. While it is held the engine trains on, also when the process that was started is gone.
    log: where the records are; the time of its last change counts where records are from the future, as when a clock
    jumped, and a living process whose log changes is not silent, whatever its clock says.
    log_bytes: where the last whole line that was read ends. readable: whether it could be. paused: whether the newest
    record of a pause says that the run waits, however long.
    own_times: of the newest steps and evaluations, and console: where it prints. They tell whether a launched program
    is silent, as the process that runs it writes the heartbeat.
    job: its job in the queue of Slurm, where it has one.
    """
    now = time.time() if now is None else now
    if last_time is not None and last_time > now + AHEAD_S and log is not None:
        last_time = _changed(log)
    if info is not None and info.log_bytes is not None and log_bytes == info.log_bytes:
        # The log is as long as when the newest attempt was launched: all that it holds is of earlier ones.
        end, last_time, has_steps, paused = None, info.started, False, False
    if job is not None and info is not None and job.asked <= max(info.queued or 0.0, info.started or 0.0):
        # Slurm was asked before the newest attempt was submitted or started.
        job = None
    if job is not None and job.waits:
        return Status.QUEUED
    if end is not None:
        restarts = end.status == "failed" and info is not None and info.retries > 0 and supervisor_alive(info)
        if end.status == "failed" and info is not None and info.nodes is not None and not restarts:
            # What watches the nodes may go on with those that are left.
            restarts = info.nodes.least < info.nodes.count and process_alive(info) is True
        if is_undecided(info, end):
            restarts = job.active if job is not None and job.state is not None else process_alive(info) is True
        return Status.STARTING if restarts else Status(end.status)
    if info is not None and info.queued is not None:
        if job is not None and job.over:
            return Status.CRASHED
        # Nodes that it had before it was queued again are those of the attempt before.
        begins = job is not None and job.active and (job.start is None or job.start >= info.queued - 1.0)
        return Status.STARTING if begins else Status.QUEUED
    alive = process_alive(info)
    # Somebody else's program need not log steps: it runs as soon as its process does.
    begun = has_steps or is_wrapped(info)
    if alive is False and lock is not None and lock_held(lock):
        alive = True
    if alive is False and supervisor_alive(info):
        # It is about to write down how the engine ended, or to start it again.
        return Status.STARTING
    if alive is False:
        return Status.CRASHED if readable else Status.UNKNOWN
    if alive and paused:
        return Status.PAUSED
    if alive:
        changed = _changed(log) if log is not None else None
        silent_s = min((now - at for at in (last_time, changed) if at is not None), default=0.0)
        # Reading data and compiling may take as long as they need.
        if silent_s > STALLED_AFTER_S and begun:
            return Status.STALLED
        if info is not None and is_wrapped(info) and _is_silent(info, own_times, console, now):
            return Status.STALLED
        return Status.RUNNING if begun else Status.STARTING
    if last_time is not None and now - last_time <= LIVE_WITHIN_S:
        if paused:
            return Status.PAUSED
        return Status.RUNNING if begun else Status.STARTING
    if job is not None and job.active:
        return Status.PAUSED if paused else Status.STALLED if begun else Status.STARTING
    if job is not None and job.over and readable:
        return Status.CRASHED
    return Status.UNKNOWN


def _is_silent(info: RunMetadata, own_times: Sequence[float], console: Path | None, now: float) -> bool:
    """Whether a launched program has neither logged nor printed anything for far longer than its own pace."""
    printed = _changed(console) if console is not None else None
    newest = max((at for at in (info.started, printed, *own_times[-1:]) if at is not None), default=now)
    intervals = [after - before for before, after in pairwise(own_times)]
    patience_s = QUIET_S
    if len(intervals) >= LEAST_INTERVALS:
        patience_s = max(STALLED_AFTER_S, SILENT_FACTOR * statistics.median(intervals), LONGEST_FACTOR * max(intervals))
    return now - newest > patience_s


def status_of_source(
    ending: Ending | None, end: End | None, last_time: float | None, has_steps: bool, now: float | None = None
) -> Status:
    """Status of a run of another tool: what its log says about the end, else how long ago the newest record is."""
    if end is not None:
        return Status(end.status)
    if ending == "running":
        return Status.RUNNING
    age = (time.time() if now is None else now) - last_time if last_time is not None else None
    if has_steps and age is not None and age <= STALLED_AFTER_S:
        return Status.RUNNING
    return Status.INTERRUPTED if ending == "interrupted" else Status.UNKNOWN
