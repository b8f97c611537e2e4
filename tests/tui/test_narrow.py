"""Only cells that changed are written, and the terminal shows the same as if all had been."""

from __future__ import annotations

import time
from pathlib import Path

import pyte
import pytest
from rich.console import RenderableType
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.screen import Screen

from tests.support import PINNED, step_record, write_run
from tests.tui.conftest import header, running, until
from tuitrain.config import load_config
from tuitrain.events import EventWriter
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.narrow import NarrowUpdate


async def test_the_terminal_shows_the_same_for_fewer_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[CompositorUpdate] = []

    def record(app: TuitrainApp, screen: Screen[object], update: RenderableType | None) -> None:
        if isinstance(update, CompositorUpdate):
            updates.append(update)

    monkeypatch.setattr(TuitrainApp, "_display", record)
    run = write_run(tmp_path, status=None)
    config = load_config("llama2-tiny", PINNED)
    async with running("watch", [run], tmp_path) as (app, pilot):
        for step in range(101, 106):
            with EventWriter(run.metrics) as log:
                log.write(step_record(config, step, at=time.time()))
            await until(pilot, lambda step=step: f"step {step} of" in header(app))
        await pilot.press("tab", "x", "i", "left", "s")
        await pilot.pause()
        console = app.console
        wide, narrow = pyte.Screen(200, 50), pyte.Screen(200, 50)
        sizes = {"wide": 0, "narrow": 0}
        for update in updates:
            all_of_it = update.render_segments(console)
            part = NarrowUpdate.of(update).render_segments(console) if isinstance(update, ChopsUpdate) else all_of_it
            pyte.Stream(wide).feed(all_of_it)
            pyte.Stream(narrow).feed(part)
            if isinstance(update, ChopsUpdate):
                sizes = {"wide": sizes["wide"] + len(all_of_it), "narrow": sizes["narrow"] + len(part)}
    assert any(isinstance(update, ChopsUpdate) for update in updates)
    assert narrow.display == wide.display
    assert visible(narrow) == visible(wide)
    assert sizes["narrow"] < sizes["wide"] / 2


def visible(screen: pyte.Screen) -> list[list[object]]:
    """The cells as the eye sees them: a blank has no foreground."""
    rows = [[screen.buffer[row][column] for column in range(200)] for row in range(50)]
    return [[(" ", cell.bg, cell.underscore) if cell.data == " " else cell for cell in row] for row in rows]
