"""Reading in the background: a thread polls the runs and posts what is new as one immutable message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from tuitrain.runs import Follower, RunDirectory, RunSnapshot
from tuitrain.runs.listing import RunListing
from tuitrain.runs.updates import Update, UpdatedRun, follow
from tuitrain.settings import SettingsError

POLL_S = 0.25
LIST_S = 2.0
FIRST_POLL_S = 0.3
"""How long the first frame waits for data."""
FIRST_BYTES = 512 << 10
"""How much of a log is read before the first charts: parsing a whole chunk would delay them by 20 ms."""
PATIENCE_S = 2.0
"""How long the thread waits for the app to be ready before it reads on."""


@dataclass
class RunsRead(Message):
    """Updates of runs by their index on the screen. generation: counts the changes of which runs these are."""

    generation: int
    updates: tuple[tuple[int, Update], ...]

    @property
    def more(self) -> bool:
        """Whether a run has further records at once."""
        return any(update.batch.more for _, update in self.updates)


@dataclass
class RunListRead(Message):
    """The list of runs has changed, or could not be read for the reason in `problem`.

    hosts: other machines whose runs are not in the list, or not as they are now, each with the reason.
    """

    snapshots: tuple[RunSnapshot, ...] = ()
    problem: str = ""
    hosts: tuple[tuple[str, str], ...] = ()


class Feed(threading.Thread):
    """Polls until it is stopped. It posts messages and writes no state of the app."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        super().__init__(name="tuitrain-feed", daemon=True)
        self._post = post
        self._wake = threading.Event()
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._generation = 0
        self._runs: tuple[UpdatedRun, ...] = ()
        self._runs_dir: Path | None = None
        self._listing = RunListing(self._wake.set)
        self._list_posted: tuple[int, tuple[RunSnapshot, ...], tuple[tuple[str, str], ...]] | None = None
        self._first: Future[RunsRead | None] = Future()
        self._reading_since: float | None = None
        self.polls = 0
        """How often the runs were polled so far."""

    @property
    def silent_s(self) -> float:
        """For how many seconds the present reading of a run, or of the list, has lasted: most take a part of one."""
        since = self._reading_since
        return 0.0 if since is None else time.monotonic() - since

    def begin(self) -> RunsRead | None:
        """Start the thread. Returns its first message, for the first frame; None if there is none in time."""
        self.start()
        try:
            return self._first.result(FIRST_POLL_S)
        except TimeoutError:
            return None if self._first.cancel() else self._first.result()

    def follow(self, runs: Sequence[RunDirectory], stream: Follower | None = None) -> int:
        """Follow these runs from their beginning, in place of the present ones; returns the new generation."""
        followed = follow(runs, stream, FIRST_BYTES)
        self._listing.others |= dict.fromkeys(run for run in runs if run.source is not None or run.remote)
        with self._lock:
            self._generation += 1
            self._runs = followed
            generation = self._generation
        self._wake.set()
        return generation

    def watch_list(self, runs_dir: Path | None) -> None:
        """Also read snapshots of all runs of a directory every LIST_S seconds; None: no longer.

        The runs of other tools that were followed are in the list as well, wherever they are.
        """
        self._runs_dir, self._list_posted = runs_dir, None
        self._wake.set()

    def ready(self) -> None:
        """Say that the first frame is drawn, or the last message absorbed: only then is more read."""
        self._ready.set()

    def stop(self) -> None:
        """End the thread after the poll it is in."""
        self._stopped.set()
        self._wake.set()
        self._ready.set()

    def run(self) -> None:
        first = self._poll()
        if self._first.set_running_or_notify_cancel():
            self._first.set_result(first)
        elif first is not None:
            self._post(first)
        self._ready.wait(PATIENCE_S)
        listed_at = 0.0
        while not self._stopped.is_set():
            self._wake.clear()
            more = self._poll_runs()
            runs_dir = self._runs_dir
            if runs_dir is not None and (self._list_posted is None or time.monotonic() - listed_at >= LIST_S):
                self._poll_list(runs_dir)
                listed_at = time.monotonic()
            if not more:
                self._wake.wait(POLL_S)

    def _poll_runs(self) -> bool:
        """Poll every run once; returns whether one has more to read at once."""
        message = self._poll()
        if message is not None and not self._stopped.is_set():
            self._ready.clear()
            self._post(message)
            if message.more:
                self._ready.wait(PATIENCE_S)
        self.polls += 1
        return message is not None and message.more

    def _poll(self) -> RunsRead | None:
        with self._lock:
            generation, runs = self._generation, self._runs
        polled: list[tuple[int, Update | None]] = []
        for index, run in enumerate(runs):
            self._reading_since = time.monotonic()
            polled.append((index, run.read_update()))
        self._reading_since = None
        updates = tuple((index, update) for index, update in polled if update is not None)
        return RunsRead(generation, updates) if updates else None

    def _poll_list(self, runs_dir: Path) -> None:
        self._reading_since = time.monotonic()
        try:
            snapshots, hosts = self._listing.read(runs_dir)
        except OSError as error:
            self._post(RunListRead(problem=f"cannot list {runs_dir}: {error.strerror or error}"))
            return
        except SettingsError as error:
            self._post(RunListRead(problem=str(error)))
            return
        finally:
            self._reading_since = None
        # Ages are in the list, so it is posted each minute.
        newest = (int(time.time() // 60), snapshots, hosts)
        if newest != self._list_posted and not self._stopped.is_set():
            self._list_posted = newest
            self._post(RunListRead(snapshots, hosts=hosts))
