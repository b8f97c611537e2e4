"""Stalls of a stream, and stops that end a stall without losing the position."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.engine.data import hub

from tuitrain_engine.data import DataError, Dataset, Prefetcher, ReadingStopped, reader

Opened = Callable[..., Dataset]
KEYS = {"val_bytes": 40, "stall_timeout_s": 30}


class Stop:
    """A `should_stop` that is true, and records the calling thread, once a fault has occurred."""

    def __init__(self, origin: str) -> None:
        self.origin, self.threads = origin, list[threading.Thread]()
        self.fault: hub.ReadFault | None = None

    def __call__(self) -> str | None:
        self.threads.append(threading.current_thread())
        return self.origin if self.fault is not None and self.fault.times == 0 else None


def same(left: tuple[torch.Tensor, ...], right: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("hang", [True, False], ids=["no row comes", "before a retry"])
def test_a_stop_ends_a_stall_and_a_resume_is_exact(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch, hang: bool
) -> None:
    expected = opened(streamed, **KEYS).train.batch(0, 400)
    stop = Stop("request")
    troubled = opened(streamed, should_stop=stop, **KEYS).train
    monkeypatch.setattr(reader, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(reader, "FIRST_PAUSE_S", 600)
    stop.fault = fault = hub.ReadFault(monkeypatch, at=150, times=1, hang=hang)
    finished = 0
    with pytest.raises(ReadingStopped) as caught:
        for finished in range(0, 1000, 4):
            troubled.batch(finished, 4)
    assert caught.value.origin == "request"
    assert 0 < finished < 400
    assert set(stop.threads) == {threading.current_thread()}
    state = json.loads(json.dumps(troubled.state_at(finished)))
    fault.woken.set()
    resumed = opened(streamed, **KEYS).train
    resumed.restore(state, finished)
    assert same(resumed.batch(finished, 400 - finished), tuple(part[finished:] for part in expected))
    stop.fault = None
    assert same(troubled.batch(finished, 400 - finished), tuple(part[finished:] for part in expected))


def test_a_stop_in_a_prefetcher_is_raised_when_the_batch_is_requested(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop("SIGTERM")
    split = opened(streamed, should_stop=stop, **KEYS).train
    monkeypatch.setattr(reader, "POLL_INTERVAL_S", 0.01)
    stop.fault = fault = hub.ReadFault(monkeypatch, at=150, times=1, hang=True)
    taken = 0
    with (
        pytest.raises(ReadingStopped, match="SIGTERM"),
        Prefetcher(split, ((first, 4) for first in range(0, 1000, 4)), "meta") as batches,
    ):
        for _ in batches:
            taken += 4
    fault.woken.set()
    assert {thread.name for thread in stop.threads} == {"prefetch"}
    assert taken > 0
    assert split.state_at(taken)["sequences"] == taken


def test_a_stream_that_does_not_stall_is_not_stopped(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "POLL_INTERVAL_S", 30)
    expected = opened(streamed, **KEYS).train.batch(0, 60)
    assert same(opened(streamed, should_stop=lambda: "SIGTERM", **KEYS).train.batch(0, 60), expected)


class Clock:
    """The clock of a reader, which advances only while it waits; skipped rows arrive at given seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows_at: list[float]) -> None:
        self.now = 0.0
        self.pauses: list[tuple[float, float]] = []
        self.opened, self.waiting, self.released = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)
        clock = self
        coming = iter(rows_at)

        class Items(queue.SimpleQueue[Any]):
            upcoming = next(coming, None)

            def get(self, block: bool = True, timeout: float | None = None) -> Any:
                assert timeout is not None
                clock.opened.wait(30)
                end = clock.now + timeout
                if self.upcoming is not None and self.upcoming <= end:
                    clock.now = self.upcoming
                    clock.waiting.release()
                    clock.released.acquire(timeout=30)
                    Items.upcoming = next(coming, None)
                clock.now = end
                return super().get(block=False)

        monkeypatch.setattr(reader, "queue", SimpleNamespace(SimpleQueue=Items, Empty=queue.Empty))
        monkeypatch.setattr(reader, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds: float) -> None:
        self.pauses.append((self.now, seconds))
        self.now += seconds


class SkippedRows:
    """A dataset of skipped rows, each at its time of the clock."""

    name = "hf:skipped"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def open(self) -> SimpleNamespace:
        return SimpleNamespace(num_shards=1)

    def walk(self, *_: object) -> Iterator[None]:
        self._clock.opened.set()
        while self._clock.waiting.acquire(timeout=30):
            yield None
            self._clock.released.release()


@pytest.mark.parametrize(
    ("rows_at", "stalled_at"),
    [([], 10), ([4], 14), ([4, 13.5], 23.5), ([9.5, 19, 28.5, 38], 48)],
    ids=["none", "one", "two", "each in time"],
)
def test_a_stall_is_measured_from_the_last_row_even_a_skipped_one(
    monkeypatch: pytest.MonkeyPatch, rows_at: list[float], stalled_at: float
) -> None:
    clock = Clock(monkeypatch, rows_at)
    documents = reader.DocumentStream(SkippedRows(clock), reader.RetryPolicy(stall_timeout_s=10, max_retries=0))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="hf:skipped could not be streamed: no row for 10 s"):
        next(documents)
    assert clock.now == pytest.approx(stalled_at)
    clock.waiting.release()


def test_should_stop_is_polled_at_least_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, [])
    polls: list[float] = []

    def should_stop() -> str | None:
        polls.append(clock.now)
        return "SIGTERM" if len(polls) == 40 else None

    policy = reader.RetryPolicy(stall_timeout_s=10, max_retries=5, should_stop=should_stop)
    monkeypatch.setattr(reader, "FIRST_PAUSE_S", 5.5)
    with pytest.raises(ReadingStopped):
        next(reader.DocumentStream(SkippedRows(clock), policy))  # type: ignore[arg-type]
    assert len(clock.pauses) > 10
    assert max(later - earlier for earlier, later in pairwise(polls)) <= 1
