"""Figures of long runs: seconds, the most memory held at once, and the size of the files.

    python bench/figures.py [--steps 10000 100000 1000000] [--only analysis ...]

The log has the twelve metrics of the engine's steps, with noise, so that no two columns of pixels are alike. Measured
is the whole command, which reads the log, once as PNG and once as PDF.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

from common import print_table

FIGURES = ("analysis", "learning", "loss_accuracy", "step_time")
CHUNK = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for steps in arguments.steps:
            log = Path(folder) / f"run-{steps}" / "metrics.jsonl"
            write_log(log, steps)
            for figure in arguments.only:
                for kind in ("png", "pdf"):
                    seconds, peak_mb, file = export(log.parent, figure, kind, Path(folder) / "figures")
                    rows.append((f"{steps:,}", figure, kind, f"{seconds:.1f} s", f"{peak_mb:,.0f} MB",
                                 f"{file / 1e3:,.0f} kB"))  # fmt: skip
            log.unlink()
    print_table(["steps", "figure", "format", "time", "peak RSS", "file"], rows)


def write_log(path: Path, steps: int) -> None:
    """A log of steps as the engine writes them."""
    path.parent.mkdir(parents=True)
    random = np.random.default_rng(7)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"run","time":1e9,"run_id":"long","name":"long","schema":1}\n')
        for first in range(1, steps + 1, CHUNK):
            step = np.arange(first, min(first + CHUNK, steps + 1))
            noise = random.normal(size=(4, len(step)))
            loss = 2 + 8 * step**-0.3 + 0.1 * noise[0]
            speed = 4e5 * (1 + 0.03 * noise[1])
            columns = (step, 1e9 + 0.1 * step, step * 32768, loss, 0.6 - 0.05 * loss, speed, 1000 * 32768 / speed,
                       1 + 0.1 * np.abs(noise[2]), speed / 1e6, np.abs(0.5 + 0.1 * noise[3]))  # fmt: skip
            names = ("step", "time", "tokens", "loss", "accuracy", "tokens_per_sec", "step_time_ms", "data_time_ms",
                     "mfu", "grad_norm")  # fmt: skip
            rest = {"type": "step", "lr": 3e-4, "mem_allocated_gb": 41.2, "mem_peak_gb": 63.1}
            rows = zip(*(column.tolist() for column in columns), strict=True)
            file.writelines(
                json.dumps(rest | dict(zip(names, row, strict=True)), separators=(",", ":")) + "\n" for row in rows
            )


def export(run: Path, figure: str, kind: str, out: Path) -> tuple[float, float, int]:
    """Seconds of the command, its largest resident set in MB, and the bytes of the file."""
    script = Path(sysconfig.get_path("scripts")) / "tuitrain"
    command = [sys.executable, script, "export", "plots", run, "--figure", figure, "--format", kind, "--out", out]
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = Path(process.stdout.read().strip())
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{figure} of {run.name} failed")
    return seconds, usage.ru_maxrss / 1e3, path.stat().st_size


if __name__ == "__main__":
    main()
