"""What libgomp's spinning costs a training step on the CPU, on a quiet machine and beside a busy process.

    python bench/threads.py [--preset gpt2-tiny] [--steps 15] [--rounds 5] [--spin 1000 10000 100000]

Each row is one spin policy: `default` is libgomp's own, `passive` is OMP_WAIT_POLICY=passive, a number is
GOMP_SPINCOUNT. libgomp reads the policy when it is loaded, so each policy has an engine process of its own. They are
started one after the other and suspended after a warm-up; then they take turns, round by round: each runs its steps
alone, and again beside a process with one thread that computes without pause, while the others are suspended. A cell
has the median of the rounds' medians and, in brackets, the lowest and the highest. Claim: the value that
`tuitrain launch` sets is at most 5 % slower than the default on a quiet machine, and faster beside a busy process.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tuitrain.config import load_config
from tuitrain.launch.local import SPIN_COUNT
from tuitrain.runs import RunDirectory, load_history, read_snapshot

WARM_UP_STEPS = 10
SWITCH_STEPS = 3
"""Steps after a process was resumed that are not counted."""
POLL_S = 0.2
BUSY = [sys.executable, "-c", "while True: sum(range(10**6))"]
QUIET_LIMIT = 1.05


def environment(policy: str) -> dict[str, str]:
    """This environment with one spin policy and no other."""
    kept = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if policy == "default":
        return kept
    return {**kept, **({"OMP_WAIT_POLICY": "passive"} if policy == "passive" else {"GOMP_SPINCOUNT": policy})}


class Engine:
    """An engine process with one spin policy, suspended except while it is measured."""

    def __init__(self, directory: Path, preset: str, policy: str) -> None:
        """Start it and wait for the end of the warm-up."""
        overrides = ["train.max_steps=1000000", "eval.interval=0", "checkpoint.interval=0", "sampling.interval=0",
                     "train.device=cpu", "telemetry.log_interval=1"]  # fmt: skip
        self.run = RunDirectory(directory)
        directory.mkdir()
        self.run.config.write_text(load_config(preset, overrides).to_toml(), encoding="utf-8")
        command = [sys.executable, "-m", "tuitrain_engine", "train", "--run-dir", str(directory)]
        self.process = subprocess.Popen(command, env=environment(policy), stdout=subprocess.DEVNULL)
        self._wait_for_step(WARM_UP_STEPS)
        self.process.send_signal(signal.SIGSTOP)

    def median_step_ms(self, steps: int) -> float:
        """Resume it for at least so many steps; their median time."""
        first = self._newest_step() + SWITCH_STEPS
        self.process.send_signal(signal.SIGCONT)
        self._wait_for_step(first + steps)
        self.process.send_signal(signal.SIGSTOP)
        numbers, times = load_history(self.run).steps.series("step_time_ms")
        return float(statistics.median(times[numbers > first]))

    def _wait_for_step(self, step: int) -> None:
        while self._newest_step() < step:
            if self.process.poll() is not None:
                raise RuntimeError(f"the engine ended with exit code {self.process.returncode}")
            time.sleep(POLL_S)

    def _newest_step(self) -> int:
        newest = read_snapshot(self.run).step
        return 0 if newest is None else newest.step


def measure(directory: Path, options: argparse.Namespace, policies: list[str]) -> dict[str, list[tuple[float, float]]]:
    """For each policy and round the median step time in milliseconds alone, and beside a busy process."""
    rounds: dict[str, list[tuple[float, float]]] = {policy: [] for policy in policies}
    engines: dict[str, Engine] = {}
    busy = subprocess.Popen(BUSY)
    busy.send_signal(signal.SIGSTOP)
    try:
        for policy in policies:
            engines[policy] = Engine(directory / policy, options.preset, policy)
        for _ in range(options.rounds):
            for policy, engine in engines.items():
                alone = engine.median_step_ms(options.steps)
                busy.send_signal(signal.SIGCONT)
                beside = engine.median_step_ms(options.steps)
                busy.send_signal(signal.SIGSTOP)
                rounds[policy].append((alone, beside))
    finally:
        for process in (busy, *(engine.process for engine in engines.values())):
            process.kill()
            process.wait()
    return rounds


def cell(medians: list[float], reference: float) -> str:
    """Median of the rounds, their range, and the ratio of the median to that of the default policy."""
    median = statistics.median(medians)
    return f"{median:>9.1f} [{min(medians):.1f} – {max(medians):.1f}]".ljust(30) + f"{median / reference:>6.2f}"


def main() -> int:
    """Print the table; exit 1 when the value that `launch` sets misses the claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gpt2-tiny")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spin", nargs="+", default=["1000", "10000", "100000"], metavar="POLICY")
    options = parser.parse_args()
    chosen = list(dict.fromkeys(["default", *options.spin, str(SPIN_COUNT)]))
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(Path(folder), options, chosen)
    quiet, beside = ({policy: [pair[side] for pair in rounds[policy]] for policy in chosen} for side in (0, 1))
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"{options.preset}, {machine}; {options.rounds} rounds of {options.steps} steps or more")
    print(f"{'policy':<10}{'quiet, ms':>9}{'ratio':>27}{'beside, ms':>13}{'ratio':>23}")
    reference = statistics.median(quiet["default"]), statistics.median(beside["default"])
    for policy in chosen:
        print(f"{policy:<10}{cell(quiet[policy], reference[0])}{cell(beside[policy], reference[1])}", flush=True)
    ours = statistics.median(quiet[str(SPIN_COUNT)]), statistics.median(beside[str(SPIN_COUNT)])
    return 0 if ours[0] <= QUIET_LIMIT * reference[0] and ours[1] < reference[1] else 1


if __name__ == "__main__":
    sys.exit(main())
