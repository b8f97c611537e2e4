"""Reading in the background: a thread polls the logs and hands over what it found as one immutable message."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from textual.message import Message

from tuitrain.runs import Follower, LogFollower, RunDirectory, RunSnapshot, SnapshotReader, list_runs
from tuitrain.tui.source import Source, Update

POLL_S = 0.25
LIST_S = 2.0
FIRST_LOOK_S = 0.3
"""How long the first picture waits for data."""
PATIENCE_S = 2.0
"""How long the thread waits for the screen to take in what it sent before it reads on."""


class Arrived(Message):
    """News of the runs of one `generation`, that is, since the set of runs was last changed."""

    def __init__(self, generation: int, updates: tuple[Update, ...]) -> None:
        super().__init__()
        self.generation = generation
        self.updates = updates


class Listed(Message):
    """The list of runs has changed."""

    def __init__(self, snapshots: tuple[RunSnapshot, ...]) -> None:
        super().__init__()
        self.snapshots = snapshots


class Troubled(Message):
    """The list of runs could not be read."""

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem


class Feed(threading.Thread):
    """Polls until it is stopped. It only sends messages and writes nobody's state."""

    def __init__(self, send: Callable[[Message], object]) -> None:
        super().__init__(name="tuitrain-feed", daemon=True)
        self._send = send
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._generation = 0
        self._sources: tuple[Source, ...] = ()
        self._list_dir: Path | None = None
        self._snapshot_reader = SnapshotReader()
        self._list_told: tuple[int, tuple[RunSnapshot, ...]] | None = None
        self._taken = threading.Event()
        self._shown = threading.Event()
        self._drawn = threading.Event()
        self._first: queue.SimpleQueue[Arrived | None] = queue.SimpleQueue()
        self.polls = 0
        """How often the runs were polled so far."""

    def begin(self) -> Arrived | None:
        """Start the thread. Gives what its first look finds, for the first picture, unless that takes too long."""
        self.start()
        try:
            return self._first.get(timeout=FIRST_LOOK_S)
        except queue.Empty:
            return None
        finally:
            self._shown.set()

    def follow(self, runs: Sequence[RunDirectory], stream: Follower | None = None) -> int:
        """Follow these runs from their beginning, in place of the present ones; returns the new generation."""
        sources = [Source(index, run, LogFollower(run.metrics)) for index, run in enumerate(runs)]
        if stream is not None:
            sources.append(Source(len(sources), None, stream))
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

    def drawn(self) -> None:
        """Say that the first picture is on the terminal: until then reading on would only delay it."""
        self._drawn.set()

    def taken(self) -> None:
        """Say that the last message was taken in: only then is more read, so that nothing piles up."""
        self._taken.set()

    def stop(self) -> None:
        """End the thread after the poll it is in."""
        self._stopped.set()
        self._wake.set()
        self._taken.set()
        self._drawn.set()

    def run(self) -> None:
        listed_at = 0.0
        self._look_first()
        while not self._stopped.is_set():
            self._wake.clear()
            more = self._poll_runs()
            directory = self._list_dir
            if directory is not None and (self._list_told is None or time.monotonic() - listed_at >= LIST_S):
                self._poll_list(directory)
                listed_at = time.monotonic()
            if not more:
                self._wake.wait(POLL_S)

    def _look_first(self) -> None:
        """One poll whose message goes to whoever called `begin`, or if that was too slow the way of all others."""
        message = self._poll_once()
        if not self._shown.is_set():
            self._first.put(message)
            self._shown.wait()
            message = None if self._first.empty() else self._first.get()
        if message is not None and not self._stopped.is_set():
            self._send(message)
        self._drawn.wait(PATIENCE_S)

    def _poll_runs(self) -> bool:
        """Poll every run once; returns whether one has more to read at once."""
        message = self._poll_once()
        more = message is not None and any(update.batch.more for update in message.updates)
        if message is not None and not self._stopped.is_set():
            self._taken.clear()
            self._send(message)
            if more:
                self._taken.wait(PATIENCE_S)
        self.polls += 1
        return more

    def _poll_once(self) -> Arrived | None:
        with self._lock:
            generation, sources = self._generation, self._sources
        updates = tuple(update for update in (source.poll() for source in sources) if update is not None)
        return Arrived(generation, updates) if updates else None

    def _poll_list(self, runs_dir: Path) -> None:
        try:
            snapshots = self._snapshot_reader.read_all(list_runs(runs_dir))
        except OSError as error:
            self._send(Troubled(f"cannot list {runs_dir}: {error.strerror or error}"))
            return
        # Ages are in the list, so each minute is news.
        told = (int(time.time() // 60), snapshots)
        if told != self._list_told and not self._stopped.is_set():
            self._list_told = told
            self._send(Listed(snapshots))
