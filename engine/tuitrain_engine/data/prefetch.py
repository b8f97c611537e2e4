"""Batches made ready while the device computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol

import torch

Batch = tuple[torch.Tensor, torch.Tensor]


class Split(Protocol):
    """Sequences by number."""

    tokens: int
    """Tokens in the split."""
    n_sequences: int
    """Sequences in one epoch."""

    def batch(self, first: int, count: int) -> Batch:
        """Sequences `first` … `first + count`: ids and next ids, each (count, seq_len) int64 on the CPU."""
        ...


class Prefetcher:
    """Iterates over `split.batch(first, count)` for each (first, count) of `positions`, on `device`.

    For CUDA one background thread reads ahead into pinned memory and the copy to the device does not block. On the
    CPU there is nothing to overlap with: a thread would take the cores the model computes on, so each batch is made
    when it is asked for. An error of the reading is raised where the batch is asked for. A context manager; `close`
    ends the thread.
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
        self._closed = threading.Event()
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=depth)
        self._thread: threading.Thread | None = None
        if self._device.type != "cpu":
            self._thread = threading.Thread(target=self._read_ahead, name="prefetch", daemon=True)
            self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._closed.is_set():
            raise StopIteration
        if self._thread is None:
            return self._split.batch(*next(self._positions))
        found = self._queue.get()
        if isinstance(found, BaseException):
            self.close()
            raise found
        x, y = found
        return x.to(self._device, non_blocking=True), y.to(self._device, non_blocking=True)

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading ahead and wait for the thread to end; batches not yet taken are dropped."""
        self._closed.set()
        if self._thread is None:
            return
        while self._thread.is_alive():
            # Room in the queue lets a waiting thread see that it is over.
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(timeout=0.01)

    def _read_ahead(self) -> None:
        try:
            for first, count in self._positions:
                x, y = self._split.batch(first, count)
                if self._device.type == "cuda":
                    x, y = x.pin_memory(), y.pin_memory()
                self._queue.put((x, y))
                if self._closed.is_set():
                    return
            self._queue.put(StopIteration())
        except Exception as error:
            self._queue.put(error)
