"""Runs and a running app for the tests of the screens."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.support import write_run
from tests.tui.screen import screen_lines
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.theme import DARK
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.dashboard import Dashboard
from tuitrain.tui.widgets.lines import Lines

SIZES = [(80, 24), (120, 35), (200, 50)]


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and sessions of a test are its own."""
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "own-config"))
    monkeypatch.setenv("TUITRAIN_STATE_DIR", str(tmp_path / "own-state"))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A completed run of 100 steps."""
    return write_run(tmp_path)


@pytest.fixture
def two_runs(tmp_path: Path) -> list[RunDirectory]:
    """Two completed runs that differ in preset, loss and speed."""
    first = write_run(tmp_path, "llama2-tiny-20260101-120000-abcd", start=time.time() - 900)
    second = write_run(
        tmp_path, "gpt2-tiny-20260101-130000-ef01", preset="gpt2-tiny", floor=2.6, tokens_per_sec=2e5,
        start=time.time() - 500,
    )  # fmt: skip
    return [first, second]


def forget(run: RunDirectory, *keys: str) -> None:
    """Take these values out of the log of a run, as if it had never reported them."""
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    kept = ({key: value for key, value in record.items() if key not in keys} for record in records)
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in kept))


@asynccontextmanager
async def running(
    screen: str, runs: list[RunDirectory], runs_dir: Path, size: tuple[int, int] = (200, 50), theme: str = DARK
) -> AsyncIterator[tuple[TuitrainApp, Pilot[None]]]:
    """The app on a screen, with all it was asked to show read and drawn."""
    app = TuitrainApp(screen, runs, runs_dir)  # type: ignore[arg-type]
    app.theme = theme
    async with app.run_test(size=size) as pilot:
        if screen == "runs":
            await until(pilot, lambda: app.state.snapshots is not None)
        else:
            await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; the test fails if it does not come true in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await pilot.pause(0.05)


async def resize(pilot: Pilot[None], size: tuple[int, int]) -> None:
    """Give the terminal another size, and wait until the screen is laid out for it."""
    await pilot.resize_terminal(*size)
    await until(pilot, lambda: pilot.app.screen.size == size)
    await pilot.pause()


def shown(app: TuitrainApp) -> str:
    """All text that is visible, from the top to the bottom."""
    parts = [
        widget.text
        for widget in app.screen.walk_children()
        if isinstance(widget, Lines) and widget.display and widget.region
    ]
    return "\n".join(parts)


def chart_of(app: TuitrainApp, panel: str) -> Chart:
    """The chart on the screen that shows a panel."""
    return next(each for each in app.screen.query(Chart) if each.display and each.panel == panel)


def chart(app: TuitrainApp, panel: str) -> str:
    """The text of one chart on the screen."""
    region = chart_of(app, panel).region
    return "\n".join(row[region.x : region.right] for row in screen_lines(app)[region.y : region.bottom])


def charts_in_sight(app: TuitrainApp) -> list[str]:
    """The panels of the charts that are displayed."""
    return [each.panel for each in app.screen.query(Chart) if each.region.area and each.is_on_screen]


def dashboard(app: TuitrainApp) -> Dashboard:
    """The grid of charts of the screen."""
    return app.screen.query_one(Dashboard)


def header(app: TuitrainApp) -> str:
    """The two lines at the top."""
    return "\n".join(screen_lines(app)[:2])


def notifications(app: TuitrainApp) -> str:
    """The text of all notifications."""
    return "\n".join(notification.message for notification in app._notifications)


async def wait_for_notification(app: TuitrainApp, pilot: Pilot[None], words: str) -> None:
    """Wait until a notification has these words."""
    await until(pilot, lambda: words in notifications(app))


async def wait_for_dialog(app: TuitrainApp, pilot: Pilot[None], dialog: type) -> None:
    """Wait until a dialog is shown."""
    await until(pilot, lambda: isinstance(app.screen, dialog))
    await pilot.pause()
