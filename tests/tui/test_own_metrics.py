"""Metrics of one's own on the screens: pages after those of the layout, search, metrics that come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import write_own_metrics, write_run
from tests.tui.conftest import SIZES, chart, chart_of, charts_in_sight, dashboard, resize, running, until
from tests.tui.screen import screen_lines, screen_text
from tuitrain.events import EventWriter, Run, Step
from tuitrain.plots.model import HeatMap, Plot
from tuitrain.plots.panels import Panel
from tuitrain.plots.panels.catalog import panel_of
from tuitrain.plots.panels.choice import with_own
from tuitrain.plots.panels.layouts import parse
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.frame import render_frame, view_of
from tuitrain.tui.settings import Settings
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.chart import Chart

NAMES = [f"group{group}/metric_{number}" for group in range(12) for number in range(25)]
MANY = [{name: float(step + at) for at, name in enumerate(NAMES)} for step in range(9)]
OVERVIEW = ["loss", "mfu", "throughput", "memory", "grad_norm", "lr"]


@pytest.fixture
def many(tmp_path: Path) -> RunDirectory:
    """A run with a loss and 300 metrics in 12 groups."""
    return write_own_metrics(tmp_path, "many-20260101-000000-0000", MANY, loss=True)


@pytest.fixture
def rl(tmp_path: Path) -> RunDirectory:
    """A run without a loss."""
    own = [{"reward/mean": step / 10, "kl": 1 / (step + 1)} for step in range(20)]
    return write_own_metrics(tmp_path, "ppo-20260101-000000-0000", own)


async def test_panels_without_data_give_way(rl: RunDirectory) -> None:
    async with running("watch", [rl], rl.path.parent) as (app, _):
        assert charts_in_sight(app) == ["kl", "reward/mean"]
        assert "no data" not in screen_text(app)
        assert "loss n/a" in screen_lines(app)[1]


async def test_a_run_without_metrics_of_its_own_has_its_layout(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    async with running("watch", [run], tmp_path) as (app, _):
        assert charts_in_sight(app) == OVERVIEW


async def test_a_layout_names_metrics_by_their_names_and_by_patterns(tmp_path: Path) -> None:
    own = [{"reward/mean": step / 10, "reward/std": 1.0, "kl": 1 / (step + 1), "acc:1": 1.0} for step in range(20)]
    run = write_own_metrics(tmp_path, "ppo-20260101-000000-0000", own, loss=True)
    settings = Settings(layout="mine", layouts={"mine": ["reward/*", "lr", "k[l]:2", "acc:1:1", "loss", "los", "no/*"]})
    app = TuitrainApp("watch", [run], tmp_path, settings=settings)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: app.state.runs[0].loaded and "no metric" in screen_text(app))
        assert charts_in_sight(app) == ["reward/mean", "reward/std", "kl", "acc:1", "loss", "los", "no/*"]
        assert "the log has no metric 'los'. Did you mean 'loss'?" in screen_text(app)
        assert "no metric of one's own matches no/*" in screen_text(app)
        wide, usual = (chart_of(app, panel).size.width for panel in ("kl", "acc:1"))
        assert wide > 1.8 * usual
        with EventWriter(run.metrics) as log:
            log.write(Step(step=20, metrics={"no/more": 1.0}))
        await until(pilot, lambda: "no/more" in charts_in_sight(app) and "no/*" not in charts_in_sight(app))
        await pilot.press("P", "space", "enter")
        await pilot.pause()
        assert "mine*" in screen_text(app)
        assert "reward/std" not in charts_in_sight(app)[:4]
    frame = render_frame([run], 120, 40, color=False, panels=parse(["k*", "loss"])[0])
    assert frame.index("kl ") < frame.index("╭ loss")


async def test_hundreds_of_panels_are_on_further_pages_by_groups(many: RunDirectory) -> None:
    async with running("watch", [many], many.path.parent) as (app, pilot):
        assert charts_in_sight(app) == ["loss", *(f"group0/metric_{number}" for number in range(5))]
        assert "Samples" in screen_text(app)
        seen = set(charts_in_sight(app))
        pages = len(dashboard(app).arrangement.pages)
        for _ in range(pages - 1):
            await pilot.press("right_square_bracket")
            await pilot.pause()
            assert not seen & set(charts_in_sight(app))
            seen |= set(charts_in_sight(app))
        assert len(seen) == 301
        assert charts_in_sight(app)[-1] == "group11/metric_24"
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert charts_in_sight(app)[0] == "loss"
        await pilot.press("left_square_bracket")
        await pilot.pause()
        assert charts_in_sight(app)[-1] == "group11/metric_24"
        assert len(app.screen.query(Chart)) <= 12


async def test_only_the_panels_in_sight_are_built(many: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("watch", [many], many.path.parent, (120, 35)) as (app, pilot):
        made: list[str] = []
        build = Panel.build

        def noted(panel: Panel, state: ViewState) -> Plot | HeatMap:
            made.append(panel.id)
            return build(panel, state)

        monkeypatch.setattr(Panel, "build", noted)
        await pilot.press("y")
        await pilot.pause()
        assert set(made) == set(charts_in_sight(app))


async def test_the_search_shows_what_has_the_words(many: RunDirectory) -> None:
    async with running("watch", [many], many.path.parent) as (app, pilot):
        for size in SIZES:
            await resize(pilot, size)
            before = charts_in_sight(app)
            await pilot.press("slash", *"C_24 p7")
            await pilot.pause()
            assert charts_in_sight(app) == ["group7/metric_24"], size
            await pilot.press("enter", "z", "z")
            await pilot.pause()
            assert charts_in_sight(app) == ["group7/metric_24"], size
            assert "group7/metric_24" in screen_text(app), size
            await pilot.press("escape")
            await pilot.pause()
            assert charts_in_sight(app) == before, size


async def test_the_search_finds_declared_panels_of_any_layout(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        await pilot.press("slash", *"gpu")
        await pilot.pause()
        assert charts_in_sight(app) == ["gpu_util", "gpu_power", "gpu_temp", "gpu_memory"]
        await pilot.press(*"xyz")
        await pilot.pause()
        assert charts_in_sight(app) == []
        assert "0 panels" in screen_text(app)
        await pilot.press("escape", "right_square_bracket", "tab", "j")
        await pilot.pause()
        assert charts_in_sight(app) == OVERVIEW


async def test_metrics_come_and_go_while_the_run_goes_on(rl: RunDirectory) -> None:
    async with running("watch", [rl], rl.path.parent) as (app, pilot):
        await pilot.press("right")
        with EventWriter(rl.metrics) as log:
            log.write(Step(time=30.0, step=50_000, metrics={"late/one": 1.0}))
        await until(pilot, lambda: charts_in_sight(app) == ["kl", "late/one", "reward/mean"])
        assert dashboard(app).panels[dashboard(app).focus_index].id == "reward/mean"
        rl.metrics.write_text("")
        with EventWriter(rl.metrics) as log:
            log.write(Step(time=1.0, step=1, metrics={"kl": 1.0}))
        await until(pilot, lambda: charts_in_sight(app) == ["kl"])


async def test_the_compare_screen_has_the_metrics_of_both(rl: RunDirectory, tmp_path: Path) -> None:
    other = write_own_metrics(tmp_path, "dpo-20260101-000000-0000", [{"reward/mean": 1.0, "margin": 2.0}] * 3)
    async with running("compare", [rl, other], tmp_path, (200, 50)) as (app, pilot):
        assert {"reward/mean", "kl", "margin"} == {panel.id for panel in dashboard(app).panels}
        await pilot.press("slash", *"rew", "enter")
        await pilot.pause()
        assert charts_in_sight(app) == ["reward/mean"]
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.screen_name == "compare"  # type: ignore[attr-defined]
        assert len(dashboard(app).panels) == 3


async def test_names_are_inert_and_cut(tmp_path: Path) -> None:
    names = ["a/\x1b[31mred\x1b[0m", "b/[bold]x[/bold]", "c/" + "long " * 60, "d/\u202eback", "e/1\n2", "f/漢字" * 40]
    run = write_own_metrics(tmp_path, "odd-20260101-000000-0000", [dict.fromkeys(names, 1.0)] * 3)
    async with running("watch", [run], tmp_path) as (app, pilot):
        for size in SIZES:
            await resize(pilot, size)
            for _ in names:
                text = screen_text(app)
                assert "\x1b" not in text, size
                assert "\u202e" not in text, size
                await pilot.press("tab")
            await pilot.press("slash", *"long", "enter", "z")
            await pilot.pause()
            assert "…" in screen_text(app), size
            await pilot.press("e")
            await pilot.pause()
            await pilot.press("escape", "z", "escape")


def test_the_frame_of_text_shows_the_first_and_counts_the_others(many: RunDirectory, rl: RunDirectory) -> None:
    frame = render_frame([many], 120, 40, color=False)
    assert "group0/metric_0" in frame
    assert frame.count("╭") == 12
    assert "289 more metrics" in frame
    frame = render_frame([rl], 120, 40, color=False)
    assert "reward/mean" in frame
    assert "no data" not in frame


def test_a_metric_called_like_a_panel_is_beside_it(tmp_path: Path) -> None:
    run = write_own_metrics(tmp_path, "x-20260101-000000-0000", [{"memory": 7.0, "kl": 1.0}] * 3, loss=True)
    state = ViewState([view_of(run, 0)])
    panels = list(with_own({panel_of("memory"): 1}, state))
    assert [panel.id for panel in panels] == ["loss", "kl", "memory (own)"]
    plot = panels[-1].build(state)
    assert isinstance(plot, Plot)
    assert (plot.title, plot.value) == ("memory", "7")


async def test_a_metric_over_another_one_has_its_own_axis_and_the_summary_is_beside_the_configuration(
    tmp_path: Path,
) -> None:
    run = write_own_metrics(
        tmp_path, "w-20260101-000000-0000", [{"epoch": at / 4, "kl": 1 / (at + 1)} for at in range(9)]
    )
    with EventWriter(run.metrics) as log:
        log.write(Run(run_id="w", name="w", update=True, x_axes={"kl": "epoch"}, logged_summary={"best": 0.125}))
    async with running("watch", [run], tmp_path) as (app, pilot):
        assert "epoch" in chart(app, "kl").splitlines()[-1]
        assert "step" in chart(app, "epoch").splitlines()[-1]
        await pilot.press("i")
        assert app.state.crosshair == 9
        assert "9 ╯" in chart(app, "epoch").splitlines()[-1]
        assert "9 ╯" not in chart(app, "kl").splitlines()[-1], "its axis has other values"
        assert (chart_of(app, "kl").x_at(20), chart_of(app, "epoch").x_at(20) is None) == (None, False)
        await pilot.press("x")
        assert app.state.x != "step"
        assert "epoch" not in chart(app, "kl").splitlines()[-1]
    async with running("config", [run], tmp_path) as (app, pilot):
        await until(pilot, lambda: "logged summary" in screen_text(app) and "0.125" in screen_text(app))
