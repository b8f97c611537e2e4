"""What the feed knows of each run: how far its log was read, and whether the run lives."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from tuitrain.files import open_regular
from tuitrain.runs import Batch, Follower, LogFollower, RunDirectory, RunHistory, Status, derive_status, newest_part
from tuitrain.runs.status import Liveness

CONSOLE_BYTES = 128 << 10
CONSOLE_LINES = 1000
NOTHING = Batch()


@dataclass(frozen=True)
class Update:
    """What is new about one run: its place on the screen, its records, and what else changed.

    A long log is read from its beginning, but its newest part is there at once: `newest` is a history of that alone,
    `ahead` what came to it since. loading: how much of the log was read, 0–1; None when all of it was.
    """

    index: int
    batch: Batch
    status: Status
    console: tuple[str, ...]
    problem: str
    newest: RunHistory | None = None
    ahead: Batch = NOTHING
    loading: float | None = None


@dataclass
class Source:
    """What the thread remembers of one run, to tell its status and to see what changed."""

    index: int
    directory: RunDirectory | None
    follower: Follower
    live: Liveness = field(default_factory=Liveness)
    ahead: LogFollower | None = None
    live_ahead: Liveness = field(default_factory=Liveness)
    begun: bool = False
    console_mark: tuple[int, int] | None = None
    told: tuple[Status, tuple[str, ...], str, int] | None = None
    console: tuple[str, ...] = field(default=())

    def poll(self) -> Update | None:
        """What is new; None when nothing is."""
        batch, ahead, problem, newest, readable = NOTHING, NOTHING, "", None, True
        try:
            newest = None if self.begun else self._begin()
            if newest is None:
                batch = self.follower.poll()
                ahead = self.ahead.poll() if self.ahead else NOTHING
            self._read_console()
            if self.live.last_time is not None and self.directory and not self.directory.metrics.exists():
                problem = "the log is gone; waiting for it"
        except OSError as error:
            readable = False
            problem = f"cannot read the log: {error.strerror or error} ({error.filename or 'standard input'})"
        self.live = _taken(self.live, batch)
        self.live_ahead = _taken(self.live_ahead, ahead)
        if newest is None and not batch.more:
            self.ahead = None
        loading = (batch.end / max(batch.size, 1)) if self.ahead else None
        live = self.live_ahead if self.ahead else self.live
        follower = self.ahead or self.follower
        read = follower.end_of_lines if isinstance(follower, LogFollower) else None
        info = self.directory.read_info() if self.directory else None
        lock, log = (self.directory.lock, self.directory.metrics) if self.directory else (None, None)
        status = derive_status(
            info, live.end, live.last_time, live.begun, lock=lock, log=log, log_bytes=read, readable=readable
        )
        # The age of a silence is on the screen, so each minute of it is news.
        silent = int(time.time() - (live.last_time or 0.0)) // 60 if status is Status.STALLED else 0
        known, self.told = self.told, (status, self.console, problem, silent)
        if not batch and not ahead and newest is None and known == self.told:
            return None
        return Update(self.index, batch, status, self.console, problem, newest, ahead, loading)

    def _begin(self) -> RunHistory | None:
        """The newest part of a log that is too long to be read at once."""
        self.begun = True
        found = newest_part(self.directory.metrics) if self.directory else None
        if found is None:
            return None
        records, end = found
        self.ahead = LogFollower(self.directory.metrics, start=end) if self.directory else None
        self.live_ahead = _taken(self.live_ahead, Batch(records))
        history = RunHistory()
        history.absorb(records)
        return history

    def _read_console(self) -> None:
        """The last part of the console log, if it changed."""
        if self.directory is None:
            return
        try:
            status = self.directory.console.stat()
        except FileNotFoundError:
            return
        mark = (status.st_size, status.st_mtime_ns)
        if mark == self.console_mark:
            return
        self.console_mark = mark
        with open_regular(self.directory.console) as file:
            file.seek(max(0, status.st_size - CONSOLE_BYTES), os.SEEK_SET)
            data = file.read(CONSOLE_BYTES)
        lines = data.decode("utf-8", "replace").split("\n")
        if status.st_size > CONSOLE_BYTES:
            lines = lines[1:]
        # A progress bar overwrites its line: what counts is what stands there last.
        shown = [text.rstrip("\r").rpartition("\r")[2] for text in lines]
        self.console = tuple(shown[:-1] if shown and not shown[-1] else shown)[-CONSOLE_LINES:]


def _taken(live: Liveness, batch: Batch) -> Liveness:
    """What is known with the records of a batch; a log that was replaced begins anew."""
    live = Liveness() if batch.reset else live
    for record in batch.records:
        live.take(record)
    return live
