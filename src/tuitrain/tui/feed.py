"""Reading in the background: a thread polls the logs and hands over what it found as one immutable message."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textual.message import Message

from tuitrain.events import End, Run, Step
from tuitrain.runs import Batch, Follower, Glance, LogFollower, RunDirectory, Status, derive_status, glance, list_runs

POLL_S = 0.5
LIST_S = 2.0
CONSOLE_BYTES = 128 << 10
CONSOLE_LINES = 1000


@dataclass(frozen=True)
class Update:
    """What is new about one run: its place on the screen, its records, and what else changed."""

    index: int
    batch: Batch
    status: Status
    console: tuple[str, ...]
    problem: str


class Arrived(Message):
    """News of the runs of one `generation`, that is, since the set of runs was last changed."""

    def __init__(self, generation: int, updates: tuple[Update, ...]) -> None:
        super().__init__()
        self.generation = generation
        self.updates = updates


class Listed(Message):
    """The list of runs has changed."""

    def __init__(self, glances: tuple[Glance, ...]) -> None:
        super().__init__()
        self.glances = glances


class Troubled(Message):
    """The list of runs could not be read."""

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem


@dataclass
class _Source:
    """What the thread remembers of one run, to tell its status and to see what changed."""

    index: int
    directory: RunDirectory | None
    follower: Follower
    end: End | None = None
    last_time: float | None = None
    has_steps: bool = False
    console_mark: tuple[int, int] | None = None
    told: tuple[Status, tuple[str, ...], str, int] | None = None
    console: tuple[str, ...] = field(default=())

    def poll(self) -> Update | None:
        """What is new; None when nothing is."""
        batch, problem = Batch(), ""
        try:
            batch = self.follower.poll()
            self._read_console()
            if self.last_time is not None and self.directory and not self.directory.metrics.exists():
                problem = "the log is gone; waiting for it"
        except OSError as error:
            problem = f"cannot read the log: {error.strerror or error} ({error.filename or 'standard input'})"
        self._take_in(batch)
        info = self.directory.read_info() if self.directory else None
        lock = self.directory.lock if self.directory else None
        status = derive_status(info, self.end, self.last_time, self.has_steps, lock=lock)
        # The age of a silence is on the screen, so each minute of it is news.
        silent = int(time.time() - (self.last_time or 0.0)) // 60 if status is Status.STALLED else 0
        known, self.told = self.told, (status, self.console, problem, silent)
        if not batch and known == self.told:
            return None
        return Update(self.index, batch, status, self.console, problem)

    def _take_in(self, batch: Batch) -> None:
        if batch.reset:
            self.end, self.last_time, self.has_steps = None, None, False
        for record in batch.records:
            self.last_time = max(self.last_time or record.time, record.time)
            if isinstance(record, Run):
                self.end = None
            elif isinstance(record, End):
                self.end = record
            elif isinstance(record, Step):
                self.has_steps = True

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
        with self.directory.console.open("rb") as file:
            file.seek(max(0, status.st_size - CONSOLE_BYTES), os.SEEK_SET)
            data = file.read(CONSOLE_BYTES)
        lines = data.decode("utf-8", "replace").split("\n")
        if status.st_size > CONSOLE_BYTES:
            lines = lines[1:]
        # A progress bar overwrites its line: what counts is what stands there last.
        shown = [text.rstrip("\r").rpartition("\r")[2] for text in lines]
        self.console = tuple(shown[:-1] if shown and not shown[-1] else shown)[-CONSOLE_LINES:]


class Feed(threading.Thread):
    """Polls until it is stopped. It only sends messages and writes nobody's state."""

    def __init__(self, send: Callable[[Message], object]) -> None:
        super().__init__(name="tuitrain-feed", daemon=True)
        self._send = send
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._generation = 0
        self._sources: tuple[_Source, ...] = ()
        self._list_dir: Path | None = None
        self._listed: dict[RunDirectory, tuple[tuple[int, ...], Glance]] = {}
        self._list_told: tuple[int, tuple[Glance, ...]] | None = None
        self.polls = 0
        """How often the runs were polled so far."""

    def follow(self, runs: Sequence[RunDirectory], stream: Follower | None = None) -> int:
        """Follow these runs from their beginning, in place of the present ones; returns the new generation."""
        sources = [_Source(index, run, LogFollower(run.metrics)) for index, run in enumerate(runs)]
        if stream is not None:
            sources.append(_Source(len(sources), None, stream))
        with self._lock:
            self._generation += 1
            self._sources = tuple(sources)
            generation = self._generation
        self._wake.set()
        return generation

    def watch_list(self, runs_dir: Path | None) -> None:
        """Also look at all runs of a directory now and then; None: no longer."""
        self._list_dir, self._list_told = runs_dir, None
        self._wake.set()

    def stop(self) -> None:
        """End the thread after the poll it is in."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        listed_at = 0.0
        while not self._stopped.is_set():
            self._wake.clear()
            more = self._poll_runs()
            directory = self._list_dir
            if directory is not None and (self._list_told is None or time.monotonic() - listed_at >= LIST_S):
                self._poll_list(directory)
                listed_at = time.monotonic()
            if not more:
                self._wake.wait(POLL_S)

    def _poll_runs(self) -> bool:
        """Poll every run once; returns whether one has more to read at once."""
        with self._lock:
            generation, sources = self._generation, self._sources
        updates = tuple(update for update in (source.poll() for source in sources) if update is not None)
        if updates and not self._stopped.is_set():
            self._send(Arrived(generation, updates))
        self.polls += 1
        return any(update.batch.more for update in updates)

    def _poll_list(self, runs_dir: Path) -> None:
        try:
            glances = tuple(self._glance(run) for run in list_runs(runs_dir))
        except OSError as error:
            self._send(Troubled(f"cannot list {runs_dir}: {error.strerror or error}"))
            return
        # Ages are in the list, so each minute is news.
        told = (int(time.time() // 60), glances)
        if told != self._list_told and not self._stopped.is_set():
            self._list_told = told
            self._send(Listed(glances))

    def _glance(self, run: RunDirectory) -> Glance:
        """A look at a run, remembered while its files do not change and it has ended."""
        marks = []
        for path in (run.metrics, run.info):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            marks += [status.st_ino, status.st_size, status.st_mtime_ns]
        mark = tuple(marks)
        known = self._listed.get(run)
        if known is None or known[0] != mark or known[1].end is None:
            known = (mark, glance(run))
            self._listed[run] = known
        return known[1]
