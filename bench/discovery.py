"""Finding the runs of other tools: `tuitrain ls DIR` of a folder as people have them.

    python bench/discovery.py [--files 10000] [--runs 300] [--repeats 5]

The folder holds source code, configurations, prose, images, checkpoints, and runs in many formats: copies of the logs
in tests/data/corpus. Measured is the whole command, from its start to its last line: the first time, with an empty
cache, and the second time. A system's own cache of files is warm in both.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from pydoc_data.topics import topics

from common import print_table

CORPUS = Path(__file__).parents[1] / "tests/data/corpus"
GOAL_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=300, help="copies of logs; some hold several runs")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "experiments"
        fill(root, arguments.files, arguments.runs)
        first, second, found = [], [], 0
        for _ in range(arguments.repeats):
            cache = Path(folder) / "cache"
            shutil.rmtree(cache, ignore_errors=True)
            for seconds in (first, second):
                took, found = ls(root, cache)
                seconds.append(took)
        files = sum(len(names) for _, _, names in os.walk(root))
    rows = [
        (name, f"{statistics.median(taken):.2f} s", f"{min(taken):.2f}–{max(taken):.2f} s")
        for name, taken in (("the first time", first), ("the second time", second))
    ]
    print(f"{files:,} files, {found:,} runs; goal: at most {GOAL_S:g} s, the second time less")
    print_table(("tuitrain ls DIR", "median", "range"), rows)


def ls(root: Path, cache: Path) -> tuple[float, int]:
    """Seconds that the command takes, and how many runs it lists."""
    environment = {**os.environ, "TUITRAIN_CACHE_DIR": str(cache)}
    start = time.perf_counter()
    output = subprocess.run(
        [sys.executable, "-m", "tuitrain.cli", "ls", "-q", root], env=environment, check=True, capture_output=True
    ).stdout
    return time.perf_counter() - start, len(output.splitlines())


def fill(root: Path, files: int, runs: int) -> None:
    """Make the folder: the runs, and other files up to the number of files."""
    chance = random.Random(0)
    cases = sorted(path.parent / "data" for path in CORPUS.glob("*/truth.json"))
    for number, case in enumerate(islice(cycle(cases), runs)):
        shutil.copytree(case, root / f"project{number % 20}" / f"run{number}")
    count = sum(len(names) for _, _, names in os.walk(root))
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*/*.py"))
    sources = [module.read_bytes() for module in chance.sample(modules, min(400, len(modules)))]
    # So large files are rare in a folder of runs, but the beginning of each is read.
    weights = chance.randbytes(64 << 10)
    prose = "".join(topics.values())
    for number in range(max(0, files - count)):
        kind = number % 10
        where = root / f"project{number % 20}" / f"folder{number // 20 % 50}"
        where.mkdir(parents=True, exist_ok=True)
        if kind < 4:
            (where / f"module{number}.py").write_bytes(chance.choice(sources))
        elif kind == 4:
            (where / f"sweep{number}.yaml").write_text(f"lr: {chance.random()}\nmodel:\n  layers: {number % 48}\n" * 20)
        elif kind == 5:
            (where / f"config{number}.json").write_text('{"model": {"layers": 12, "loss": "ce"}, "lr": 0.001}\n')
        elif kind == 6:
            (where / f"note{number}.md").write_text(page(prose, number))
        elif kind == 7:
            (where / f"sample{number}.txt").write_text(page(prose, number + 3))
        elif kind == 8:
            (where / f"plot{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + weights[: number % 30_000])
        else:
            (where / f"checkpoint{number}.pt").write_bytes(b"PK\x03\x04\0\0archive/data.pkl\0" + weights)


def page(text: str, number: int) -> str:
    """A few thousand characters of a text."""
    start = number * 997 % (len(text) - 9000)
    return text[start : start + 2000 + number % 7000]


if __name__ == "__main__":
    main()
