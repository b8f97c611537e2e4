"""Programs that log with other tools' own writers, one step at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TENSORBOARD = """
import sys
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter("logs/exp1")
for step in map(int, sys.stdin):
    writer.add_scalar("train/loss", 5 / step, step)
    writer.add_scalar("reward/mean", step / 10, step)
    if step % 10 == 0:
        writer.add_scalar("val/loss", 6 / step, step)
    writer.flush()
    print(step, flush=True)
"""
CSV = """
import csv, sys
with open("logs/exp1", "w", buffering=1) as file:
    writer = csv.writer(file)
    writer.writerow(["step", "loss", "val_loss", "reward/mean"])
    for step in map(int, sys.stdin):
        writer.writerow([step, 5 / step, 6 / step if step % 10 == 0 else "", step / 10])
        print(step, flush=True)
"""
# W&B keeps what does not fill a block of 32 KiB for itself: the text in the summary fills two.
WANDB = """
import os, sys
os.environ |= dict.fromkeys(("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"), os.getcwd())
os.environ["WANDB_ERROR_REPORTING"] = "false"
import wandb
settings = wandb.Settings(mode="offline", silent=True, x_stats_sampling_interval=0.1)
run = wandb.init(dir="logs", project="p", name="exp1", config={"model": {"layers": 2}}, settings=settings)
run.define_metric("epoch")
run.define_metric("val/*", step_metric="epoch")
for step in map(int, sys.stdin):
    values = {"train/loss": 5 / step, "reward": {"mean": step / 10, "by": {"0": step}}, "epoch": step // 10}
    if step % 10 == 0:
        values["val/loss"] = 6 / step
    run.log(values, step=step, commit=True)
    run.summary["text"] = "x" * 70_000
    print(step, flush=True)
run.finish(exit_code=3)
"""
# The first lines that trackio prints are no steps.
TRACKIO = """
import os, sys
os.environ["TRACKIO_DIR"] = "logs"
steps, sys.stdout = sys.stdout, sys.stderr
import trackio
trackio.init(project="p", name="exp1", config={"model": {"layers": 2}})
for step in map(int, sys.stdin):
    values = {"train/loss": 5 / step, "reward": {"mean": step / 10, "nan": float("nan")}}
    if step % 10 == 0:
        values["val/loss"] = 6 / step
    trackio.log(values, step=step)
    print(step, flush=True, file=steps)
trackio.finish()
"""


@contextmanager
def writer(program: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that logs the steps that it is told below `logs`, one at a time."""
    (folder / "logs").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.communicate(timeout=60)


def log_steps(process: subprocess.Popen[str], first: int, last: int) -> None:
    """Let it log these steps, and wait until it has."""
    assert process.stdin is not None and process.stdout is not None
    for step in range(first, last + 1):
        process.stdin.write(f"{step}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{step}\n"
