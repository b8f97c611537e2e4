"""CPU seconds of commands on many runs and on logs in disorder. Claims: `ls` of 3,000 runs in 2 s, and a log costs
what it is long, whatever the order of its steps.

    python bench/disorder.py [--runs 3000] [--steps 20000]
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tuitrain.events import End, Eval, Run, Step, encode

LIST_LIMIT_S = 2.0
LIMIT = 2.0
"""Times the same log in order."""
CHEAP = {"watch": ["watch", "--once"], "show": ["show"], "export metrics": ["export", "metrics", "--format", "csv"]}


def write(path: Path, steps: Iterable[int]) -> Path:
    """A log with these steps, in their order."""
    with path.open("wb") as log:
        log.write(encode(Run(time=1.7e9, run_id=path.parent.name, name="bench", total_steps=100)))
        for row, step in enumerate(steps):
            record = Step(
                time=1.7e9 + row, step=step, tokens=1000 * step, loss=2 + 1 / (step + 1), accuracy=0.5, lr=1e-3,
                step_time_ms=10.0, data_time_ms=1.0, tokens_per_sec=1e5, tflops=1.0, mfu=0.4, mfu_causal=0.4,
                mem_allocated_gb=1.0, mem_peak_gb=1.0, mem_reserved_gb=1.0, grad_norm=0.3,
            )  # fmt: skip
            log.write(encode(record))
        log.write(encode(Eval(time=1.8e9, step=0, loss=2.0)) + encode(End(time=1.8e9, status="completed")))
    return path


def cpu_seconds(*words: str) -> float:
    """CPU time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "tuitrain.cli", *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def orders(count: int) -> dict[str, list[int]]:
    """The steps of a log in several orders."""
    ordered = list(range(1, count + 1))
    shuffled = random.Random(1).sample(ordered, count)
    return {
        "in order": ordered,
        "reverse": ordered[::-1],
        "shuffled": shuffled,
        "each twice": [step for step in ordered[: count // 2] for _ in range(2)],
        "restarts": [start + step for start in range(1, count, 2) for step in range(4)][:count],
    }


def main() -> int:
    """Print the tables; exit 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=20000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(given.runs):
            directory = root / "runs" / f"bench-20260101-{number:06d}-abcd"
            directory.mkdir(parents=True)
            write(directory / "metrics.jsonl", range(1, 41))
        listing = cpu_seconds("ls", "--runs-dir", str(root / "runs"))
        print(f"ls of {given.runs:,} runs: {listing:.2f} s of CPU; at most {LIST_LIMIT_S}")
        ok = listing <= LIST_LIMIT_S
        print(f"{given.steps:,} steps" + "".join(f"{name:>18}" for name in CHEAP))
        first: dict[str, float] = {}
        for name, steps in orders(given.steps).items():
            path = str(write(root / "log.jsonl", steps))
            taken = {}
            for command, words in CHEAP.items():
                out = ["--out", str(root / "out.csv")] if "metrics" in words else []
                taken[command] = cpu_seconds(*words, path, *out)
            first = first or taken
            print(f"{name:<12}" + "".join(f"{seconds:>16.2f} s" for seconds in taken.values()))
            ok &= all(taken[command] <= LIMIT * first[command] for command in CHEAP)
    print("ok" if ok else "NO")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
