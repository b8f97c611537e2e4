"""Makes the reports in docs/report: of four tiny runs, which it trains, and of logs of other tools.

    python docs/make_report.py [RUNS_DIR]

RUNS_DIR: where the four runs are, or are to be. Needs the engine; takes a few minutes on two cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
REPORTS = DOCS / "report"
CORPUS = Path("tests/data/corpus")
FAMILIES, RATES = ("gpt2", "llama2"), ("1e-3", "6e-3")
OTHERS = ("nanogpt-console-finished", "torchtitan-console-color", "seed003-run-json")


def main() -> None:
    runs_dir = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).absolute()
    os.chdir(DOCS.parent)
    names = [f"{family}-lr{rate}" for family in FAMILIES for rate in RATES]
    for family in FAMILIES:
        for rate in RATES:
            train(family, rate, runs_dir)
    shutil.rmtree(REPORTS / "tiny", ignore_errors=True)
    shutil.rmtree(REPORTS / "other-tools", ignore_errors=True)
    tuitrain("export", "report", *names, "--runs-dir", str(runs_dir), "--dpi", "66", "--out", str(REPORTS / "tiny"))
    logs = [str(CORPUS / name / "data") for name in OTHERS]
    tuitrain("export", "report", *logs, "--dpi", "62", "--out", str(REPORTS / "other-tools"))


def train(family: str, rate: str, runs_dir: Path) -> None:
    """150 steps of a tiny model with this learning rate, unless that run is there."""
    name = f"{family}-lr{rate}"
    if list(runs_dir.glob(f"{name}-*")):
        return
    keys = ("train.max_steps=150", "schedule.warmup_steps=15", "eval.interval=25", "sampling.interval=75",
            "checkpoint.interval=0", f"optim.lr={rate}")  # fmt: skip
    tuitrain("launch", f"{family}-tiny", *keys, "--name", name, "--foreground", "--runs-dir", str(runs_dir))


def tuitrain(*words: str) -> None:
    subprocess.run([str(Path(sys.executable).with_name("tuitrain")), *words], check=True)


if __name__ == "__main__":
    main()
