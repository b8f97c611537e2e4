"""The layouts of panels: going through them, changing them, finding them again."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import SIZES, chart, chart_of, charts_in_sight, resize, running, until
from tests.tui.rich_run import records
from tests.tui.screen import screen_lines, screen_text
from tuitrain.events import EventWriter
from tuitrain.plots.model import HeatMap, Plot
from tuitrain.plots.panels import Panel
from tuitrain.plots.panels.layouts import parse
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.screens.panel_picker import PanelPicker
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.session import session_of
from tuitrain.tui.settings import Settings
from tuitrain.tui.theme import DARK, LIGHT
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.chart_tabs import ChartTabs


@pytest.fixture
def rich(tmp_path: Path) -> RunDirectory:
    """The run with everything, on disk."""
    run = RunDirectory(tmp_path / "a-20260101-000000-0000")
    run.path.mkdir()
    with EventWriter(run.metrics) as log:
        for record in records():
            log.write(record)
    return run


def selector(app: TuitrainApp) -> str:
    """The row below the charts."""
    return screen_lines(app)[app.screen.query_one(ChartTabs).region.y]


async def test_l_goes_through_the_layouts(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        seen = {}
        for _ in range(4):
            await pilot.pause()
            seen[selector(app).split(" · ")[0].split()[-1]] = charts_in_sight(app)
            await pilot.press("L")
        assert list(seen) == ["overview", "training", "performance", "system"]
        assert seen["training"] == [
            "loss", "perplexity", "accuracy", "lr", "grad_norm", "grad_stats", "update", "layers",
        ]  # fmt: skip
        assert seen["performance"] == ["mfu", "throughput", "step_time", "memory", "ranks", "gpu_util"]
        assert seen["system"] == ["gpu_util", "gpu_power", "gpu_temp", "gpu_memory", "cpu", "ram"]
        await pilot.pause()
        assert "overview" in selector(app)


async def test_the_loss_is_wide_in_the_layout_of_training(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        await pilot.press("L")
        await pilot.pause()
        sizes = {panel: chart_of(app, panel).size.width for panel in ("loss", "perplexity")}
        assert sizes["loss"] > 1.8 * sizes["perplexity"]


async def test_charts_that_do_not_fit_are_on_another_page(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent, (120, 35)) as (app, pilot):
        await pilot.press("L")
        await pilot.pause()
        first = charts_in_sight(app)
        assert "page 1 of 2" in selector(app)
        await pilot.press(*["tab"] * len(first))
        await pilot.pause()
        assert "page 2 of 2" in selector(app)
        assert not set(charts_in_sight(app)) & set(first)
        assert "head" in chart(app, "layers")
        column = selector(app).index("page 2")
        await pilot.click(ChartTabs, offset=(column, 0))
        await pilot.pause()
        assert charts_in_sight(app) == first


async def test_only_what_is_in_sight_is_made(rich: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("watch", [rich], rich.path.parent, (120, 35)) as (_, pilot):
        await pilot.press("L", "z")
        await pilot.pause()
        made: list[str] = []
        build = Panel.build

        def noted(panel: Panel, state: ViewState) -> Plot | HeatMap:
            made.append(panel.id)
            return build(panel, state)

        monkeypatch.setattr(Panel, "build", noted)
        await pilot.press("s")
        assert set(made) == {"loss"}


async def cursor_to(app: TuitrainApp, pilot: Pilot[None], panel: str) -> None:
    """Move the cursor of the picker to a panel."""
    picker = app.screen
    assert isinstance(picker, PanelPicker)
    await pilot.press("home", *["j"] * picker.order.index(panel))


async def test_a_changed_layout_is_there_the_next_time(rich: RunDirectory) -> None:
    changed = ["throughput", "loss", "memory", "grad_norm", "lr", "gpu_power"]
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        await pilot.press("P")
        await pilot.pause()
        await cursor_to(app, pilot, "mfu")
        await pilot.press("space")
        await cursor_to(app, pilot, "throughput")
        await pilot.press("K", "plus")
        await cursor_to(app, pilot, "gpu_power")
        await pilot.press("space", "enter")
        await pilot.pause()
        assert charts_in_sight(app) == changed
        assert "overview*" in selector(app)
        wide, usual = (chart_of(app, panel).size.width for panel in ("throughput", "loss"))
        assert wide > 1.8 * usual
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        assert charts_in_sight(app) == changed
        await pilot.press("P", "r", "enter")
        await pilot.pause()
        assert charts_in_sight(app) == ["loss", "mfu", "throughput", "memory", "grad_norm", "lr"]
        assert "overview*" not in selector(app)


async def test_the_last_layout_is_shown_again(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent) as (_, pilot):
        await pilot.press("L", "L")
    async with running("watch", [rich], rich.path.parent) as (app, _):
        assert "performance" in selector(app)


async def test_an_own_layout_comes_after_the_others(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        await pilot.press("P")
        await pilot.pause()
        await cursor_to(app, pilot, "loss")
        await pilot.press("space", "o")
        await pilot.pause()
        assert "own" in selector(app)
        assert charts_in_sight(app) == ["mfu", "throughput", "memory", "grad_norm", "lr"]
        await pilot.press("L")
        await pilot.pause()
        assert charts_in_sight(app)[0] == "loss"
        await pilot.press("L", "L", "L", "L")
        await pilot.pause()
        assert "own" in selector(app)


async def test_escape_leaves_the_layout_as_it_is_and_an_empty_one_is_refused(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        await pilot.press("P", "space", "J", "minus", "escape")
        await pilot.pause()
        assert charts_in_sight(app)[0] == "loss"
        assert len(charts_in_sight(app)) == 6
        await pilot.press("P")
        await pilot.pause()
        for panel in ("loss", "mfu", "throughput", "memory", "grad_norm", "lr"):
            await cursor_to(app, pilot, panel)
            await pilot.press("space")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, PanelPicker)


async def test_a_click_switches_a_panel(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        await pilot.press("P")
        await pilot.pause()
        await pilot.click("#panels", offset=(10, 1))
        assert "□ MFU" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert charts_in_sight(app) == ["loss", "throughput", "memory", "grad_norm", "lr"]


async def test_layouts_of_the_settings(rich: RunDirectory) -> None:
    settings = Settings(layout="mine", layouts={"mine": ["grad_norm:2", "gpu_util"]})
    app = TuitrainApp("watch", [rich], rich.path.parent, settings=settings)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: app.state.runs[0].loaded)
        await pilot.pause()
        assert charts_in_sight(app) == ["grad_norm", "gpu_util"]
        assert "mine" in selector(app)


def test_panels_as_a_settings_file_names_them() -> None:
    entries = ["mfu:2", "loss", "reward/*:3", "own", "a:b", "a:5", "acc:1:1"]
    sizes, wrong = parse(entries)
    assert [*sizes.items()] == [
        ("mfu", 2), ("loss", 1), ("reward/*", 3), ("own", 1), ("a:b", 1), ("a:5", 1), ("acc:1", 1)
    ]  # fmt: skip
    assert wrong == []
    assert parse(["loss:0", "", "mfu:x", ":2"]) == ({":2": 1}, ["loss:0", "", "mfu:x"])


@pytest.mark.parametrize("kept", ["own", {"overview": "loss"}, {"overview": [["loss", "2"], "los", 7]}, {"x": [[]]}])
async def test_a_damaged_session_shows_the_usual_layout(rich: RunDirectory, kept: object) -> None:
    session = session_of(rich.path.parent)
    session.set("layouts", kept)
    session.save()
    async with running("watch", [rich], rich.path.parent) as (app, _):
        assert charts_in_sight(app) == ["loss", "mfu", "throughput", "memory", "grad_norm", "lr"]


async def test_every_layout_and_the_picker_survive_every_size(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent, (1, 1)) as (app, pilot):
        for size in ((1, 1), (10, 3), (40, 12), (300, 60)):
            await resize(pilot, size)
            await pilot.press(*["L", "tab", "down"] * 4, "up", "z", "z")
            await pilot.press("P", "down", "space", "space", "escape")
            await resize(pilot, (200, 50))
            assert len(charts_in_sight(app)) == 6, size


async def test_every_panel_of_every_layout_can_be_read(rich: RunDirectory) -> None:
    """At every size, and in a light theme at one of them."""
    async with running("watch", [rich], rich.path.parent) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, WatchScreen)
        for size, theme in (*((size, DARK) for size in SIZES), ((120, 35), LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            for _ in range(4):
                read: set[str] = set()
                for _ in screen.charts.arrangement.pages:
                    for panel in charts_in_sight(app):
                        title, *rest = chart(app, panel).split("\n")
                        assert title.strip("╭─╮ "), (size, theme, panel)
                        assert "no data" not in "".join((title, *rest)), (size, theme, panel)
                        read.add(panel)
                    await pilot.press("right_square_bracket")
                    await pilot.pause()
                assert read == {panel.id for panel in screen.charts.panels}, (size, theme)
                await pilot.press("L")
                await pilot.pause()


async def test_the_panel_that_has_the_screen_is_named_below_it(rich: RunDirectory) -> None:
    async with running("watch", [rich], rich.path.parent, (60, 20)) as (app, pilot):
        await pilot.press("L", "z", "shift+tab")
        assert isinstance(app.screen, WatchScreen)
        panel = app.screen.charts.panels[app.screen.charts.focus_index]
        for size in ((60, 20), (80, 24), (200, 50)):
            await resize(pilot, size)
            await until(pilot, lambda: panel.title in selector(app) and "Config" in selector(app))
