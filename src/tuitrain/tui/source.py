"""What the feed knows of each run: how far its log was read, and whether the run lives."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from tuitrain.events import End, Run, Stage, Step
from tuitrain.files import open_regular
from tuitrain.runs import Batch, Follower, LogFollower, RunDirectory, RunHistory, Status, derive_status, newest_part

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
class Facts:
    """What the newest records say about whether a run lives."""

    end: End | None = None
    last_time: float | None = None
    has_steps: bool = False

    def take_in(self, batch: Batch) -> None:
        if batch.reset:
            self.end, self.last_time, self.has_steps = None, None, False
        for record in batch.records:
            self.last_time = record.time
            if isinstance(record, Run):
                self.end = None
            elif isinstance(record, End):
                self.end = record
            elif isinstance(record, Stage):
                self.end, self.has_steps = None, False
            elif isinstance(record, Step):
                self.has_steps, self.end = True, None


@dataclass
class Source:
    """What the thread remembers of one run, to tell its status and to see what changed."""

    index: int
    directory: RunDirectory | None
    follower: Follower
    facts: Facts = field(default_factory=Facts)
    ahead: LogFollower | None = None
    facts_ahead: Facts = field(default_factory=Facts)
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
            if self.facts.last_time is not None and self.directory and not self.directory.metrics.exists():
                problem = "the log is gone; waiting for it"
        except OSError as error:
            readable = False
            problem = f"cannot read the log: {error.strerror or error} ({error.filename or 'standard input'})"
        self.facts.take_in(batch)
        self.facts_ahead.take_in(ahead)
        if newest is None and not batch.more:
            self.ahead = None
        loading = (batch.end / max(batch.size, 1)) if self.ahead else None
        facts = self.facts_ahead if self.ahead else self.facts
        follower = self.ahead or self.follower
        read = follower.end_of_lines if isinstance(follower, LogFollower) else None
        info = self.directory.read_info() if self.directory else None
        lock, log = (self.directory.lock, self.directory.metrics) if self.directory else (None, None)
        status = derive_status(
            info, facts.end, facts.last_time, facts.has_steps, lock=lock, log=log, log_bytes=read, readable=readable
        )
        # The age of a silence is on the screen, so each minute of it is news.
        silent = int(time.time() - (facts.last_time or 0.0)) // 60 if status is Status.STALLED else 0
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
        self.facts_ahead.take_in(Batch(records))
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
