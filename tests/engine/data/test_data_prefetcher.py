"""Batches read ahead of the loop: right content, in order, errors raised at their position, no thread left."""

from __future__ import annotations

import itertools
import threading

import pytest
import torch

from tuitrain_engine.data import DataError, Prefetcher

# Any device but the CPU gets the thread; `meta` needs no hardware.
DEVICES = ["cpu", "meta"]


class Numbers:
    """Sequences that hold their own index; index 50 cannot be read."""

    tokens = n_sequences = 100

    def __init__(self) -> None:
        self.requested: list[tuple[int, int]] = []

    def batch(self, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        if first <= 50 < first + count:
            raise DataError("sequence 50 is lost")
        self.requested.append((first, count))
        x = torch.arange(first, first + count).unsqueeze(1)
        return x, x + 1


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("device", DEVICES)
def test_each_position_is_read_once_and_in_order(device: str) -> None:
    split, positions = Numbers(), [(0, 4), (8, 4), (4, 2)]
    with Prefetcher(split, positions, device) as batches:
        shapes = [tuple(x.shape) for x, _ in batches]
    assert split.requested == positions
    assert shapes == [(4, 1), (4, 1), (2, 1)]
    assert prefetch_threads() == []


def test_on_the_cpu_a_batch_is_the_one_of_the_split() -> None:
    with Prefetcher(Numbers(), [(3, 2)]) as batches:
        x, y = next(batches)
    assert x.tolist() == [[3], [4]]
    assert y.tolist() == [[4], [5]]


@pytest.mark.parametrize("device", DEVICES)
def test_an_error_is_raised_when_its_batch_is_requested(device: str) -> None:
    with Prefetcher(Numbers(), ((first, 10) for first in itertools.count(20, 10)), device) as batches:
        for _ in range(3):
            next(batches)
        with pytest.raises(DataError, match="sequence 50 is lost"):
            next(batches)
    assert prefetch_threads() == []


@pytest.mark.parametrize("device", DEVICES)
def test_an_endless_iteration_can_be_closed_at_any_time(device: str) -> None:
    split = Numbers()
    with Prefetcher(split, ((0, 1) for _ in itertools.count()), device, depth=3) as batches:
        next(batches)
    assert prefetch_threads() == []
    assert len(split.requested) == (1 if device == "cpu" else 1 + 3)
    with pytest.raises(StopIteration):
        next(batches)


def test_it_reads_ahead_no_further_than_its_depth() -> None:
    taken: list[int] = []
    filled = threading.Event()

    def positions() -> object:
        for first in range(40):
            taken.append(first)
            if len(taken) == 3:
                filled.set()
            yield first, 1

    batches = Prefetcher(Numbers(), positions(), "meta", depth=2)
    next(batches)
    # One is with the loop, two wait in the queue.
    assert filled.wait(timeout=30)
    batches.close()
    assert len(taken) == 3
    assert prefetch_threads() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_batches_are_moved_to_the_device() -> None:
    with Prefetcher(Numbers(), [(0, 4), (4, 4)], "cuda") as batches:
        values = [x.cpu().flatten().tolist() for x, _ in batches]
    assert values == [[0, 1, 2, 3], [4, 5, 6, 7]]
