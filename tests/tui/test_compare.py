"""The compare screen."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.support import write_run
from tests.tui.conftest import (
    SIZES,
    chart,
    charts_in_sight,
    dashboard,
    forget,
    header,
    resize,
    running,
    until,
    wait_for_notification,
)
from tests.tui.screen import screen_text
from tuitrain.export.figures import panel_figure
from tuitrain.export.style import figure_style
from tuitrain.runs import RunDirectory, find_run
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.screens.dialogs import Choice, Prompt
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.theme import DARK, LIGHT
from tuitrain.tui.widgets.chart import Chart


async def test_curves_deltas_and_config(two_runs: list[RunDirectory]) -> None:
    """At every size, and in a light theme at one of them."""
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        for size, theme in (*((size, DARK) for size in SIZES), (SIZES[-1], LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            assert "● llama2-tiny" in header(app), (size, theme)
            assert "▲ gpt2-tiny" in header(app), (size, theme)
            assert "deltas against llama2-tiny" in header(app), (size, theme)
            loss = "".join(chart(app, "loss").split("\n")[1:])
            assert "●" in loss, (size, theme)
            assert "▲" in loss, (size, theme)
            if size[0] == 80:
                await pilot.press("b")
                await pilot.pause()
            table = screen_text(app)
            assert "throughput" in table, (size, theme)
            assert "−50.0 %" in table, (size, theme)
            await pilot.press("b", "b")
            await pilot.pause()
            assert "model.norm" in screen_text(app), (size, theme)
            assert "layernorm" in screen_text(app), (size, theme)
            await pilot.press("b")


async def test_the_findings_are_a_tab(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        for size in SIZES:
            await resize(pilot, size)
            await pilot.press(*["b"] * (2 if size[0] == 80 else 1))
            await pilot.pause()
            text = " ".join(screen_text(app).split())
            assert "llama2-tiny is the best in" in text, size
            speeds = "llama2-tiny trains 2.00 times the tokens per second of gpt2-tiny (400 k against 200 k) ="
            assert speeds in text, size
            assert "A token costs llama2-tiny" in text, size
            if size[0] > 80:
                assert "what the speeds are made of" in text, size
            await pilot.press("b")
            await pilot.pause()
            assert "is the best in" not in screen_text(app), size
            await pilot.press("b")


async def test_one_run_has_no_findings(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs[:1], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("b")
        await pilot.pause()
        assert "no findings: they compare several runs" in screen_text(app)
        assert "what the speeds are made of" not in screen_text(app)


async def test_a_wide_terminal_has_the_config_beside_the_metrics(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, _):
        assert charts_in_sight(app) == ["loss", "mfu", "throughput"]
        assert "mean throughput" in screen_text(app)
        assert "model.norm" in screen_text(app)


async def test_logs_without_a_configuration_are_not_said_to_have_the_same(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("step,loss\n1,2.5\n2,2.25\n")
    runs = [find_run(str(tmp_path / name), tmp_path) for name in ("a.csv", "b.csv")]
    async with running("compare", runs, tmp_path) as (app, pilot):
        await until(pilot, lambda: "unknown (the logs hold none)" in screen_text(app))


async def test_a_changes_the_baseline_and_x_the_axis(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("a", "x")
        assert "deltas against gpt2-tiny" in header(app)
        assert "+100.0 %" in screen_text(app)
        assert "tokens" in chart(app, "mfu").split("\n")[-1]


async def test_escape_goes_to_the_dashboard_of_the_same_runs(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen))
        await until(pilot, lambda: "1 of 2" in header(app))
        await pilot.press("c")
        await until(pilot, lambda: "deltas against" in header(app))


async def test_x_selects_the_next_axis_except_the_clock(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        axes = [app.state.x]
        for _ in range(4):
            await pilot.press("x")
            axes.append(app.state.x)
        assert axes == ["step", "tokens", "time", "flops", "step"]
        app.state.x = "clock"
        await pilot.press("escape", "c")
        await until(pilot, lambda: "deltas against" in header(app))
        assert app.state.x == "time"


async def test_runs_of_different_lengths_are_also_compared_at_their_shared_point(tmp_path: Path) -> None:
    long = write_run(tmp_path, "llama2-tiny-20260101-120000-aaaa", steps=100)
    short = write_run(tmp_path, "gpt2-tiny-20260101-130000-bbbb", preset="gpt2-tiny", steps=60)
    async with running("compare", [long, short], tmp_path, (200, 60)) as (app, pilot):
        table = screen_text(app)
        assert "each run at step 60" in table
        # 60 lies between the evaluations at 50 and 75.
        assert "validation loss, interpolated" in table
        await pilot.press("x")
        assert "each run at 123 k tokens" in screen_text(app)


async def test_runs_of_one_length_have_no_metrics_at_a_shared_point(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, _):
        assert "each run at " not in screen_text(app)


async def test_the_header_starts_the_verdict_and_the_tab_continues_it(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, _):
        assert "llama2-tiny has the lower validation loss: 3." in header(app)
        assert screen_text(app).count("lower validation loss") == 1
        assert "llama2-tiny is faster" in screen_text(app)


async def test_a_run_without_metrics_is_compared_too(two_runs: list[RunDirectory]) -> None:
    empty = RunDirectory(two_runs[0].path.parent / "imported")
    empty.path.mkdir()
    empty.metrics.touch()
    async with running("compare", [*two_runs, empty], empty.path.parent) as (app, pilot):
        assert "■ imported" in header(app)
        table = screen_text(app)
        assert "n/a" in table
        assert "−50.0 %" in table
        await pilot.press("a", "a")
        assert "deltas against imported" in header(app)


@pytest.fixture
def seeds(tmp_path: Path) -> list[RunDirectory]:
    """Two seeds of one learning rate, and two of another."""
    return [
        write_run(
            tmp_path, f"llama2-tiny-20260101-12000{index}-abc{index}", floor=2.0 + index / 10,
            overrides=(f"optim.lr={rate}", f"train.seed={index % 2}"),
        )
        for index, rate in enumerate((0.001, 0.001, 0.002, 0.002))
    ]  # fmt: skip


async def test_runs_with_the_same_value_form_a_group(seeds: list[RunDirectory]) -> None:
    async with running("compare", seeds, seeds[0].path.parent) as (app, pilot):
        app.state.group_by = "optim.lr"
        await pilot.press("x")
        assert "● lr=0.001 (2 runs)" in header(app)
        assert "▲ lr=0.002 (2 runs)" in header(app)
        assert "lr=0.001 has the lower validation loss" in header(app)
        assert "mean ± std at the end" in screen_text(app)
        loss = chart(app, "loss")
        assert "mean ± std" in loss
        body = "".join(loss.split("\n")[1:])
        assert "●" in body
        assert "▲" in body
        await pilot.press("a")
        assert "deltas against lr=0.002 (2 runs)" in header(app)


async def test_glyphs_replace_the_names_of_many_runs(seeds: list[RunDirectory]) -> None:
    async with running("compare", seeds, seeds[0].path.parent, (120, 35)) as (app, _):
        table = screen_text(app)
        assert "final validation loss" in table
        assert "abc2" not in table.split("final validation loss")[0].split("\n")[-2]
        assert all(mark in table for mark in "●▲■◆")


async def test_the_key_of_the_groups_is_one_in_which_the_runs_differ(seeds: list[RunDirectory]) -> None:
    async with running("compare", seeds, seeds[0].path.parent) as (app, pilot):
        await pilot.press("m")
        options = app.screen.query_one(OptionList)
        assert [option.id for option in options.options] == [
            "none", "tag", "preset", "name", "optim.lr", "train.seed",
        ]  # fmt: skip
        await pilot.press("down", "down", "down", "down", "down", "enter")
        await until(pilot, lambda: "seed=0 (2 runs)" in header(app))
        await pilot.press("m", "enter")
        await until(pilot, lambda: "abc3" in header(app))
        assert app.state.group_by == ""


async def test_an_unknown_key_makes_no_groups(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        app.state.group_by = "no.such.key"
        await pilot.press("x")
        assert "● llama2-tiny" in header(app)
        assert "throughput" in screen_text(app)


def ranges_of_axes(app: TuitrainApp) -> set[tuple[float, float]]:
    """The ranges of the visible horizontal axes."""
    scales = [each.areas[0].scale for each in app.screen.query(Chart) if each.areas]
    return {(scale.low, scale.high) for scale in scales}


@pytest.mark.parametrize(("screen", "axes"), [("compare", ["step", "time"]), ("watch", ["step", "time", "clock"])])
async def test_all_charts_have_one_horizontal_axis(tmp_path: Path, screen: str, axes: list[str]) -> None:
    slow = write_run(tmp_path, "llama2-tiny-20260101-120000-aaaa", steps=200, tokens_per_sec=1e4, start=1e9)
    quick = write_run(tmp_path, "gpt2-tiny-20260101-130000-bbbb", preset="gpt2-tiny", steps=60, start=1e9 + 50)
    # The long run has no values of speed.
    forget(slow, "mfu", "mfu_causal", "tflops")
    async with running(screen, [slow, quick], tmp_path) as (app, pilot):
        for axis in axes:
            while app.state.x != axis:
                await pilot.press("x")
            await pilot.pause()
            assert len(ranges_of_axes(app)) == 1, axis
            await pilot.press("X", "i")
            await pilot.pause()
            assert len(ranges_of_axes(app)) == 1, axis
            assert "│" in "".join(row[1:-1] for row in chart(app, "mfu").split("\n")[1:-1]), axis
            await pilot.press("X", "i")


async def exported(app: TuitrainApp, pilot: Pilot[None], kind: str) -> Path:
    """The file that the panel in focus is written to."""
    await pilot.press("e")
    await until(pilot, lambda: isinstance(app.screen, Choice))
    await pilot.press(kind[0])
    out = Path.cwd() / f"tuitrain-loss-{app.state.x}.{kind}"
    await until(pilot, out.exists)
    await app.workers.wait_for_complete()
    return out


async def test_groups_are_exported_as_means_with_deviations(
    seeds: list[RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(seeds[0].path.parent)
    async with running("compare", seeds, seeds[0].path.parent) as (app, pilot):
        app.state.group_by = "optim.lr"
        await pilot.press("x")
        with (await exported(app, pilot, "csv")).open(newline="") as file:
            head, *body = list(csv.reader(file))
        groups = ("lr=0.001 (2 runs)", "lr=0.002 (2 runs)")
        assert head == ["tokens", *(f"loss {group} {what}" for group in groups for what in ("mean", "std"))]
        assert len(body) == 512
        # The floors of the two losses of a group are 0.1 apart.
        assert {row[2] for row in body if abs(float(row[2]) - 0.1 / 2**0.5) > 1e-9} == set()
        plot = dashboard(app).panels[0].build(app.state)
    with figure_style():
        axes = panel_figure(plot, (7.6, 4.4)).axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(groups)
    assert len(axes.get_lines()) == len(axes.collections) == 2
    for curve, line, band in zip(plot.curves, axes.get_lines(), axes.collections, strict=True):
        assert (np.diff(line.get_xdata()) > 0).all()
        assert curve.std is not None
        edges = band.get_paths()[0].vertices[:, 1]
        assert edges.max() == pytest.approx((curve.y + curve.std).max())
        assert edges.min() == pytest.approx((curve.y - curve.std).min())


async def test_an_exported_figure_names_the_smoothing(
    two_runs: list[RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(two_runs[0].path.parent)
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        assert "smoothed: EMA 0.9" in (await exported(app, pilot, "svg")).read_text()
        Path("tuitrain-loss-step.svg").unlink()
        app.state.smoothing = 0.0
        assert "smoothed" not in (await exported(app, pilot, "svg")).read_text()


async def test_the_smallest_terminals_raise_no_error(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent, (10, 3)) as (app, pilot):
        for size in ((10, 3), (40, 10)):
            await resize(pilot, size)
            await pilot.press("b", "x", "a", "b", "z")
            await resize(pilot, (200, 50))
            await until(pilot, lambda: "deltas against" in header(app))


async def test_runs_are_compared_where_each_came_to_a_loss(two_runs: list[RunDirectory]) -> None:
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press(*"val_loss=3.8", "enter")
        await until(pilot, lambda: "where each reached a validation loss of 3.8" in screen_text(app))
        assert "reached a validation loss of 3.8 with the least" in header(app)
        await pilot.press("v", *["backspace"] * 12, *"step=1e9", "enter")
        await wait_for_notification(app, pilot, "no run has reached step")
        assert "where each reached" in screen_text(app)
        await pilot.press("v", *["backspace"] * 12, "enter")
        await until(pilot, lambda: "at the end of each run" in screen_text(app))
