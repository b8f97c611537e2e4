"""Writes a run for bench/watch.py: the same numbers with tuitrain's EventWriter or with wandb, offline.

    python bench/watch_run.py tuitrain|wandb DIR --steps N [--metrics NAME …] [--live RATE]

Without --live the run is finished and stdout gets the seconds that its writing took. With it the run goes on at RATE
steps a second until the process is terminated, and stdout gets a line `STEP TIME` for each further step, TIME in Unix
seconds right before it is written. Only the package that is asked for is imported.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

METRICS = (
    "loss", "accuracy", "lr", "step_time_ms", "data_time_ms", "tokens_per_sec", "tflops", "mfu", "mem_allocated_gb",
    "mem_peak_gb", "grad_norm", "tokens",
)  # fmt: skip
TOKENS_PER_STEP = 524_288
CONFIG = {"model": {"n_layers": 24, "d_model": 2048, "seq_len": 2048}, "optim": {"lr": 3e-4}}
Write = Callable[[int, dict[str, float]], None]
Finish = Callable[[], None]


def numbers(step: int, steps: int, noise: random.Random) -> dict[str, float]:
    """What a step measured: curves of the shape that training has, with noise."""
    done, shake = step / steps, noise.gauss
    step_ms = 1270 + shake(0, 20) + 400 * (step % 1000 == 0)
    tokens_per_sec = TOKENS_PER_STEP / step_ms * 1000
    return {
        "loss": 2.2 + 8.5 / (1 + 200 * done) ** 0.7 + shake(0, 0.03),
        "accuracy": 0.52 - 0.5 / (1 + 200 * done) ** 0.7 + shake(0, 0.005),
        "lr": 3e-4 * min(1.0, 50 * done) * (0.55 + 0.45 * math.cos(math.pi * done)),
        "step_time_ms": step_ms,
        "data_time_ms": 3 + abs(shake(0, 0.5)),
        "tokens_per_sec": tokens_per_sec,
        "tflops": tokens_per_sec * 10.323e9 / 8e12,
        "mfu": tokens_per_sec * 10.323e9 / 8e12 / 989,
        "mem_allocated_gb": 41 + shake(0, 0.05),
        "mem_peak_gb": 63.1,
        "grad_norm": 0.3 + 1.5 / (1 + 100 * done) + abs(shake(0, 0.05)),
        "tokens": step * TOKENS_PER_STEP,
    }


def chosen(row: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """These metrics of a step."""
    return {name: row[name] for name in names}


def with_tuitrain(folder: Path, steps: int) -> tuple[Write, Finish]:
    """A run directory of ours, in `folder` itself."""
    from tuitrain import events

    writer = events.EventWriter(folder / "metrics.jsonl")
    hardware = events.Hardware(device="NVIDIA H100 80GB HBM3", count=8, peak_tflops=989, memory_gb=80)
    writer.write(
        events.Run(
            run_id=folder.name, name="bench", config=CONFIG, hardware=hardware, dtype="bfloat16", total_steps=steps,
            tokens_per_step=TOKENS_PER_STEP,
        )
    )  # fmt: skip

    def write(step: int, values: dict[str, float]) -> None:
        writer.write(events.Step(step=step, **values))

    def finish() -> None:
        writer.write(events.End(status="completed", step=steps))
        writer.close()

    return write, finish


def with_wandb(folder: Path, steps: int) -> tuple[Write, Finish]:
    """An offline run of wandb, below `folder`/wandb."""
    import wandb

    settings = wandb.Settings(silent=True, mode="offline")
    run = wandb.init(dir=folder, project="bench", config={**CONFIG, "total_steps": steps}, settings=settings)

    def write(step: int, values: dict[str, float]) -> None:
        run.log(values, step=step)

    return write, run.finish


def main() -> None:
    """Write the run that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=("tuitrain", "wandb"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--metrics", nargs="+", default=METRICS, choices=METRICS, metavar="NAME")
    parser.add_argument("--live", type=float, default=0.0, metavar="RATE")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    live = options.live > 0
    # A live run is a hundredth of the way when it is watched.
    total = 100 * options.steps if live else options.steps
    noise = random.Random(0)
    # Made before the clock starts: what is timed is the writing.
    rows = [chosen(numbers(step, total, noise), options.metrics) for step in range(1, options.steps + 1)]
    write, finish = (with_tuitrain if options.tool == "tuitrain" else with_wandb)(options.folder.resolve(), total)
    began = time.perf_counter()
    for step, row in enumerate(rows, start=1):
        write(step, row)
    if live:
        go_on(write, options.steps, total, options.live, noise)
    finish()
    if not live:
        print(f"{time.perf_counter() - began:.3f}")


def go_on(write: Write, step: int, total: int, rate: float, noise: random.Random) -> None:
    """Further steps at an even pace until SIGTERM."""
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    due = time.time()
    while not stopped:
        step, due = step + 1, due + 1 / rate
        time.sleep(max(0.0, due - time.time()))
        row = numbers(step, total, noise)
        print(step, f"{time.time():.6f}", flush=True)
        write(step, row)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
