"""What logging costs a training loop: `run.log` of twelve metrics, beside W&B offline where that is installed.

    python bench/own_loop.py [--calls N]

Per call: the median over single calls. In all: the time of the calls, and of `finish` beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from common import print_table

METRICS = {
    "train/loss": 2.5, "lr": 3e-4, "grad_norm": 0.7, "tokens": 1_000_000, "accuracy": 0.4, "rewards/mean": 0.1,
    "rewards/std": 0.2, "kl": 0.01, "entropy": 1.2, "clip_fraction": 0.1, "epoch": 0.5, "temperature": 1.0,
}  # fmt: skip


def measured(log: Callable[[dict[str, Any]], object], finish: Callable[[], object], calls: int) -> list[str]:
    """The cells of a row: µs per call, seconds of all calls, seconds of finish."""
    times = []
    began = time.perf_counter()
    for step in range(calls):
        metrics = {**METRICS, "train/loss": 2.5 + 1 / (step + 1)}
        at = time.perf_counter()
        log(metrics)
        times.append(time.perf_counter() - at)
    logged = time.perf_counter()
    finish()
    ended = time.perf_counter()
    return [f"{statistics.median(times) * 1e6:.1f}", f"{logged - began:.2f}", f"{ended - logged:.2f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    calls = parser.parse_args().calls
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        import tuitrain

        run = tuitrain.init(name="bench", runs_dir=directory)
        rows.append(["tuitrain", *measured(run.log, run.finish, calls)])
        if importlib.util.find_spec("wandb") is not None:
            os.environ["WANDB_SILENT"] = "true"
            import wandb

            other = wandb.init(mode="offline", dir=directory)
            rows.append(["wandb offline", *measured(other.log, other.finish, calls)])
    print_table(["", "µs a call", f"{calls:,} calls, s", "finish, s"], rows)


if __name__ == "__main__":
    main()
