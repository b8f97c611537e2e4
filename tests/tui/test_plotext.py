"""The dashboard with charts drawn by plotext."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tui.conftest import until
from tests.tui.screen import screen_lines, screen_text
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.settings import Settings


async def test_panels_zoom_and_crosshair_equal_those_of_the_rasteriser(run: RunDirectory, tmp_path: Path) -> None:
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
    # plotext's floating-point steps sometimes end just short of a whole pixel.
    assert sum(ours != theirs for ours, theirs in pairs) <= 6
