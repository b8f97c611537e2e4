"""The list of runs."""

from __future__ import annotations

import math
import shutil
from itertools import takewhile
from pathlib import Path

import pytest

from tests.support import write_run
from tests.tui.conftest import SIZES, header, resize, running, until, wait_for_notification
from tests.tui.screen import screen_lines, screen_text
from tuitrain.events import EventWriter, Step
from tuitrain.launch.local import Label
from tuitrain.launch.queue import enqueue_command, queued
from tuitrain.plots.roles import GLYPHS
from tuitrain.runs import RunDirectory, RunMetadata
from tuitrain.runs.editing import add_note, set_tags
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.screens import run_actions
from tuitrain.tui.screens.compare import CompareScreen
from tuitrain.tui.screens.runs import RunsScreen
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.theme import DARK, LIGHT


def listed(app: TuitrainApp) -> list[str]:
    """The rows of the list as they are shown."""
    return list(takewhile(bool, screen_lines(app)[3:]))


def rows(app: TuitrainApp) -> list[str]:
    """The names of the runs in the list, from the top."""
    return [row.split("-2026")[0].split()[-1] for row in listed(app) if "-2026" in row]


def glyphs(app: TuitrainApp) -> dict[str, str]:
    """The marks at the left of the list, by the id of their run."""
    words = (row.split() for row in listed(app))
    return {row[1]: row[0] for row in words if row[0] in GLYPHS}


def heading(app: TuitrainApp) -> str:
    return screen_lines(app)[2]


def details(app: TuitrainApp) -> str:
    """What stands below the list: the facts of the run under the cursor, or a note on the filter."""
    return "\n".join(screen_lines(app)[3 + len(listed(app)) : -2])


def under_cursor(app: TuitrainApp) -> str:
    """The name of the run under the cursor."""
    return details(app).split("-2026")[0].split()[-1]


async def test_every_run_has_its_row(two_runs: list[RunDirectory]) -> None:
    """At every size, and in a light theme at one of them."""
    async with running("runs", [], two_runs[0].path.parent) as (app, pilot):
        for size, theme in (*((size, DARK) for size in SIZES), (SIZES[0], LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            text = screen_text(app)
            for word in ("2 runs", "llama2-tiny", "abcd", "✓ completed", "status", "loss curve", "▇", "33.3 %", "age"):
                assert word in text, (word, size, theme)
            if size[0] >= 120:
                for word in ("val loss", "MFU", "tok/s"):
                    assert word in text, (word, size)
            if size[0] >= 200:
                for word in ("llama2-tiny-20260101-120000-abcd", "step", "tokens", "tags", "parameters", "last alert"):
                    assert word in text, (word, size)


async def test_the_list_is_live(tmp_path: Path) -> None:
    async with running("runs", [], tmp_path) as (app, pilot):
        assert "No runs here yet" in screen_text(app)
        write_run(tmp_path, status=None)
        await until(pilot, lambda: "● running" in screen_text(app))
        assert "● 1 live" in screen_text(app)


async def test_enter_opens_the_run_under_the_cursor(two_runs: list[RunDirectory]) -> None:
    async with running("runs", [], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen) and "llama2-tiny" in header(app))
        assert len(app.state.runs) == 1
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen))


async def test_marked_runs_are_opened_or_compared_together(two_runs: list[RunDirectory]) -> None:
    async with running("runs", [], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: bool(app._notifications))
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("down", "space", "up", "space")
        assert glyphs(app) == {"gpt2-tiny-20260101-130000-ef01": "▲", "llama2-tiny-20260101-120000-abcd": "●"}
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        # In the order of marking, so that each has the colour and the glyph it had in the list.
        assert [view.name for view in app.state.runs] == ["llama2-tiny", "gpt2-tiny"]
        assert "● llama2-tiny" in header(app)


async def test_compare_with_one_run_marks_it_in_the_list(two_runs: list[RunDirectory]) -> None:
    async with running("watch", two_runs[:1], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: len(rows(app)) == 2)
        await pilot.press("3")
        await pilot.pause()
        assert glyphs(app) == {two_runs[0].run_id: "●"}


async def test_the_cursor_stays_in_the_list(two_runs: list[RunDirectory]) -> None:
    async with running("runs", [], two_runs[0].path.parent) as (app, pilot):
        first, last = rows(app)
        await pilot.press("down", "down", "down", "pagedown")
        assert under_cursor(app) == last
        await pilot.press("up", "k", "pageup")
        assert under_cursor(app) == first
        await pilot.press("G")
        assert under_cursor(app) == last


async def test_c_on_one_run_marks_it_in_the_list_of_its_own_directory(
    two_runs: list[RunDirectory], tmp_path: Path
) -> None:
    async with running("watch", two_runs[:1], tmp_path / "elsewhere") as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "2 runs" in screen_text(app))
        assert glyphs(app) == {two_runs[0].run_id: "●"}
        await pilot.press("space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert {view.directory for view in app.state.runs} == set(two_runs)


@pytest.fixture
def some_runs(tmp_path: Path) -> Path:
    """Three runs: the oldest has the lowest loss, the newest the highest."""
    for index, (name, floor) in enumerate((("low", 2.0), ("middle", 2.5), ("high", 3.0))):
        created = 1.7e9 + index * 86400
        write_run(
            tmp_path, f"{name}-20260101-12000{index}-abc{index}", floor=floor, start=created,
            overrides=(f"name={name}",), info=RunMetadata(name=name, created=created, tags=["sweep"] if index else []),
        )  # fmt: skip
    return tmp_path


async def test_queued_runs_stand_first_in_their_order_and_keys_move_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setattr(run_actions, "start_runner", started.append)
    write_run(tmp_path, "over-20260101-120000-abcd")
    runs = [enqueue_command(["true"], tmp_path, Label(name)) for name in ("first", "second", "third")]
    write_run(tmp_path, "new-20261231-120000-abcd", info=RunMetadata(name="new", created=9e9))

    def queue() -> list[str]:
        return [row for row in listed(app) if "queued" in row]

    async with running("runs", [], tmp_path) as (app, pilot):
        assert [f"queued {at}" in row for at, row in enumerate(listed(app), 1)] == [True, True, True, False, False]
        await pilot.press("G", "up", "up", "shift+up")
        await until(pilot, lambda: [row.split("-")[0].strip() for row in queue()] == ["first", "third", "second"])
        await pilot.press("<", "<", ">")
        await until(pilot, lambda: [row.split("-")[0].strip() for row in queue()] == ["first", "third", "second"])
        assert queued(tmp_path)[1].entry.run_id == runs[2].run_id
        assert set(started) == {tmp_path}
        await pilot.press("G", "shift+up")
        await wait_for_notification(app, pilot, "only a queued run can be moved")


async def test_the_filter_works_while_it_is_typed(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.press("slash")
        assert "words  status:  tag:" in details(app)
        await pilot.press(*"tag:sweep")
        assert rows(app) == ["high", "middle"]
        assert "2 of 3 runs" in header(app)
        assert "1 hidden" in header(app)
        await pilot.press("space", *"loss<")
        assert "loss< lacks a number" in details(app)
        assert rows(app) == ["high", "middle"]
        await pilot.press(*"3.8", "enter")
        assert rows(app) == ["middle"]
        assert "filter /" not in screen_text(app)
        assert "filter tag:sweep loss<3.8" in header(app)


async def test_escape_clears_the_filter_and_stays_on_the_screen(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.press("slash", *"nothing-like-this")
        assert "None of the 3 runs passes the filter" in screen_text(app)
        await pilot.press("escape")
        assert rows(app) == ["high", "middle", "low"]
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("slash", *"low", "enter", "slash")
        assert "filter / low" in screen_text(app)


async def test_an_unfinished_term_is_dropped_when_the_line_is_left(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.press("slash", *"low", "space", *"loss<", "enter")
        assert "filter /" in screen_text(app)
        await pilot.press("backspace", "backspace", "backspace", "backspace", "backspace", "enter")
        assert "filter /" not in screen_text(app)
        assert rows(app) == ["low"]


async def test_marks_survive_the_filter(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.press("space", "slash", *"low", "enter", "space", "enter")
        await until(pilot, lambda: isinstance(app.screen, WatchScreen))
        assert [view.directory.run_id.split("-")[0] for view in app.state.runs if view.directory] == ["high", "low"]


async def test_runs_are_ordered_by_column_and_the_cursor_stays_on_its_run(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        assert "age ▲" in heading(app)
        while "loss ▲" not in heading(app):
            await pilot.press("o")
        assert rows(app) == ["low", "middle", "high"]
        assert under_cursor(app) == "high"
        await pilot.press("O")
        assert "loss ▼" in heading(app)
        assert rows(app) == ["high", "middle", "low"]
        assert under_cursor(app) == "high"


async def test_a_click_on_a_heading_orders_and_turns_the_order(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.click(offset=(heading(app).index("MFU"), 2))
        assert "MFU ▼" in heading(app)
        await pilot.click(offset=(heading(app).index("MFU"), 2))
        assert "MFU ▲" in heading(app)


async def test_a_click_puts_the_cursor_on_a_run_and_another_one_opens_it(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.click(offset=(20, 5))
        assert under_cursor(app) == "low"
        await pilot.click(offset=(80, 5))
        await until(pilot, lambda: isinstance(app.screen, WatchScreen))


async def test_names_and_tags_are_only_text(tmp_path: Path) -> None:
    write_run(
        tmp_path, info=RunMetadata(name="[red]x[/]", created=1.7e9, tags=["[link]", "\x1b]0;x\x07"], notes=["[/b]"])
    )
    async with running("runs", [], tmp_path) as (app, pilot):
        assert "[link]" in listed(app)[0]
        assert "\x1b" not in screen_text(app)
        assert "[/b]" in details(app)
        await pilot.press("space")
        assert "marked" in header(app)


async def test_order_and_filter_are_remembered(some_runs: Path) -> None:
    async with running("runs", [], some_runs) as (app, pilot):
        await pilot.press("o", "O", "slash", *"tag:sweep", "enter")
        first = heading(app)
    async with running("runs", [], some_runs) as (app, pilot):
        assert heading(app) == first
        assert "filter tag:sweep" in header(app)
        assert rows(app) == ["middle", "high"]


async def test_the_facts_of_the_run_under_the_cursor(some_runs: Path) -> None:
    async with running("runs", [], some_runs, (120, 35)) as (app, pilot):
        await pilot.press("G")
        assert details(app).strip().startswith("low-20260101-120000-abc0")
        run = next(seen.directory for seen in app.state.snapshots or () if seen.name == "low")
        set_tags(run, ["first"])
        add_note(run, "a note \x1b[31mfrom a file")
        await until(pilot, lambda: "#first" in details(app))
        assert "a note from a file" in details(app)


async def test_a_broken_run_is_listed_with_the_reason(some_runs: Path) -> None:
    broken = RunDirectory(some_runs / "broken-20260101-120000-ffff")
    broken.path.mkdir()
    broken.info.write_text("{ not json", encoding="utf-8")
    broken.metrics.write_text("rubbish\n", encoding="utf-8")
    empty = RunDirectory(some_runs / "empty-20260101-120000-eeee")
    empty.path.mkdir()
    empty.metrics.touch()
    diverged = next(some_runs.glob("low-*"))
    with EventWriter(diverged / "metrics.jsonl") as log:
        for step in range(101, 400):
            log.write(Step(time=1.7e9, step=step, loss=math.nan))
    async with running("runs", [], some_runs) as (app, pilot):
        assert set(rows(app)) == {"high", "middle", "low", "broken", "empty"}
        text = screen_text(app)
        assert "run.json cannot be read" in text
        assert "×" in next(row for row in text.split("\n") if "low-2026" in row)
        shutil.rmtree(diverged)
        await until(pilot, lambda: "low" not in rows(app))
        assert len(rows(app)) == 4


async def test_the_smallest_terminals_are_survived(some_runs: Path) -> None:
    async with running("runs", [], some_runs, (10, 3)) as (app, pilot):
        for size in ((10, 3), (30, 6), (200, 12)):
            await resize(pilot, size)
            await pilot.press("down", "space", "o", "slash", *"low", "enter")
            await resize(pilot, (120, 35))
            assert rows(app) or "low abc0" in screen_text(app), size
            await resize(pilot, (10, 3))
            await pilot.press("escape")
