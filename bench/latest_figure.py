"""What export.plots_every can cost a run: the share of a busy core that the drawing process gets.

    python bench/latest_figure.py [--seconds 20] [--steps 20000]

Worst case: training keeps every core busy. One process counts on a core without a pause, another draws the figure of a
run of so many steps on the same core over and over, as the process that `launch` starts does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import psutil

from common import print_table
from figures import write_log
from tuitrain.export.latest import draw, yield_to_others
from tuitrain.runs import RunDirectory, load_history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--steps", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder) / "run" / "metrics.jsonl", arguments.steps)
        ready, figures = multiprocessing.Semaphore(0), multiprocessing.Value("i", 0)
        drawing = multiprocessing.Process(target=keep_drawing, args=(Path(folder), ready, figures))
        drawing.start()
        ready.acquire()
        figures.value = 0
        alone = cpu_seconds([drawing], arguments.seconds)[0] / max(figures.value, 1)
        counting = multiprocessing.Process(target=count)
        counting.start()
        busy, drawn = cpu_seconds([counting, drawing], arguments.seconds)
        for process in (counting, drawing):
            process.terminate()
            process.join()
    print_table(
        ["in so many seconds", "CPU of the busy process", "CPU of drawing", "share", "CPU of a figure"],
        [[f"{arguments.seconds:g} s", f"{busy:.2f} s", f"{drawn:.2f} s", f"{100 * drawn / (busy + drawn):.2f} %",
          f"{alone:.2f} s"]],
    )  # fmt: skip


def cpu_seconds(processes: list[multiprocessing.Process], seconds: float) -> list[float]:
    """CPU time of each of these in the next seconds."""
    readers = [psutil.Process(process.pid) for process in processes]
    before = [sum(reader.cpu_times()[:2]) for reader in readers]
    time.sleep(seconds)
    return [sum(reader.cpu_times()[:2]) - start for reader, start in zip(readers, before, strict=True)]


def count() -> None:
    os.sched_setaffinity(0, {0})
    while True:
        pass


def keep_drawing(folder: Path, ready: object, figures: object) -> None:
    run = RunDirectory(folder / "run")
    history = load_history(run)
    draw(run, history, folder)
    os.sched_setaffinity(0, {0})
    yield_to_others()
    ready.release()  # type: ignore[attr-defined]
    while True:
        draw(run, history, folder)
        figures.value += 1  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
