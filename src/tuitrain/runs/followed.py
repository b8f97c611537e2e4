"""A run whose log is polled: what is new of it, and its status."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuitrain.runs.follow import Batch, Follower, LogFollower
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.slurm import Job, job_of_run
from tuitrain.runs.status import Liveness, Status, derive_status, status_of_source
from tuitrain.runs.stream import StreamFollower

TAIL_BYTES = 64 << 10
"""The part at the end of a long log that gives the status until all of it is read."""


@dataclass
class FollowedRun:
    """What is kept of one run from poll to poll. directory: None for a stream. problem: why it cannot be read now.

    job: its job, while Slurm may start it or go on with it.
    """

    directory: RunDirectory | None
    follower: Follower
    live: Liveness = field(default_factory=Liveness)
    status: Status | None = None
    problem: str = ""
    job: Job | None = None

    def poll(self) -> Batch:
        """What is new; `status` and `problem` are those of now."""
        batch, self.problem, readable = Batch(), "", True
        try:
            batch = self.follower.poll()
            if self.directory is not None and self.live.last_time is not None and not self.directory.metrics.exists():
                self.problem = "the log is gone; waiting for it"
        except OSError as error:
            readable = False
            self.problem = unreadable(error)
        if batch.reset:
            self.live = Liveness()
        self.live.absorb(batch.records)
        self.status = self._status(batch, readable)
        return batch

    def _status(self, batch: Batch, readable: bool) -> Status:
        live = self.live
        if self.directory is not None and self.directory.source is not None:
            return status_of_source(batch.ending, live.end, live.last_time, live.has_begun)
        follower = self.follower
        if isinstance(follower, StreamFollower):
            ending = follower.ending if follower.ended else "running"
            return status_of_source(ending, live.end, live.last_time, live.has_begun)
        if self.directory is None:
            return derive_status(None, live.end, live.last_time, live.has_begun, readable=readable)
        if batch.more:
            if self.status is not None:
                return self.status
            # The records read so far are old: the end of the log gives the status.
            live, follower = Liveness(), LogFollower(self.directory.metrics, start=max(batch.size - TAIL_BYTES, 0))
            live.absorb(follower.poll().records)
        info = self.directory.read_metadata()
        log_bytes = follower.end_of_lines if isinstance(follower, LogFollower) else None
        self.job = job_of_run(self.directory, info, live.end, log_bytes)
        return derive_status(
            info, live.end, live.last_time, live.has_begun, lock=self.directory.lock, log=self.directory.metrics,
            readable=readable, paused=live.paused_since is not None, log_bytes=log_bytes, job=self.job,
            own_times=tuple(live.own_times), console=self.directory.console,
        )  # fmt: skip


def unreadable(error: OSError) -> str:
    """The sentence for a log that cannot be read."""
    return f"cannot read the log: {error.strerror or error} ({error.filename or 'standard input'})"
