"""The dashboard follows logs while other tools' own writers write them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.tui.conftest import header, running, until
from tests.tui.screen import screen_text
from tests.writers import CSV, TENSORBOARD, TRACKIO, WANDB, log_steps, writer
from tuitrain.runs import find_run, list_runs


@pytest.mark.parametrize("program", [TENSORBOARD, CSV, WANDB, TRACKIO], ids=["tensorboard", "csv", "wandb", "trackio"])
async def test_the_dashboard_follows_a_writer(program: str, tmp_path: Path) -> None:
    if program == TRACKIO:
        pytest.importorskip("trackio", reason="trackio needs an older pillow than constraints.txt has")
    with writer(program, tmp_path) as process:
        log_steps(process, 1, 20)
        while not (runs := list_runs(tmp_path / "logs")):  # trackio writes every half second
            await asyncio.sleep(0.05)
        async with running("watch", runs, tmp_path) as (app, pilot):
            await until(pilot, lambda: "step 20" in header(app))
            assert "● running" in header(app)
            assert "loss 0.250" in header(app)
            assert "val 0.300" in header(app)
            log_steps(process, 21, 40)
            await until(pilot, lambda: "step 40" in header(app))
            assert "loss 0.125" in header(app)
            assert "val 0.150" in header(app)
            assert "exp1" in screen_text(app)


async def test_the_list_of_runs_has_the_logs_that_are_watched(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss\n1,2.5\n2,2.25\n")
    (tmp_path / "own").mkdir()
    async with running("runs", [find_run(str(tmp_path / "a.csv"), tmp_path)], tmp_path / "own") as (app, pilot):
        await until(pilot, lambda: "a.csv" in screen_text(app) and "2.25" in screen_text(app))
