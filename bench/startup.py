"""How long `tuitrain --help` takes against `python -c "import typer"`. Claim: at most twice.

    python bench/startup.py [--runs 21]

Both are started in turn, pair by pair, so that what else the machine does hits them alike.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time

BASELINE = [sys.executable, "-c", "import typer"]
COMMANDS = {
    "tuitrain --help": [sys.executable, "-m", "tuitrain.cli", "--help"],
    "tuitrain launch --help": [sys.executable, "-m", "tuitrain.cli", "launch", "--help"],
    "tuitrain --version": [sys.executable, "-m", "tuitrain.cli", "--version"],
}
LIMIT = 2.0


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Print the table; exit 1 when `--help` takes more than LIMIT times the baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21, help="pairs; the median counts")
    runs = parser.parse_args().runs
    for command in (BASELINE, *COMMANDS.values()):
        seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    base: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            base[name].append(seconds(BASELINE))
            taken[name].append(seconds(command))
    print(f"Python {platform.python_version()}, {platform.machine()}, median of {runs}")
    print(f"{'command':<26}{'import typer':>14}{'command':>10}{'ratio':>8}")
    ratios = {}
    for name in COMMANDS:
        before, after = statistics.median(base[name]), statistics.median(taken[name])
        ratios[name] = after / before
        print(f"{name:<26}{1000 * before:>11.0f} ms{1000 * after:>7.0f} ms{ratios[name]:>8.2f}")
    ratio = ratios["tuitrain --help"]
    ok = ratio <= LIMIT
    print(f"tuitrain --help: {ratio:.2f} times `import typer`; at most {LIMIT}: {'ok' if ok else 'NO'}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
