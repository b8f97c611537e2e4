"""Two processes of a program open a dataset at the same time; it prints what each of them has.

Usage: opening_worker SOURCE
"""

from __future__ import annotations

import json
import multiprocessing
import sys

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data import open_dataset


def open_in_a_process(source: str, gate: object, answers: object) -> None:
    gate.wait()
    dataset = open_dataset(DataConfig(source=source), seq_len=16, seed=7, vocab_size=None)
    built = any("tokenized in" in line for line in dataset.describe())
    answers.put((dataset.train.tokens, dataset.train.batch(0, 2)[0].tolist(), built))


def main(source: str) -> None:
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=open_in_a_process, args=(source, gate, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
