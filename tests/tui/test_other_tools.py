"""The dashboard follows logs while other tools' own writers write them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tui.conftest import header, running, until
from tests.tui.screen import screen_text
from tuitrain.runs import find_run

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


@contextmanager
def writer(program: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that logs the steps that it is told, one at a time."""
    (folder / "logs").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.communicate(timeout=60)


def log(process: subprocess.Popen[str], first: int, last: int) -> None:
    """Let it log these steps, and wait until it has."""
    assert process.stdin is not None and process.stdout is not None
    for step in range(first, last + 1):
        process.stdin.write(f"{step}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{step}\n"


@pytest.mark.parametrize("program", [TENSORBOARD, CSV], ids=["tensorboard", "csv"])
async def test_the_dashboard_follows_a_writer(program: str, tmp_path: Path) -> None:
    with writer(program, tmp_path) as process:
        log(process, 1, 20)
        run = find_run(str(tmp_path / "logs/exp1"), tmp_path)
        async with running("watch", [run], tmp_path) as (app, pilot):
            await until(pilot, lambda: "step 20" in header(app))
            assert "● running" in header(app)
            assert "loss 0.250" in header(app)
            assert "val 0.300" in header(app)
            log(process, 21, 40)
            await until(pilot, lambda: "step 40" in header(app))
            assert "loss 0.125" in header(app)
            assert "val 0.150" in header(app)
            assert "exp1" in screen_text(app)


async def test_the_list_of_runs_has_the_logs_that_are_watched(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss\n1,2.5\n2,2.25\n")
    (tmp_path / "own").mkdir()
    async with running("runs", [find_run(str(tmp_path / "a.csv"), tmp_path)], tmp_path / "own") as (app, pilot):
        await until(pilot, lambda: "a.csv" in screen_text(app) and "2.25" in screen_text(app))
