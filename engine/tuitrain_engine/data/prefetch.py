"""Batches prepared while the device computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol

import torch

Batch = tuple[torch.Tensor, torch.Tensor]


class Split(Protocol):
    """Sequences by number."""

    @property
    def tokens(self) -> int | None:
        """Tokens in the split; None: not known, as of a stream."""
        ...

    @property
    def n_sequences(self) -> int | None:
        """Sequences in one epoch; None: not known, or the sources of a mixture have epochs of their own."""
        ...

    def batch(self, first: int, count: int) -> Batch:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU."""
        ...

    def state_at(self, sequences: int) -> dict[str, Any]:
        """What `restore` needs, beyond the number, to continue at sequence number `sequences`: JSON-able.

        `sequences` is the beginning or end of a recent call of `batch`, whatever was read since. {} for shards.
        """
        ...

    def restore(self, state: dict[str, Any], sequences: int) -> None:
        """Continue at sequence number `sequences` from a state of `state_at`. Raises DataError for another one."""
        ...


class FiniteSplit(Split, Protocol):
    """A split whose size is known."""

    @property
    def tokens(self) -> int: ...

    @property
    def n_sequences(self) -> int: ...


class Prefetcher:
    """Iterates over `split.batch(first, count)` for each (first, count) of `positions`, on `device`.

    For CUDA one background thread reads ahead into pinned memory and the copy to the device does not block. On the
    CPU there is nothing to overlap with: a thread would use the cores the model computes on, so each batch is made
    on request. A read error is raised at the request of its batch. A context manager; `close` ends the thread.

    The thread reads exactly `depth` batches more than were requested, also when it is closed: where reading is
    collective, processes that requested equally many batches have all read equally many, and none waits for another.
    """

    def __init__(
        self,
        split: Split,
        positions: Iterable[tuple[int, int]],
        device: torch.device | str = "cpu",
        depth: int = 2,
    ) -> None:
        self._split, self._device = split, torch.device(device)
        self._positions = iter(positions)
        self._closed = False
        self._queue: queue.SimpleQueue[Batch | BaseException] = queue.SimpleQueue()
        self._granted = depth
        self._permits = threading.Semaphore(depth)
        self._thread: threading.Thread | None = None
        if self._device.type != "cpu":
            self._thread = threading.Thread(target=self._read_ahead, name="prefetch", daemon=True)
            self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._closed:
            raise StopIteration
        if self._thread is None:
            return self._split.batch(*next(self._positions))
        item = self._queue.get()
        if isinstance(item, BaseException):
            self.close()
            raise item
        self._granted += 1
        self._permits.release()
        x, y = item
        return x.to(self._device, non_blocking=True), y.to(self._device, non_blocking=True)

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # Another process may have died, and a read that waits for it never ends: the thread is abandoned then.
            self._granted = 0
            self.close(timeout_s=1.0)

    def close(self, timeout_s: float | None = None) -> None:
        """Stop reading ahead and wait for the thread to end; remaining batches are dropped."""
        self._closed = True
        self._permits.release()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _read_ahead(self) -> None:
        made = 0
        try:
            while True:
                self._permits.acquire()
                if self._closed and made >= self._granted:
                    return
                x, y = self._split.batch(*next(self._positions))
                made += 1
                if self._device.type == "cuda":
                    x, y = x.pin_memory(), y.pin_memory()
                self._queue.put((x, y))
        except Exception as error:  # StopIteration too: the end of the positions
            self._queue.put(error)
