"""The dashboard with charts drawn by plotext."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tui.conftest import until
from tests.tui.screen import screen_lines, screen_text
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.settings import Settings, SettingsError, load_settings


async def test_panels_zoom_and_crosshair_are_those_of_the_rasteriser(run: RunDirectory, tmp_path: Path) -> None:
    screens: dict[str, list[str]] = {}
    for charts in ("braille", "plotext"):
        app = TuitrainApp("watch", [run], tmp_path, settings=Settings(charts=charts))  # type: ignore[arg-type]
        async with app.run_test(size=(120, 35)) as pilot:
            await until(pilot, lambda app=app: all(view.loaded for view in app.state.runs))  # type: ignore[misc]
            await pilot.press("plus", "i")
            await until(pilot, lambda app=app: bool(re.search(r"step \d+–\d+", screen_text(app))))  # type: ignore[misc]
            await pilot.pause()
            screens[charts] = screen_lines(app)[2:28]
    assert any("╭ loss" in line for line in screens["plotext"])
    pairs = zip("\n".join(screens["braille"]), "\n".join(screens["plotext"]), strict=True)
    # plotext's floating-point walk falls a hair short of a whole pixel now and then.
    assert sum(ours != theirs for ours, theirs in pairs) <= 6


def test_the_setting_is_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(environ={}).settings.charts == "braille"
    assert load_settings(environ={"TUITRAIN_CHARTS": "plotext"}).settings.charts == "plotext"
    with pytest.raises(SettingsError, match=r"TUITRAIN_CHARTS.*braille or plotext"):
        load_settings(environ={"TUITRAIN_CHARTS": "sixel"})
