"""Documents of a dataset, read ahead by a thread; a stream that fails or stalls is opened again at its position."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tuitrain_engine.data.errors import DataError, ReadingStopped
from tuitrain_engine.data.files import first_line
from tuitrain_engine.data.hub import Document, HubDataset, Order, Position
from tuitrain_engine.data.progress import note

READ_AHEAD_ROWS = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Pause before the first retry in a row; each further one takes twice as long."""
POLL_INTERVAL_S = 1.0
"""Interval of the checks for a stop request while it waits for rows or for a retry."""

_LAST_WAIT_S = 5.0
"""For a thread to end at the end of the process."""
_SETTLE_S = 2.0
"""Between the end of a read and the end of the process: Arrow's own threads still read ahead in the file."""


@dataclass(frozen=True)
class RetryPolicy:
    """When a stream counts as stalled, how often in a row it is opened again, and what stops the waiting."""

    stall_timeout_s: float
    max_retries: int
    should_stop: Callable[[], str | None] | None = None
    """Returns the origin of a stop request, None if there is none; called by the thread that waits."""

    def check_stop(self) -> None:
        """Raise ReadingStopped if a stop was requested."""
        origin = self.should_stop() if self.should_stop is not None else None
        if origin is not None:
            raise ReadingStopped(origin)

    def pause(self, seconds: float) -> None:
        """Sleep. Raises ReadingStopped."""
        end = time.monotonic() + seconds
        while True:
            self.check_stop()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, POLL_INTERVAL_S))


class _End:
    """Marks the end of the dataset in the queue."""


class _Stalled(Exception):
    """No row arrived within stall_timeout_s."""


class _Reader:
    """A thread that reads a dataset from a position on, at most READ_AHEAD_ROWS documents ahead."""

    def __init__(self, dataset: HubDataset, start: Position, order: Order | None, held_out: Position) -> None:
        self._walk = (start, order, held_out)
        self._dataset = dataset
        self._items: queue.SimpleQueue[Document | _End | Exception] = queue.SimpleQueue()
        self._room = threading.Semaphore(READ_AHEAD_ROWS)
        self._closed = False
        # Opening a dataset of many files takes minutes, with time limits of its own: this one starts after it.
        self._last_row_at: float | None = None
        self.n_shards = 0
        # A daemon: a thread that hangs in a read cannot be ended.
        self._thread = threading.Thread(target=self._run, name="read-rows", daemon=True)
        self._thread.start()
        _running.add(self)

    def get(self, policy: RetryPolicy) -> Document | _End | Exception:
        """The next document, the end, or the error that ended the reading. Raises _Stalled or ReadingStopped.

        A skipped row, as before the start position, resets the time limit too.
        """
        waited_since = time.monotonic()
        while True:
            left, last = policy.stall_timeout_s, self._last_row_at
            if last is not None:
                left -= time.monotonic() - max(last, waited_since)
            if left <= 0:
                raise _Stalled
            try:
                item = self._items.get(timeout=min(left, POLL_INTERVAL_S))
            except queue.Empty:
                policy.check_stop()
            else:
                self._room.release()
                return item

    def close(self) -> None:
        """End the thread at its next document; what it read is dropped."""
        self._closed = True
        self._room.release()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        global _left_at
        try:
            opened = self._dataset.open()
            self.n_shards = opened.num_shards
            self._last_row_at = time.monotonic()
            for item in self._dataset.walk(opened, *self._walk):
                self._last_row_at = time.monotonic()
                if item is not None:
                    self._room.acquire()
                    self._items.put(item)
                if self._closed:
                    break
            self._items.put(_End())
        except Exception as error:  # passed on: the Hub, its HTTP client and the file formats share no base class
            self._items.put(error)
        finally:
            _left_at = time.monotonic()


_running: weakref.WeakSet[_Reader] = weakref.WeakSet()
_left_at: float | None = None
"""When a thread last ended, before the end of its file or after it."""


@atexit.register
def _end_readers() -> None:
    """End the threads before the interpreter ends.

    A thread of Arrow's that gives back a Python buffer after that ends the process with SIGABRT
    (github.com/apache/arrow/issues/45214), and nothing shows whether one still will.
    """
    readers = list(_running)
    for reader in readers:
        reader.close()
    for reader in readers:
        reader.join(_LAST_WAIT_S)
    if _left_at is not None:
        time.sleep(max(0.0, _left_at + _SETTLE_S - time.monotonic()))


class DocumentStream:
    """An iterator over documents from a position on; after errors and stalls it opens the dataset again."""

    def __init__(
        self,
        dataset: HubDataset,
        policy: RetryPolicy,
        *,
        order: Order | None = None,
        held_out: Position = Position(),  # noqa: B008 - an immutable tuple
        start: Position = Position(),  # noqa: B008
    ) -> None:
        """`order` and `held_out` as in HubDataset.walk: order None ends after one epoch."""
        self.name = dataset.name
        self._dataset, self._policy, self._order, self._held_out = dataset, policy, order, held_out
        self.n_shards = 0
        """Shards of the dataset, known from the first document on."""
        self._start(start)

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        """The next document.

        Raises DataError when no retry is left, or for what a retry cannot correct; ReadingStopped when a stop is
        requested while it waits.
        """
        while not self._ended:
            if self._reader is None:
                self._reader = _Reader(self._dataset, self._position, self._order, self._held_out)
            try:
                item = self._reader.get(self._policy)
            except _Stalled:
                self._retry(f"no row for {self._policy.stall_timeout_s:g} s")
                continue
            if isinstance(item, Document):
                self._failures, self._position, self.n_shards = 0, item.after, self._reader.n_shards
                return item
            self.n_shards = self._reader.n_shards
            if isinstance(item, _End):
                self._ended = True
            elif isinstance(item, DataError):
                raise item
            else:
                self._retry(first_line(item), item)
        raise StopIteration

    def restart(self, position: Position) -> None:
        """Continue from `position`."""
        self.close()
        self._start(position)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _start(self, position: Position) -> None:
        self._reader: _Reader | None = None
        self._position, self._failures, self._ended = position, 0, False

    def _retry(self, reason: str, cause: Exception | None = None) -> None:
        """Close the stream, so that it is opened again at its position after a pause, and print the reason."""
        self.close()
        self._failures += 1
        name, most = self._dataset.name, self._policy.max_retries
        if self._failures > most:
            tried = f", after {most} retr{'y' if most == 1 else 'ies'}" if most else ""
            raise DataError(
                f"{name} could not be streamed: {reason}{tried}. A resume continues from the last checkpoint; "
                "data.max_retries and data.stall_timeout_s set how long to wait."
            ) from cause
        pause = min(FIRST_PAUSE_S * 2 ** (self._failures - 1), LONGEST_PAUSE_S)
        epoch, shard_index, row = self._position
        note(
            f"{name}: {reason}; retry {self._failures} of {most} in {pause:g} s, "
            f"from epoch {epoch + 1}, shard {shard_index + 1}, row {row + 1}"
        )
        self._policy.pause(pause)
