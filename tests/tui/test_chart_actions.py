"""What keys and mouse do to the charts of the dashboard."""

from __future__ import annotations

import asyncio
import json
import re
import time

import numpy as np
import pytest
from textual import events
from textual.command import CommandPalette
from textual.pilot import Pilot

from tests.support import PINNED, TINY, step_record, write_run
from tests.tui.conftest import chart, chart_of, charts_in_sight, dashboard, resize, running, until
from tests.tui.screen import screen_lines
from tuitrain.config import load_config
from tuitrain.events import EventWriter
from tuitrain.plots.axes import Range
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import ChartOptions, Curve, Plot
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.settings import Settings
from tuitrain.tui.widgets.chart import Chart


def top(app: TuitrainApp, panel: str) -> str:
    return chart(app, panel).splitlines()[0]


def bottom(app: TuitrainApp, panel: str) -> str:
    return chart(app, panel).splitlines()[-1]


async def mouse(pilot: Pilot[None], kind: type[events.MouseEvent], widget: Chart, column: int) -> None:
    """A mouse event in the middle row of a chart."""
    x, y = column, widget.size.height // 2
    screen_x, screen_y = widget.region.x + x, widget.region.y + y
    pilot.app.screen._forward_event(
        kind(widget, x=screen_x, y=screen_y, delta_x=0, delta_y=0, button=1, shift=False, meta=False, ctrl=False,
             screen_x=screen_x, screen_y=screen_y)
    )  # fmt: skip
    await pilot.pause()


async def test_x_goes_through_all_axes_and_back(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        names = []
        for _ in range(5):
            names.append(bottom(app, "loss").strip("╰ ").split(" ─")[0].strip())
            await pilot.press("x")
        assert names == ["step", "tokens", "training time", "clock", "compute, FLOP"]
        assert bottom(app, "loss").startswith("╰ step ")


@pytest.mark.parametrize(
    ("screen", "size", "keys"),
    [
        ("watch", (120, 35), "z x z"),
        ("watch", (120, 35), "z n z"),
        ("watch", (120, 35), "L L"),
        ("watch", (80, 24), "b right_square_bracket"),
        ("compare", (120, 35), "z x z"),
    ],
)
async def test_charts_that_were_hidden_show_the_present_state(
    two_runs: list[RunDirectory], screen: str, size: tuple[int, int], keys: str
) -> None:
    async with running(screen, two_runs, two_runs[0].path.parent, size) as (app, pilot):
        for key in keys.split():
            await pilot.press(key)
            await pilot.pause()
        shown = screen_lines(app)
        app.redraw()
        await pilot.pause()
        assert shown == screen_lines(app)


async def test_an_axis_that_the_log_knows_nothing_of_is_passed_over(run: RunDirectory) -> None:
    lines = run.metrics.read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["flops_per_token"] = first["flops_per_token_causal"] = None
    run.metrics.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n", encoding="utf-8")
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("x", "x", "x")
        assert app.state.x == "clock"
        await pilot.press("x")
        assert app.state.x == "step"


async def test_the_clock_axis_is_local_time(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        async with running("watch", [run], run.path.parent) as (app, pilot):
            await pilot.press("x", "x", "x")
            ticks = re.findall(r"\d\d:\d\d:\d\d", bottom(app, "loss"))
            began = app.state.runs[0].history.steps["time"][0]
            assert ticks
            seconds = [sum(int(part) * size for part, size in zip(tick.split(":"), (3600, 60, 1), strict=True))
                       for tick in ticks]  # fmt: skip
            local = time.localtime(began)
            since = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec
            assert all(0 <= (second - since) % 86400 <= 110 for second in seconds), "the run takes 100 seconds"
            assert time.localtime(began).tm_gmtoff == 19800
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


async def test_log_x_puts_decades_on_the_axis(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("X")
        below = bottom(app, "loss")
        assert "step, log" in below
        assert " 10 " in below and " 100 " in below
        await pilot.press("X")
        assert "log" not in bottom(app, "loss")


async def test_the_crosshair_tells_exact_values_in_all_panels(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("i")
        losses = app.state.runs[0].history.steps["loss"]
        assert f"raw {losses[-1]:.4f}" in top(app, "loss")
        assert "smooth 0.9 " in top(app, "loss")
        for panel in charts_in_sight(app):
            assert " 100 ╯" in bottom(app, panel)
            assert any(row[-3] == "│" for row in chart(app, panel).splitlines()), panel
        await pilot.press("left", "h", "shift+left")
        at = app.state.crosshair
        assert at is not None and 60 < at < 95
        index = round(at) - 1
        assert f"{losses[index]:.4f}" in top(app, "loss")
        assert f" {at:,.0f} " in bottom(app, "grad_norm")
        await pilot.press("l")
        assert app.state.crosshair > at
        focus = dashboard(app).focus_index
        await pilot.press("escape", "right")
        assert app.state.crosshair is None
        assert "raw 2." not in top(app, "loss")
        assert dashboard(app).focus_index == focus + 1


async def test_the_crosshair_tells_runs_apart_by_their_glyphs(two_runs: list[RunDirectory]) -> None:
    async with running("watch", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("i", "shift+left")
        values = re.findall(r"([●▲]) (?:\S+ )?(\d\.\d{4})", top(app, "loss"))
        assert [glyph for glyph, _ in values] == ["●", "▲"]
        assert abs(float(values[1][1]) - float(values[0][1]) - 0.6) < 0.1


async def test_a_mark_near_the_crosshair_is_told(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        app.state.crosshair = 50.0
        app.screen.draw()  # type: ignore[attr-defined]
        await pilot.pause()
        assert "checkpoint" in top(app, "loss")
        assert "★ 3." in top(app, "loss")


async def test_zoom_shows_a_part_of_the_axis_and_says_which(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        before = chart(app, "loss")
        await pilot.press("plus")
        zoom = app.state.zoom
        assert zoom is not None and zoom.high == pytest.approx(100)
        assert "step 50–100" in bottom(app, "loss") and "step 50–100" in bottom(app, "lr")
        highest = float(chart(app, "loss").splitlines()[1][1:5].strip(" ·│") or 9)
        assert highest < 4
        await pilot.press("comma")
        assert app.state.zoom is not None and app.state.zoom.low < zoom.low
        await pilot.press("full_stop", "minus")
        await pilot.press("0")
        assert app.state.zoom is None
        assert chart(app, "loss") == before


async def test_zooming_out_or_panning_never_leaves_the_data(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent, (80, 24)) as (app, pilot):
        await pilot.press("minus")
        assert app.state.zoom is None
        await pilot.press("plus", "plus", *["full_stop"] * 9)
        assert app.state.zoom is not None and app.state.zoom.high <= 100
        await pilot.press(*["comma"] * 20)
        assert app.state.zoom is not None and app.state.zoom.low >= 0
        await pilot.press(*["plus"] * 80)
        assert app.state.zoom.high > app.state.zoom.low


async def test_the_wheel_zooms_around_the_pointer_and_dragging_pans(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        widget = chart_of(app, "loss")
        column = widget.areas[0].left + 15
        under = widget.x_at(column)
        assert under is not None
        await mouse(pilot, events.MouseScrollUp, widget, column)
        await until(pilot, lambda: app.state.zoom is not None)
        zoom = app.state.zoom
        assert zoom is not None and zoom.low < under < zoom.high
        assert widget.x_at(column) == pytest.approx(under, abs=3)  # The labels may have become wider.
        await mouse(pilot, events.MouseDown, widget, column)
        await mouse(pilot, events.MouseMove, widget, column - 8)
        await mouse(pilot, events.MouseUp, widget, column - 8)
        await until(pilot, lambda: app.state.zoom != zoom)
        assert app.state.zoom is not None and app.state.zoom.low > zoom.low
        assert app.state.zoom.high - app.state.zoom.low == pytest.approx(zoom.high - zoom.low)


async def test_the_mouse_places_the_crosshair_while_it_is_on(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        widget = chart_of(app, "mfu")
        await mouse(pilot, events.MouseMove, widget, 30)
        assert app.state.crosshair is None
        await pilot.press("i")
        await mouse(pilot, events.MouseMove, widget, 30)
        await until(pilot, lambda: app.state.crosshair == widget.x_at(30))


async def test_outliers_are_shown_on_request(run: RunDirectory) -> None:
    text = run.metrics.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in text]
    at = next(index for index, row in enumerate(rows) if row.get("step") == 60 and row["type"] == "step")
    rows[at]["tokens_per_sec"] = 5e6
    run.metrics.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    async with running("watch", [run], run.path.parent) as (app, pilot):
        assert "1 above" in top(app, "throughput")
        assert "M " not in chart(app, "throughput")
        await pilot.press("plus", "plus")
        assert "above" not in top(app, "throughput")
        await pilot.press("0", "o")
        assert "above" not in top(app, "throughput")
        labels = re.findall(r"^│ *([\d.]+M) ", chart(app, "throughput"), re.MULTILINE)
        assert "4M" in labels, "the outlier is 5 M tokens a second"


async def test_w_shows_the_newest_part_beside_the_whole(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("w")
        widget = chart_of(app, "loss")
        whole, recent = widget.areas
        assert whole.scale.low == 0 and whole.scale.high == recent.scale.high == 100
        assert 50 < recent.scale.low < 95
        await pilot.press("w")
        assert len(widget.areas) == 1


def test_the_newest_part_is_of_what_was_measured_and_not_of_the_plan() -> None:
    done, all_steps = np.arange(1.0, 101), np.arange(1.0, 301)
    plan = Curve(all_steps, 1 / all_steps, "run0.faint", "plan", forecast=True)
    whole, recent = draw(
        Plot("learning rate", "", (plan, Curve(done, 1 / done, "run0"))), 100, 12, options=ChartOptions(recent=True)
    ).areas
    assert whole.scale.high == 300
    assert recent.scale.high == 100


async def test_a_range_at_the_end_of_a_live_run_follows_it(run: RunDirectory) -> None:
    live = write_run(run.path.parent, "live-20260101-120000-0000", steps=40, status=None, start=time.time() - 45)
    config = load_config(TINY, PINNED)
    async with running("watch", [live], run.path.parent) as (app, pilot):
        await pilot.press("plus")
        zoom = app.state.zoom
        assert zoom is not None
        with EventWriter(live.metrics) as log:
            for step in range(41, 61):
                log.write(step_record(config, step, at=time.time()))
        await until(pilot, lambda: app.state.zoom is not None and app.state.zoom.high >= 60)
        assert app.state.zoom is not None
        assert app.state.zoom.high - app.state.zoom.low == pytest.approx(zoom.high - zoom.low)


async def test_a_range_in_the_past_stays(run: RunDirectory) -> None:
    live = write_run(run.path.parent, "live-20260101-120000-0000", steps=40, status=None, start=time.time() - 45)
    config = load_config(TINY, PINNED)
    async with running("watch", [live], run.path.parent) as (app, pilot):
        await pilot.press("plus", "plus", "comma", "comma", "comma", "comma")
        zoom = app.state.zoom
        assert zoom is not None and zoom.high < 40
        with EventWriter(live.metrics) as log:
            log.write(step_record(config, 41, at=time.time()))
        await until(pilot, lambda: len(app.state.runs[0].history.steps) == 41)
        await asyncio.sleep(0)
        assert app.state.zoom == zoom


async def test_everything_switched_on_survives_any_size(run: RunDirectory) -> None:
    on = ("i", "w", "X", "y", "o", "left", "shift+right", "plus", "comma", "z", "minus", "0", "escape")
    async with running("watch", [run], run.path.parent, (10, 3)) as (app, pilot):
        for size in ((10, 3), (30, 9), (80, 24), (200, 50)):
            await resize(pilot, size)
            await pilot.press(*on)
            app.state.show_range(Range(10, 10.0001))
            app.screen.draw()  # type: ignore[attr-defined]
            await resize(pilot, (61, 17))
            await pilot.press("i", "right", "escape", "escape")
            assert app.state.zoom is None, size
            assert app.is_running, size
            await pilot.press("w", "X", "y", "o", "z")


async def test_seven_bits_are_enough_where_they_must_be(run: RunDirectory) -> None:
    app = TuitrainApp("watch", [run], run.path.parent, settings=Settings(ascii=True))
    async with app.run_test(size=(200, 50), notifications=True) as pilot:
        await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        await pilot.press("i")
        await pilot.pause()
        assert in_seven_bits(app)
        assert "+ loss --" in on_screen(app)[2]
        app.notify("A notice", title="Of the app")
        await until(pilot, lambda: any("A notice" in row for row in on_screen(app)))
        assert in_seven_bits(app)
        await pilot.press("P")
        await until(pilot, lambda: any("panels of" in row for row in on_screen(app)))
        assert in_seven_bits(app)
        await pilot.press("escape", "8")
        await until(pilot, lambda: any("presets" in row for row in on_screen(app)))
        await resize(pilot, (100, 20))
        assert in_seven_bits(app)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.pause()
        assert in_seven_bits(app)


def on_screen(app: TuitrainApp) -> list[str]:
    """What the terminal gets, row by row."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


def in_seven_bits(app: TuitrainApp) -> bool:
    return all(row.isascii() for row in on_screen(app))
