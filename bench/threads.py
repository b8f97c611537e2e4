"""What libgomp's spinning costs a training step on the CPU, on a quiet machine and beside a busy process.

    python bench/threads.py [--preset gpt2-tiny] [--steps 30] [--rounds 5] [--spin 1000 10000 100000]

Each row is one spin policy: `default` is libgomp's own, `passive` is OMP_WAIT_POLICY=passive, a number is
GOMP_SPINCOUNT. libgomp reads the policy when it is loaded, so every measurement starts an engine process: after ten
steps of warm-up it is measured alone, then beside a process with one thread that computes without pause. Policies take
turns, round by round. A cell has the median of the rounds' medians and, in brackets, the lowest and the highest.
Claim: the value that `tuitrain launch` sets is at most 5 % slower than the default on a quiet machine, and faster
beside a busy process.
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
"""Steps after the busy process begins that are not counted."""
POLL_S = 0.2
BUSY = [sys.executable, "-c", "while True: sum(range(10**6))"]
QUIET_LIMIT = 1.05


def environment(policy: str) -> dict[str, str]:
    """This environment with one spin policy and no other."""
    kept = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if policy == "default":
        return kept
    return {**kept, **({"OMP_WAIT_POLICY": "passive"} if policy == "passive" else {"GOMP_SPINCOUNT": policy})}


def wait_for_step(run: RunDirectory, process: subprocess.Popen[bytes], step: int) -> int:
    """Wait until the log has this step; returns the newest one. Raises RuntimeError when the engine has ended."""
    while process.poll() is None:
        newest = read_snapshot(run).step
        if newest is not None and newest.step >= step:
            return newest.step
        time.sleep(POLL_S)
    raise RuntimeError(f"the engine ended with exit code {process.returncode}")


def median_step_ms(preset: str, steps: int, policy: str) -> tuple[float, float]:
    """Median step time of one training process alone, and beside a busy process."""
    overrides = ["train.max_steps=1000000", "eval.interval=0", "checkpoint.interval=0", "sampling.interval=0",
                 "train.device=cpu", "telemetry.log_interval=1"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        run.path.mkdir()
        run.config.write_text(load_config(preset, overrides).to_toml(), encoding="utf-8")
        command = [sys.executable, "-m", "tuitrain_engine", "train", "--run-dir", str(run.path)]
        engine = subprocess.Popen(command, env=environment(policy), stdout=subprocess.DEVNULL)
        busy = subprocess.Popen(BUSY)
        try:
            busy.send_signal(signal.SIGSTOP)
            quiet_end = wait_for_step(run, engine, WARM_UP_STEPS + steps)
            busy.send_signal(signal.SIGCONT)
            wait_for_step(run, engine, quiet_end + SWITCH_STEPS + steps)
            run.request("stop")
            engine.wait()
        finally:
            for process in (busy, engine):
                process.kill()
                process.wait()
        times = dict(zip(*load_history(run).steps.series("step_time_ms"), strict=True))
        alone = [time for step, time in times.items() if WARM_UP_STEPS < step <= quiet_end]
        beside = [time for step, time in times.items() if step > quiet_end + SWITCH_STEPS]
        return statistics.median(alone), statistics.median(beside)


def cell(medians: list[float], reference: float) -> str:
    """Median of the rounds, their range, and the ratio of the median to that of the default policy."""
    median = statistics.median(medians)
    return f"{median:>9.1f} [{min(medians):.1f} – {max(medians):.1f}]".ljust(30) + f"{median / reference:>6.2f}"


def main() -> int:
    """Print the table; exit 1 when the value that `launch` sets misses the claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gpt2-tiny")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spin", nargs="+", default=["1000", "10000", "100000"], metavar="POLICY")
    options = parser.parse_args()
    chosen = list(dict.fromkeys(["default", *options.spin, str(SPIN_COUNT)]))
    # The first start compiles and tokenizes; the others read the caches.
    median_step_ms(options.preset, 1, "default")
    rounds: dict[str, list[tuple[float, float]]] = {policy: [] for policy in chosen}
    for _ in range(options.rounds):
        for policy in chosen:
            rounds[policy].append(median_step_ms(options.preset, options.steps, policy))
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
