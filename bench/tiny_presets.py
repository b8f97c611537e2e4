"""Each tiny preset trained by the real engine: does the loss fall, and within a minute?

python bench/tiny_presets.py [PRESET …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import print_table
from tuitrain import events
from tuitrain.config import all_presets, load_config

LOSS_GOAL, TIME_GOAL_S = 0.8, 60.0


def train(preset: str) -> tuple[list[str], bool, str]:
    """One row of the table, whether the goals are met, and the last text sample."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder)
        (run_dir / "config.toml").write_text(load_config(preset).to_toml(), encoding="utf-8")
        started = time.monotonic()
        command = [sys.executable, "-m", "tuitrain_engine", "train", "--run-dir", str(run_dir)]
        process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seconds = time.monotonic() - started
        if process.returncode:
            sys.exit(f"{preset}: {process.stderr}")
        lines = (run_dir / "metrics.jsonl").read_bytes().splitlines()
    records = [record for line in lines if (record := events.decode(line)) is not None]
    first = next(record.loss for record in records if isinstance(record, events.Eval))
    steps = [record for record in records if isinstance(record, events.Step)]
    sample = [record for record in records if isinstance(record, events.Sample)][-1]
    summary = records[-1].summary if isinstance(records[-1], events.End) else {}
    ratio = steps[-1].loss / first if steps[-1].loss is not None else float("nan")
    row = [
        preset, str(steps[-1].step), f"{first:.3f}", f"{steps[-1].loss:.3f}", f"{summary['final_val_loss']:.3f}",
        f"{ratio:.2f}", f"{seconds:.0f}",
    ]  # fmt: skip
    return row, ratio < LOSS_GOAL and seconds < TIME_GOAL_S, sample.prompt + sample.text


def main() -> None:
    """Print the table; exit 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=[name for name in all_presets() if name.endswith("-tiny")])
    parser.add_argument("--samples", action="store_true", help="print the last text sample of each")
    options = parser.parse_args()
    results = [train(preset) for preset in options.presets]
    print_table(
        ["preset", "steps", "first eval", "last loss", "val loss", f"ratio < {LOSS_GOAL}", f"s < {TIME_GOAL_S:.0f}"],
        [row for row, _, _ in results],
    )
    if options.samples:
        for row, _, text in results:
            print(f"\n── {row[0]} ──\n{text}")
    sys.exit(0 if all(met for _, met, _ in results) else 1)


if __name__ == "__main__":
    main()
