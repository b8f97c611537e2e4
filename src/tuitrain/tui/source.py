"""What the feed knows of each run: how far its log was read, and whether the run lives."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from tuitrain.files import open_regular
from tuitrain.runs import Batch, Follower, LogFollower, RunDirectory, Status, derive_status, read_snapshot
from tuitrain.runs.status import Liveness

CONSOLE_BYTES = 128 << 10
CONSOLE_LINES = 1000
NOTHING = Batch()


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
    """What the thread keeps of one run, to derive its status and to notice changes."""

    index: int
    directory: RunDirectory | None
    follower: Follower
    live: Liveness = field(default_factory=Liveness)
    console_mark: tuple[int, int] | None = None
    posted: tuple[Status, tuple[str, ...], str, int] | None = None
    console: tuple[str, ...] = field(default=())

    def poll(self) -> Update | None:
        """What is new; None when nothing is."""
        batch, problem, readable = NOTHING, "", True
        try:
            batch = self.follower.poll()
            self._read_console()
            if self.live.last_time is not None and self.directory and not self.directory.metrics.exists():
                problem = "the log is gone; waiting for it"
        except OSError as error:
            readable = False
            problem = f"cannot read the log: {error.strerror or error} ({error.filename or 'standard input'})"
        if batch.reset:
            self.live = Liveness()
        for record in batch.records:
            self.live.take(record)
        status = self._status(batch, readable)
        # The age of a silence is on the screen, so each minute of it is news.
        silent = int(time.time() - (self.live.last_time or 0.0)) // 60 if status is Status.STALLED else 0
        before, self.posted = self.posted, (status, self.console, problem, silent)
        if not batch and before == self.posted:
            return None
        return Update(self.index, batch, status, self.console, problem)

    def _status(self, batch: Batch, readable: bool) -> Status:
        if self.directory is None:
            return derive_status(None, self.live.end, self.live.last_time, self.live.begun, readable=readable)
        if batch.more:
            # The records read so far are old ones: the end of the log says what the run does now.
            return self.posted[0] if self.posted else read_snapshot(self.directory).status
        live, read = self.live, self.follower.end_of_lines if isinstance(self.follower, LogFollower) else None
        return derive_status(
            self.directory.read_metadata(), live.end, live.last_time, live.begun,
            lock=self.directory.lock, log=self.directory.metrics, log_bytes=read, readable=readable,
        )  # fmt: skip

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
