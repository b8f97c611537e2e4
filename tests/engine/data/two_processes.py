"""The program of test_data_processes: each of its processes reads its part of each step as the trainer does.

Usage: two_processes REQUEST.json, with keys data, first, steps, state and out; hang_at: rows after which the stream
hangs and a stop is requested.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data import DataError, Prefetcher, ReadingStopped, open_dataset

GLOBAL, ACCUMULATION, SEQ_LEN = 4, 3, 16


class Hang:
    """The rows of every dataset up to a given number; after it reading hangs."""

    def __init__(self, at: int) -> None:
        import datasets

        self.left, self.reached, self.over = at, threading.Event(), threading.Event()
        original = datasets.IterableDataset.__iter__

        def rows(dataset: datasets.IterableDataset) -> Iterator[dict[str, Any]]:
            for row in original(dataset):
                if self.left == 0:
                    self.reached.set()
                    self.over.wait(60)
                    return
                self.left -= 1
                yield row

        datasets.IterableDataset.__iter__ = rows

    def should_stop(self) -> str | None:
        return "SIGTERM" if self.reached.is_set() else None


def main(rank: int, size: int, request: dict[str, Any]) -> None:
    store = dist.FileStore(f"{request['out']}.store", size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    micro = GLOBAL // size
    hang = Hang(request.get("hang_at", -1))
    dataset = open_dataset(
        DataConfig(**request["data"]), seq_len=SEQ_LEN, seed=7, vocab_size=None, should_stop=hang.should_stop
    )
    first = request["first"]
    dataset.train.restore(request["state"] if rank == 0 else {}, first)

    def positions(steps: int) -> list[tuple[int, int]]:
        starts = range(first, first + steps * GLOBAL * ACCUMULATION, GLOBAL)
        return [(start + rank * micro, micro) for start in starts]

    rows: dict[int, list[list[int]]] = {}
    problem = ""
    try:
        for start, count in positions(request["steps"]):
            x, y = dataset.train.batch(start, count)
            rows |= {start + row: [x[row].tolist(), y[row].tolist()] for row in range(count)}
    except DataError as error:
        problem = str(error)
    except ReadingStopped as stop:
        problem = f"stopped by {stop.origin}"
    hang.over.set()
    first += request["steps"] * GLOBAL * ACCUMULATION
    state = {} if problem else dataset.train.state_at(first)
    if not problem:
        # A thread that has read ahead when the loop ends early must not leave another process waiting.
        with Prefetcher(dataset.train, positions(50), "meta") as batches:
            for _ in range(3):
                next(batches)
    everyone: list[Any] = [None] * size
    dist.all_gather_object(everyone, (rows, state, problem))
    if rank == 0:
        merged = {number: row for part, _, _ in everyone for number, row in part.items()}
        result = {
            "sequences": [merged[number] for number in sorted(merged)],
            "states": [state for _, state, _ in everyone],
            "problems": [problem for _, _, problem in everyone],
        }
        Path(request["out"]).write_text(json.dumps(result))
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    request = json.loads(Path(sys.argv[1]).read_text())
    import datasets

    start_processes(main, args=(2, request), nprocs=2, start_method="fork")
