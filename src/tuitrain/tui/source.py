"""One run as the feed polls it: new records of its log, its status, the end of its console."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tuitrain.runs import Batch, Follower, LogFollower, RunDirectory, Status, StreamFollower, derive_status
from tuitrain.runs.console import ConsoleFile, ConsoleMark
from tuitrain.runs.status import Liveness, status_of_source
from tuitrain.runs.stream import NewFileFollower

CONSOLE_LINES = 1000
TAIL_BYTES = 64 << 10
"""The part at the end of a long log that gives the status until all of it is read."""


@dataclass(frozen=True)
class Update:
    """What one poll of a run returned. index: of the run on the screen. problem: why its log cannot be read."""

    index: int
    batch: Batch
    status: Status
    console: tuple[str, ...]
    problem: str


@dataclass
class Source:
    """What is kept of one run from poll to poll."""

    index: int
    directory: RunDirectory | None
    follower: Follower
    live: Liveness = field(default_factory=Liveness)
    console: tuple[str, ...] = ()
    console_mark: ConsoleMark | None = None
    posted: tuple[Status, tuple[str, ...], str, int] | None = None

    def poll(self) -> Update | None:
        """What is new; None when nothing is."""
        batch, problem, readable = Batch(), "", True
        try:
            batch = self.follower.poll()
            if isinstance(self.follower, StreamFollower | NewFileFollower):
                self.console = self.follower.console
            elif self.directory is not None:
                self._read_console(ConsoleFile(self.directory.console))
            if self.directory is not None and self.live.last_time is not None and not self.directory.metrics.exists():
                problem = "the log is gone; waiting for it"
        except OSError as error:
            readable = False
            problem = f"cannot read the log: {error.strerror or error} ({error.filename or 'standard input'})"
        if batch.reset:
            self.live = Liveness()
        self.live.absorb(batch.records)
        status = self._status(batch, readable)
        # The age of a silence is on the screen, so it is posted each minute.
        silent = int(time.time() - (self.live.last_time or 0.0)) // 60 if status is Status.STALLED else 0
        before, self.posted = self.posted, (status, self.console, problem, silent)
        if not batch and before == self.posted:
            return None
        return Update(self.index, batch, status, self.console, problem)

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
            if self.posted:
                return self.posted[0]
            # The records read so far are old: the end of the log gives the status.
            live, follower = Liveness(), LogFollower(self.directory.metrics, start=max(batch.size - TAIL_BYTES, 0))
            live.absorb(follower.poll().records)
        return derive_status(
            self.directory.read_metadata(), live.end, live.last_time, live.has_begun,
            lock=self.directory.lock, log=self.directory.metrics, readable=readable,
            log_bytes=follower.end_of_lines if isinstance(follower, LogFollower) else None,
        )  # fmt: skip

    def _read_console(self, file: ConsoleFile) -> None:
        """Read the last lines of the console if it has changed."""
        mark = file.mark()
        if mark is not None and mark != self.console_mark:
            self.console_mark = mark
            self.console = tuple(line.text for line in file.last_lines(CONSOLE_LINES))
