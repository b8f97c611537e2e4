"""The list of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import write_run
from tests.tui.conftest import SIZES, header, running, shown, until
from tuitrain.runs import RunDirectory
from tuitrain.tui.screens.compare import CompareScreen
from tuitrain.tui.screens.runs import RunsScreen
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.theme import DARK, LIGHT


@pytest.mark.parametrize("theme", [DARK, LIGHT])
@pytest.mark.parametrize("size", SIZES)
async def test_every_run_has_its_row(two_runs: list[RunDirectory], size: tuple[int, int], theme: str) -> None:
    async with running("runs", [], two_runs[0].path.parent, size, theme) as (app, _):
        text = shown(app)
        for word in ("2 runs", "llama2-tiny-20260101-120000-abcd", "✓ completed", "100", "status", "loss", "step"):
            assert word in text, word
        if size[0] >= 120:
            for word in ("progress", "val loss", "MFU", "tok/s", "age", "33.3 %"):
                assert word in text, word


async def test_the_list_is_live(tmp_path: Path) -> None:
    async with running("runs", [], tmp_path) as (app, pilot):
        assert "No runs here yet" in shown(app)
        write_run(tmp_path, status=None)
        await until(pilot, lambda: "● running" in shown(app))
        assert "● 1 live" in shown(app)


async def test_enter_opens_the_run_under_the_cursor(two_runs: list[RunDirectory]) -> None:
    async with running("runs", [], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen) and "llama2-tiny" in header(app))
        assert len(app.board.views) == 1
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen))


async def test_marked_runs_are_opened_or_compared_together(two_runs: list[RunDirectory]) -> None:
    async with running("runs", [], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: bool(app._notifications))
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("space", "space")
        assert shown(app).count("▪") == 2
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: all(view.loaded for view in app.board.views))
        assert {view.name for view in app.board.views} == {"llama2-tiny", "gpt2-tiny"}


async def test_the_cursor_stays_in_the_list(two_runs: list[RunDirectory]) -> None:
    async with running("runs", [], two_runs[0].path.parent, (80, 24)) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        await pilot.press("down", "down", "down", "pagedown")
        assert screen.cursor == 1
        await pilot.press("up", "k", "pageup")
        assert screen.cursor == 0
        await pilot.press("G")
        assert screen.cursor == 1


async def test_c_on_one_run_marks_it_in_the_list_of_its_own_directory(
    two_runs: list[RunDirectory], tmp_path: Path
) -> None:
    async with running("watch", two_runs[:1], tmp_path / "elsewhere") as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "2 runs" in shown(app))
        assert [row for row in shown(app).split("\n") if "▪" in row and two_runs[0].run_id in row]
        assert shown(app).count("▪") == 1
        await pilot.press("space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert {view.directory for view in app.board.views} == set(two_runs)
