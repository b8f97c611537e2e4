"""The compare screen."""

from __future__ import annotations

import pytest

from tests.tui.conftest import SIZES, chart, charts_in_sight, header, running, shown, until
from tuitrain.runs import RunDirectory
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.theme import DARK, LIGHT
from tuitrain.tui.widgets.pane import Pane


@pytest.mark.parametrize("theme", [DARK, LIGHT])
@pytest.mark.parametrize("size", SIZES)
async def test_curves_deltas_and_config(two_runs: list[RunDirectory], size: tuple[int, int], theme: str) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent, size, theme) as (app, pilot):
        assert "● llama2-tiny" in header(app)
        assert "▲ gpt2-tiny" in header(app)
        assert "deltas against llama2-tiny" in header(app)
        loss = "".join(chart(app, "loss").split("\n")[1:])
        assert "●" in loss
        assert "▲" in loss
        if size[0] == 80:
            await pilot.press("l")
            await pilot.pause()
        table = app.screen.query_one(Pane).text
        assert "throughput" in table
        assert "−50.0 %" in table
        await pilot.press("l")
        await pilot.pause()
        assert "model.norm" in app.screen.query_one(Pane).text
        assert "layernorm" in app.screen.query_one(Pane).text


async def test_wide_enough_the_config_stands_beside_the_metrics(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, _):
        assert charts_in_sight(app) == ["loss", "mfu", "throughput"]
        assert "mean throughput" in shown(app)
        assert "model.norm" in shown(app)


async def test_b_changes_the_baseline_and_x_the_axis(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("b", "x")
        assert "deltas against gpt2-tiny" in header(app)
        assert "+100.0 %" in shown(app)
        assert "tokens" in chart(app, "mfu").split("\n")[-1]


async def test_escape_goes_to_the_dashboard_of_the_same_runs(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen))
        await until(pilot, lambda: "1 of 2" in header(app))
        await pilot.press("c")
        await until(pilot, lambda: "deltas against" in header(app))
