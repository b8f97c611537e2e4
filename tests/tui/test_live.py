"""Logs that grow, break, vanish and start again while the app runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support import PINNED, run_record, step_record, write_run
from tests.tui.conftest import chart, header, running, until
from tests.tui.screen import screen_text
from tuitrain.config import load_config
from tuitrain.events import Alert, End, EventWriter, Sample, Stage
from tuitrain.runs import RunDirectory
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.feed import RunListRead

CONFIG = load_config("llama2-tiny", PINNED)


def live(tmp_path: Path, steps: int = 10) -> RunDirectory:
    return write_run(tmp_path, steps=steps, status=None)


def append(run: RunDirectory, first: int, last: int) -> None:
    with EventWriter(run.metrics) as log:
        for step in range(first, last + 1):
            log.write(step_record(CONFIG, step, at=time.time()))


async def test_a_growing_log_moves_header_chart_and_tabs(tmp_path: Path) -> None:
    run = live(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        assert "● running" in header(app)
        assert "ETA" in header(app)
        before = chart(app, "loss")
        append(run, 11, 60)
        await until(pilot, lambda: "step 60 of 300" in header(app))
        assert chart(app, "loss") != before
        with EventWriter(run.metrics) as log:
            log.write(Sample(time=time.time(), step=60, prompt="class ", text="Robot:"))
            log.write(Alert(time=time.time(), level="critical", code="x", message="Too hot.", step=60))
            log.write(End(time=time.time(), status="stopped", reason="stop requested", step=60))
        await until(pilot, lambda: "■ stopped" in header(app))
        assert "stop requested" in header(app)
        assert "class Robot:" in screen_text(app)
        assert "Alerts 2" in screen_text(app)


async def test_nothing_is_drawn_while_a_slow_link_is_full_and_then_the_newest_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = [True]
    monkeypatch.setattr(BaseApp, "terminal_ready", property(lambda _: ready[0]))
    run = live(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        ready[0] = False
        append(run, 11, 60)
        await until(pilot, lambda: app.state.run is not None and app.state.run.history.step == 60)
        append(run, 61, 62)
        await until(pilot, lambda: app.state.run is not None and app.state.run.history.step == 62)
        assert "step 10 of 300" in header(app)
        ready[0] = True
        await until(pilot, lambda: "step 62 of 300" in header(app))


async def test_the_axes_stand_still_while_the_log_grows(tmp_path: Path) -> None:
    run = live(tmp_path, 61)
    async with running("watch", [run], tmp_path) as (app, pilot):
        before = chart(app, "loss").split("\n")
        append(run, 62, 63)
        await until(pilot, lambda: "step 63 of" in header(app))
        after = chart(app, "loss").split("\n")
        assert [row[:8] for row in after[1:-1]] == [row[:8] for row in before[1:-1]]
        assert after[-1] == before[-1]


async def test_the_console_is_followed(tmp_path: Path) -> None:
    run = live(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        await pilot.press("b")
        with run.console.open("a") as file:
            file.write("saving a checkpoint\n")
        await until(pilot, lambda: "saving a checkpoint" in screen_text(app))


async def test_the_console_stays_where_it_was_scrolled_to(tmp_path: Path) -> None:
    run = live(tmp_path)
    run.console.write_text("".join(f"printed {number}\n" for number in range(100)))

    def write(text: str) -> None:
        with run.console.open("a") as file:
            file.write(f"{text}\n")

    async with running("watch", [run], tmp_path) as (app, pilot):
        await pilot.press("b")
        await until(pilot, lambda: "printed 99" in screen_text(app))
        write("new line")
        await until(pilot, lambda: "new line" in screen_text(app))
        await pilot.press("g")
        await until(pilot, lambda: "new line" not in screen_text(app))
        write("second line")
        append(run, 11, 12)
        await until(pilot, lambda: "step 12 of" in header(app))
        assert "second line" not in screen_text(app)
        await pilot.press("G")
        await until(pilot, lambda: "second line" in screen_text(app))
        write("third line")
        await until(pilot, lambda: "third line" in screen_text(app))


async def test_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    run = live(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        append(run, 11, 11)
        whole = run.metrics.read_bytes()
        append(run, 12, 12)
        line = run.metrics.read_bytes()[len(whole) :]
        run.metrics.write_bytes(whole + line[:40])
        await until(pilot, lambda: "step 11 of" in header(app))
        assert "Alerts 1" in screen_text(app)
        with run.metrics.open("ab") as file:
            file.write(line[40:])
        await until(pilot, lambda: "step 12 of" in header(app))


async def test_a_broken_line_is_listed_and_passed_over(tmp_path: Path) -> None:
    run = live(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        with run.metrics.open("a") as file:
            file.write('{"type": "step", "oops\n')
        append(run, 11, 11)
        await until(pilot, lambda: "step 11 of" in header(app))
        await pilot.press("b", "b")
        assert "of the log: not valid JSON" in screen_text(app)


async def test_a_rotated_log_starts_again(tmp_path: Path) -> None:
    run = live(tmp_path, 50)
    async with running("watch", [run], tmp_path) as (app, pilot):
        assert "step 50 of" in header(app)
        fresh = run.metrics.with_suffix(".new")
        with EventWriter(fresh) as log:
            log.write(run_record(CONFIG, run.run_id, at=time.time()))
            log.write(step_record(CONFIG, 3, at=time.time()))
        fresh.replace(run.metrics)
        await until(pilot, lambda: "step 3 of" in header(app))
        assert len(app.state.runs[0].history.steps) == 1


async def test_a_truncated_log_starts_again(tmp_path: Path) -> None:
    run = live(tmp_path, 50)
    async with running("watch", [run], tmp_path) as (app, pilot):
        lines = run.metrics.read_bytes().split(b"\n")
        run.metrics.write_bytes(b"\n".join(lines[:6]) + b"\n")
        await until(pilot, lambda: app.state.runs[0].history.step == 3)
        await until(pilot, lambda: "step 3 of" in header(app))


async def test_a_log_that_vanishes_leaves_what_is_known(tmp_path: Path) -> None:
    run = live(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        content = run.metrics.read_bytes()
        run.metrics.unlink()
        run.console.unlink()
        await until(pilot, lambda: "the log is gone; waiting for it" in header(app))
        assert "step 10 of" in header(app)
        assert "Alerts 2" in screen_text(app)
        run.metrics.write_bytes(content)
        append(run, 11, 11)
        await until(pilot, lambda: "step 11 of" in header(app))
        assert "gone" not in header(app)


async def test_a_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a-20260101-000000-0000")
    run.metrics.mkdir(parents=True)
    async with running("watch", [run], tmp_path) as (app, pilot):
        await until(pilot, lambda: "cannot read the log" in header(app))
        run.metrics.rmdir()
        append(run, 1, 2)
        await until(pilot, lambda: "loss" in header(app))


async def test_a_run_that_does_not_exist_yet_appears(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "later-20260101-000000-0000")
    async with running("watch", [run], tmp_path) as (app, pilot):
        assert "waiting for the first step" in header(app)
        append(run, 1, 5)
        await until(pilot, lambda: "loss" in header(app))


async def test_a_resumed_run_goes_back_without_a_zigzag(tmp_path: Path) -> None:
    run = live(tmp_path, 50)
    async with running("watch", [run], tmp_path) as (app, pilot):
        with EventWriter(run.metrics) as log:
            log.write(run_record(CONFIG, run.run_id, at=time.time(), attempt=2))
        append(run, 31, 40)
        await until(pilot, lambda: "step 40 of" in header(app))
        assert len(app.state.runs[0].history.steps) == 40


async def test_nothing_is_drawn_while_nothing_changes(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    async with running("watch", [run], tmp_path) as (app, pilot):
        drawn = app._drawn_at
        polls = app.feed.polls
        await until(pilot, lambda: app.feed.polls >= polls + 3)
        assert app._drawn_at == drawn


async def test_a_problem_with_the_list_is_shown_and_not_fatal(tmp_path: Path) -> None:
    async with running("runs", [], tmp_path) as (app, pilot):
        app.post_message(RunListRead(problem="cannot list runs: Permission denied"))
        await until(pilot, lambda: any("Permission denied" in str(each.message) for each in app._notifications))


async def test_until_the_first_step_header_and_panels_say_what_the_run_does(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a-20260101-000000-0000")
    with EventWriter(run.metrics) as log:
        log.write(Stage(stage="tokenizing \x1b[31mcorpus.txt", done=0.427))
    async with running("watch", [run], tmp_path) as (app, pilot):
        assert "◌ starting" in header(app) and "tokenizing corpus.txt, 42.7 %" in header(app)
        for panel in ("loss", "mfu", "throughput", "memory", "grad_norm", "lr"):
            assert "tokenizing corpus.txt, 42.7 %" in chart(app, panel), panel
        assert "no data yet" not in screen_text(app)
        with EventWriter(run.metrics) as log:
            log.write(run_record(CONFIG, run.run_id, at=time.time()))
            log.write(Stage(stage="first step"))
        await until(pilot, lambda: "first step" in header(app))
        append(run, 1, 3)
        await until(pilot, lambda: "step 3 of 300" in header(app))
        assert "● running" in header(app) and "first step" not in screen_text(app)
