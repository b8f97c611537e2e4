"""The logs screen: the end and the beginning of a console, search, the processes, the alerts."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from tests.support import write_run
from tests.tui.conftest import SIZES, resize, running, until
from tests.tui.screen import screen_text as shown
from tuitrain.runs import RunDirectory
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.screens.logs import LogsScreen
from tuitrain.tui.theme import DARK, LIGHT
from tuitrain.tui.widgets.log_view import LogView


@pytest.fixture
def trained(tmp_path: Path) -> RunDirectory:
    """A completed run of two processes whose console has a warning and an error."""
    run = write_run(tmp_path)
    lines = [f"step {number:,}" for number in range(1, 5001)]
    lines[2499] = "\x1b[33mUserWarning: slow\x1b[0m"
    run.console.write_text("\n".join([*lines, "Traceback (most recent call last):", "KeyError: 'x'"]) + "\n")
    run.console_of(1).write_text("hello from rank 1\n")
    return run


def console(app: TuitrainApp) -> LogView:
    """The console that is shown."""
    return app.screen.query_one(LogView)


def rows(app: TuitrainApp) -> list[str]:
    """The rows of the console without its scrollbar."""
    return [row[:-1].strip("▌ ") for row in console(app).text.split("\n")]


async def typed(pilot: Pilot[None], text: str) -> None:
    """Search for a text."""
    await pilot.press("slash", *("space" if letter == " " else letter for letter in text), "enter")


async def test_the_console_opens_at_its_end(trained: RunDirectory) -> None:
    """And is there at every size, and in a light theme at one of them."""
    async with running("logs", [trained], trained.path.parent) as (app, pilot):
        for size, theme in (*((size, DARK) for size in SIZES), (SIZES[0], LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            await until(pilot, lambda: "KeyError" in shown(app))
            assert "following" in shown(app) and "rank 0" in shown(app) and "alerts 1" in shown(app), (size, theme)
            assert {"bad"} == {span.role for span in console(app).lines[rows(app).index("KeyError: 'x'")][1:2]}


async def test_scrolling_up_stops_following_and_the_end_restarts_it(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        last = rows(app)[-1]
        await pilot.press("k", "pageup")
        await until(pilot, lambda: "not following" in shown(app))
        with trained.console.open("a") as file:
            file.write("a new line\n")
        await pilot.press("k")
        assert last not in rows(app) and "a new line" not in shown(app)
        await pilot.press("G")
        await until(pilot, lambda: rows(app)[-1] == "a new line")
        assert "not following" not in shown(app)
        with trained.console.open("a") as file:
            file.write("and another\n")
        await until(pilot, lambda: rows(app)[-1] == "and another")


async def test_the_first_line_of_the_file_can_be_reached(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await pilot.press("g")
        await until(pilot, lambda: rows(app)[0] == "step 1")
        await pilot.press("j", "pagedown")
        await until(pilot, lambda: rows(app)[0] != "step 1")
        assert rows(app)[0] == f"step {console(app).size.height + 1}"
        await pilot.press("f")
        await until(pilot, lambda: rows(app)[-1] == "KeyError: 'x'")


async def test_search_goes_to_the_newest_match_and_counts_all(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (120, 35)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await typed(pilot, "step 4,99")
        await until(pilot, lambda: "11 of 11" in shown(app) or "10 of 10" in shown(app))
        marked = [span.text for each in console(app).lines for span in each if span.role == "match"]
        assert "step 4,99" in marked and len(marked) == 10
        await pilot.press("p")
        await until(pilot, lambda: "9 of 10" in shown(app))
        await pilot.press("n", "n")
        await until(pilot, lambda: "10 of 10" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "4,99  " not in shown(app) and "of 10" not in shown(app))
        assert isinstance(app.screen, LogsScreen)


async def test_a_match_far_above_is_scrolled_to(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await typed(pilot, "userwarning")
        await until(pilot, lambda: "UserWarning: slow" in rows(app)[6:9])
        assert "1 of 1" in shown(app) and "not following" in shown(app)
        assert "\x1b" not in console(app).text and "[33m" not in console(app).text


async def test_a_search_without_a_match(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await typed(pilot, "zebra(")
        await until(pilot, lambda: "not found" in shown(app))
        assert "no regular expression" in shown(app)


async def test_lines_written_after_the_search_are_counted(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await typed(pilot, "KeyError")
        await until(pilot, lambda: "1 of 1" in shown(app))
        with trained.console.open("a") as file:
            file.write("KeyError: 'y'\n")
        await until(pilot, lambda: "1 of 2" in shown(app))


async def test_brackets_select_the_processes_and_the_alerts(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "hello from rank 1" in shown(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "MFU fell by 30 %." in shown(app))
        assert "warning" in shown(app) and "step 100" in shown(app)
        await pilot.press("a")
        await until(pilot, lambda: "KeyError" in shown(app))
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: "hello from rank 1" in shown(app))


async def test_a_click_on_a_tab_shows_its_console(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        row = shown(app).split("\n")[2]
        await pilot.click(offset=(row.index("rank 1"), 2))
        await until(pilot, lambda: "hello from rank 1" in shown(app))
        await pilot.click(offset=(row.index("alerts"), 2))
        await until(pilot, lambda: "MFU fell by 30 %." in shown(app))


async def test_a_console_that_is_deleted_and_written_again(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        await pilot.press("k")
        trained.console.unlink()
        await until(pilot, lambda: "no console output" in shown(app))
        await pilot.press("k", "pagedown", "g", "G")
        trained.console.write_text("begun anew\n")
        await until(pilot, lambda: rows(app)[0] == "begun anew")


async def test_the_wheel_scrolls_and_the_bar_jumps(trained: RunDirectory) -> None:
    async with running("logs", [trained], trained.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "KeyError" in shown(app))
        view = console(app)
        await pilot.click(LogView, offset=(view.size.width - 1, 0))
        await until(pilot, lambda: rows(app)[0] == "step 1")
        await pilot.click(LogView, offset=(view.size.width - 1, view.size.height - 1))
        await until(pilot, lambda: view.follow)
        view.post_message(events.MouseScrollUp(view, 1, 1, 0, -1, 0, False, False, False))
        await until(pilot, lambda: rows(app)[-1] == "step 4,999" and "not following" in shown(app))


async def test_long_lines_wrap_and_no_character_is_lost(run: RunDirectory) -> None:
    long = " ".join(f"{number}中" for number in range(200))
    run.console.write_text(f"first\n{long}\nlast\n")
    async with running("logs", [run], run.path.parent, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "last" in shown(app))
        text = "".join(row[1:-1] for row in console(app).text.split("\n"))
        assert long.replace(" ", "") in text.replace(" ", "")


@pytest.mark.parametrize("screen", ["logs", "runs"])
async def test_keys_in_the_same_packet_as_the_slash_are_typed_into_the_line(trained: RunDirectory, screen: str) -> None:
    async with running(screen, [trained] if screen == "logs" else [], trained.path.parent) as (app, pilot):
        before = app.screen
        for key, letter in (("slash", "/"), ("E", "E"), ("r", "r"), ("1", "1")):
            app.post_message(events.Key(key, letter))
        await until(pilot, lambda: any(line.value == "Er1" for line in before.query(Input)))
        assert app.screen is before
    assert not list(trained.control.iterdir())
