"""What libgomp's spinning costs a training step on the CPU, on a quiet machine and beside a busy process.

    python bench/threads.py [--preset gpt2-tiny] [--steps 40] [--rounds 3] [--spin default 0 1000 10000 100000 passive]

Each row is one spin policy: `default` is libgomp's own, `passive` is OMP_WAIT_POLICY=passive, a number is
GOMP_SPINCOUNT. The engine is started as its own process for each measurement, since libgomp reads the policy when it
is loaded; policies take turns, round by round, and the median of all steps but the first ten of a process counts.
Beside: a process with one thread that computes without pause runs at the same time. Claim: the value that
`tuitrain launch` sets is at most 5 % slower than the default on a quiet machine, and faster beside a busy process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tuitrain.config import load_config
from tuitrain.launch.local import SPIN_COUNT
from tuitrain.runs import RunDirectory, load_history

WARM_UP_STEPS = 10
BUSY = [sys.executable, "-c", "while True: sum(range(10**6))"]
QUIET_LIMIT = 1.05


def environment(policy: str) -> dict[str, str]:
    """This environment with one spin policy and no other."""
    kept = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if policy == "default":
        return kept
    return {**kept, **({"OMP_WAIT_POLICY": "passive"} if policy == "passive" else {"GOMP_SPINCOUNT": policy})}


def step_ms(preset: str, steps: int, policy: str) -> list[float]:
    """Times of the steps of one training process, without the warm-up."""
    overrides = [f"train.max_steps={steps + WARM_UP_STEPS}", "eval.interval=0", "checkpoint.interval=0",
                 "sampling.interval=0", "train.device=cpu", "telemetry.log_interval=1"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        run.path.mkdir()
        run.config.write_text(load_config(preset, overrides).to_toml(), encoding="utf-8")
        command = [sys.executable, "-m", "tuitrain_engine", "train", "--run-dir", str(run.path)]
        subprocess.run(command, env=environment(policy), check=True, stdout=subprocess.DEVNULL)
        _, times = load_history(run).steps.series("step_time_ms")
        return [float(time) for time in times[WARM_UP_STEPS:]]


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """A process with one thread that computes without pause."""
    process = subprocess.Popen(BUSY)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> int:
    """Print the table; exit 1 when the value that `launch` sets misses the claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gpt2-tiny")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    policies = ["default", "0", "1000", "10000", "100000", "passive"]
    parser.add_argument("--spin", nargs="+", default=policies, metavar="POLICY")
    options = parser.parse_args()
    chosen = list(dict.fromkeys(["default", *options.spin, str(SPIN_COUNT)]))
    quiet: dict[str, list[float]] = {policy: [] for policy in chosen}
    busy: dict[str, list[float]] = {policy: [] for policy in chosen}
    for _ in range(options.rounds):
        for policy in chosen:
            quiet[policy] += step_ms(options.preset, options.steps, policy)
            with busy_process():
                busy[policy] += step_ms(options.preset, options.steps, policy)
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"{options.preset}, {machine}; medians of {options.rounds} × {options.steps} steps")
    print(f"{'policy':<10}{'quiet, ms':>12}{'ratio':>8}{'beside, ms':>13}{'ratio':>8}")
    medians = {policy: (statistics.median(quiet[policy]), statistics.median(busy[policy])) for policy in chosen}
    for policy, (alone, beside) in medians.items():
        ratios = alone / medians["default"][0], beside / medians["default"][1]
        print(f"{policy:<10}{alone:>12.1f}{ratios[0]:>8.2f}{beside:>13.1f}{ratios[1]:>8.2f}")
    alone, beside = medians[str(SPIN_COUNT)]
    return 0 if alone <= QUIET_LIMIT * medians["default"][0] and beside < medians["default"][1] else 1


if __name__ == "__main__":
    sys.exit(main())
