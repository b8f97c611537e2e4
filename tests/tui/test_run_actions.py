"""Actions on runs from the screens: stop, checkpoint, evaluate, tags, notes, export, copy; none of them
where the dashboard is read-only."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static
from textual.widgets._toast import Toast, ToastRack

from tests.support import write_run
from tests.tui.conftest import forget, notifications, running, shown, until, wait_for_dialog, wait_for_notification
from tests.tui.screen import screen_text
from tuitrain.config import load_config
from tuitrain.events import Checkpoint, Control, End, Eval, EventWriter
from tuitrain.events.requests import reason_of
from tuitrain.launch.local import Label, Started, start_run
from tuitrain.runs import RunDirectory, Status, read_snapshot
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.screens.dialogs import Confirm, Dialog, Prompt
from tuitrain.tui.screens.help import HelpScreen
from tuitrain.tui.settings import Settings

MICRO = ("model.n_layers=1", "model.d_model=32", "model.n_heads=2", "model.n_kv_heads=2", "model.head_dim=16",
         "model.d_ff=64", "model.seq_len=32", "train.global_batch_size=4", "train.micro_batch_size=4", "eval.steps=1",
         "eval.interval=0", "sampling.interval=0", "checkpoint.interval=0", "train.compile=false",
         "data.max_tokens=none")  # fmt: skip


@pytest.fixture
def live(tmp_path: Path) -> RunDirectory:
    """A run without an end whose last record is of this moment."""
    return write_run(tmp_path, status=None)


@asynccontextmanager
async def readonly_app(screen: str, run: RunDirectory) -> AsyncIterator[tuple[TuitrainApp, Pilot[None]]]:
    app = TuitrainApp(screen, [run], run.path.parent, settings=Settings(readonly=True))  # type: ignore[arg-type]
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        await pilot.pause()
        yield app, pilot


async def shown_screen(app: TuitrainApp, pilot: Pilot[None], screen: str) -> None:
    """Go to a screen, and wait until it has what it shows."""
    app.show_screen(screen)  # type: ignore[arg-type]
    await until(pilot, lambda: screen != "runs" or app.state.snapshots is not None)
    await until(pilot, lambda: " q quit" in screen_text(app))


def question_of(app: TuitrainApp) -> str:
    return str(app.screen.query_one("#box > Static", Static).content)


def log(run: RunDirectory, record: object) -> None:
    with EventWriter(run.metrics) as writer:
        writer.write(record)  # type: ignore[arg-type]


async def test_stop_asks_once_and_reports_the_answer(live: RunDirectory) -> None:
    async with running("watch", [live], live.path.parent) as (app, pilot):
        await pilot.press("S")
        await wait_for_dialog(app, pilot, Confirm)
        assert "It is at step 100." in question_of(app)
        assert f"tuitrain resume {live.run_id}" in question_of(app)
        assert not list(live.control.iterdir())
        await pilot.press("n")
        await pilot.pause()
        assert not list(live.control.iterdir())
        await pilot.press("S")
        await wait_for_dialog(app, pilot, Confirm)
        await pilot.press("y")
        await wait_for_notification(app, pilot, "stop requested at step 100; it writes a checkpoint first")
        assert [path.name for path in live.control.iterdir()] == ["stop"]
        assert reason_of(live.path, "stop") == "stopped from the dashboard"
        log(live, End(status="stopped", reason="stopped from the dashboard", step=104))
        await wait_for_notification(app, pilot, f"{live.run_id}: stopped at step 104, from the dashboard.")


async def test_the_dialog_is_answered_by_mouse(live: RunDirectory) -> None:
    async with running("watch", [live], live.path.parent) as (app, pilot):
        await pilot.press("S")
        await wait_for_dialog(app, pilot, Confirm)
        await pilot.click("#no")
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        assert not list(live.control.iterdir())
        await pilot.press("S")
        await wait_for_dialog(app, pilot, Confirm)
        await pilot.click("#yes")
        await wait_for_notification(app, pilot, "stop requested")


@pytest.mark.parametrize(
    ("key", "request_name", "record", "answer"),
    [
        ("K", "checkpoint", Checkpoint(step=101, path="checkpoints/step-00000101", bytes=2 * 10**9, duration_ms=1500),
         "saved checkpoints/step-00000101, 2.00 GB in 1.50 s."),
        ("E", "eval", Eval(step=101, loss=2.25), "evaluated at step 101: val loss 2.2500."),
        ("E", "eval", Control(request="eval", result="refused: no held-out split"), "refused: no held-out split."),
    ],
)  # fmt: skip
async def test_checkpoint_and_evaluation(
    live: RunDirectory, key: str, request_name: str, record: object, answer: str
) -> None:
    async with running("watch", [live], live.path.parent) as (app, pilot):
        await pilot.press(key)
        await wait_for_notification(
            app, pilot, f"{request_name} requested; the run handles it at its next step boundary"
        )
        assert (live.control / request_name).exists()
        log(live, Control(request=request_name, result="done at step 101"))
        log(live, record)
        await wait_for_notification(app, pilot, answer)


async def test_a_run_that_is_over_is_not_asked(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        for key in ("S", "K", "E"):
            await pilot.press(key)
            await wait_for_notification(app, pilot, f"{run.run_id} is completed: only a live run can be")
            assert not isinstance(app.screen, Confirm), key
            assert not list(run.control.iterdir()), key
            app.clear_notifications()


async def test_on_the_list_the_marked_runs_are_stopped_at_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{name}-20260101-120000-abcd", status=end)
            for name, end in (("a", None), ("b", None), ("c", "completed"), ("d", None))]  # fmt: skip
    async with running("runs", [], tmp_path) as (app, pilot):
        app.state.marked = [run.run_id for run in runs[:3]]
        await pilot.press("S")
        await wait_for_dialog(app, pilot, Confirm)
        question = question_of(app)
        assert "Stop 2 runs?" in question
        assert "1 of the 3 is over already" in question
        await pilot.press("enter")
        await until(pilot, lambda: all((run.control / "stop").exists() for run in runs[:2]))
        assert not (runs[3].control / "stop").exists()


@pytest.mark.parametrize(("key", "request_name"), [("K", "checkpoint"), ("E", "eval")])
async def test_on_the_list_the_marked_runs_are_asked_after_one_question(
    tmp_path: Path, key: str, request_name: str
) -> None:
    runs = [write_run(tmp_path, f"{name}-20260101-120000-abcd", status=end)
            for name, end in (("a", None), ("b", None), ("c", "completed"), ("d", None))]  # fmt: skip
    async with running("runs", [], tmp_path) as (app, pilot):
        app.state.marked = [run.run_id for run in runs[:3]]
        await pilot.press(key)
        await wait_for_dialog(app, pilot, Confirm)
        question = question_of(app)
        assert "2 runs?" in question
        assert "1 of the 3 is over already" in question
        assert not list(runs[0].control.iterdir())
        await pilot.press("y")
        await until(pilot, lambda: all((run.control / request_name).exists() for run in runs[:2]))
        assert not (runs[3].control / request_name).exists()


async def test_a_note_goes_to_all_marked_runs(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{name}-20260101-120000-abcd") for name in "abc"]
    async with running("runs", [], tmp_path) as (app, pilot):
        app.state.marked = [run.run_id for run in runs[:2]]
        await pilot.press("N")
        await wait_for_dialog(app, pilot, Prompt)
        assert app.screen.query_one("#box").border_title == "note to 2 runs"
        await pilot.press(*"same", "enter")
        await wait_for_notification(app, pilot, "2 runs: noted.")
    found = [each.read_metadata() for each in runs]
    assert [each.notes for each in found if each] == [["same"], ["same"], []]


async def test_notifications_neither_cover_a_prompt_nor_stay_on_the_next_screen(run: RunDirectory) -> None:
    app = TuitrainApp("watch", [run], run.path.parent)
    async with app.run_test(size=(120, 35), notifications=True) as pilot:
        await until(pilot, lambda: app.state.runs[0].loaded)
        app.notify("shown before")
        await pilot.press("T")
        await wait_for_dialog(app, pilot, Prompt)
        assert notifications(app) == ""
        app.notify("shown while it was open")
        notices = app.screen.get_child_by_type(ToastRack)
        await until(pilot, lambda: any(each.region for each in notices.walk_children(Toast)))
        (notice,) = notices.walk_children(Toast)
        assert notice.region.bottom <= app.screen.query_one("#box").region.y
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Prompt))
        assert "shown while it was open" in notifications(app)
        await pilot.press("6")
        await until(pilot, lambda: app.screen is app.get_screen("logs"))
        assert notifications(app) == ""


async def test_tags_are_edited_in_a_line(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("T")
        await wait_for_dialog(app, pilot, Prompt)
        assert app.screen.query_one(Input).value == "test "
        await pilot.press(*"best", "enter")
        await wait_for_notification(app, pilot, "tags test best")
        await pilot.press("T")
        await wait_for_dialog(app, pilot, Prompt)
        await pilot.press(*"zzz", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Prompt))
    info = run.read_metadata()
    assert info is not None
    assert info.tags == ["test", "best"]


async def test_tags_of_marked_runs_change_where_they_are_shared(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{name}-20260101-120000-abcd") for name in "ab"]
    info = runs[1].read_metadata()
    assert info is not None
    info.tags.append("own")
    runs[1].write_metadata(info)
    async with running("runs", [], tmp_path) as (app, pilot):
        app.state.marked = [run.run_id for run in runs]
        await pilot.press("T")
        await wait_for_dialog(app, pilot, Prompt)
        field = app.screen.query_one(Input)
        assert field.value == "test "
        field.value = "new"
        await pilot.press("enter")
        await wait_for_notification(app, pilot, "2 runs: tags new")
    found = [each.read_metadata() for each in runs]
    assert [set(each.tags) for each in found if each] == [{"new"}, {"own", "new"}]


async def test_a_note_is_added(run: RunDirectory) -> None:
    async with running("config", [run], run.path.parent) as (app, pilot):
        for text in ("first", "then"):
            await pilot.press("N")
            await wait_for_dialog(app, pilot, Prompt)
            await pilot.press(*text, "enter")
            await until(pilot, lambda: not isinstance(app.screen, Prompt))
            await until(pilot, lambda text=text: text in (run.read_metadata() or pytest.fail("no run.json")).notes)
    info = run.read_metadata()
    assert info is not None
    assert info.notes == ["first", "then"]


async def test_an_audit_is_shown_in_a_box(run: RunDirectory) -> None:
    run.metrics.write_text(re.sub(r'"n_layers":\d+', '"n_layers":9', run.metrics.read_text(encoding="utf-8")))
    async with running("watch", [run], run.path.parent) as (app, pilot):
        for screen in ("watch", "runs", "config"):
            await shown_screen(app, pilot, screen)
            await pilot.press("A")
            await wait_for_dialog(app, pilot, Dialog)
            assert app.screen.query_one("#box").border_title == f"audit of {run.run_id}", screen
            text = str(app.screen.query_one("#box Static", Static).content)
            assert " checks agree" in text.splitlines()[0] and "\nimpossible, parameters: The model has" in text, screen
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Dialog))


async def test_the_value_in_focus_and_the_id_are_copied(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("Y")
        loss = app.state.runs[0].history.steps.last("loss")
        assert loss is not None
        assert float(app.clipboard) == pytest.approx(loss, rel=1e-9)
        assert f"copied loss: {app.clipboard}" in notifications(app)
    async with running("runs", [], run.path.parent) as (app, pilot):
        await pilot.press("Y")
        assert app.clipboard == run.run_id


async def test_a_run_without_a_value_has_nothing_to_copy(tmp_path: Path) -> None:
    known = write_run(tmp_path, "llama2-tiny-20260101-120000-abcd")
    unknown = write_run(tmp_path, "gpt2-tiny-20260101-130000-ef01", preset="gpt2-tiny")
    forget(unknown, "mfu")
    async with running("watch", [known, unknown], tmp_path) as (app, pilot):
        await pilot.press("right", "Y")
        assert "of llama2-tiny: " in notifications(app)
        copied = app.clipboard
        app.clear_notifications()
        await pilot.press("n", "Y")
        assert app.state.focused == 1
        assert app.clipboard == copied
        assert "MFU of gpt2-tiny: n/a" in notifications(app)


async def test_a_readonly_dashboard_acts_on_no_key_no_click_and_no_command(live: RunDirectory) -> None:
    async with readonly_app("watch", live) as (app, pilot):
        for screen in ("watch", "runs", "config", "logs"):
            await shown_screen(app, pilot, screen)
            await pilot.press("S", "K", "E", "T", "N")
            for name in ("stop_run", "checkpoint_run", "evaluate_run", "edit_tags", "edit_note", "export_panel"):
                # As a click on a line of text and the command palette do it.
                await app.screen.run_action(f"screen.{name}")
            await pilot.pause(0.2)
            assert app.screen is app.get_screen(screen)
            assert not list(live.control.iterdir()), screen
            assert not (live.path / "exports").exists(), screen
            assert "stop" not in shown(app).split("\n")[-1].split(), screen
            await pilot.press("question_mark")
            await wait_for_dialog(app, pilot, HelpScreen)
            assert "checkpoint" not in shown(app), screen
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, HelpScreen))


async def palette_matches(app: TuitrainApp, pilot: Pilot[None], query: str) -> str:
    """The commands that the palette lists for a query."""
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(app.screen, CommandPalette))
    found = app.screen.query_one(OptionList)
    await until(pilot, lambda: len(found.options) > 20)
    await pilot.press(*query)
    await until(pilot, lambda: 0 < len(found.options) < 10)
    await app.workers.wait_for_complete()
    return "\n".join(str(option.prompt) for option in found.options)


async def test_the_palette_of_a_readonly_dashboard_has_no_stop(live: RunDirectory) -> None:
    async with running("watch", [live], live.path.parent) as (app, pilot):
        assert "Ask the run" in await palette_matches(app, pilot, "stop")
    async with readonly_app("watch", live) as (app, pilot):
        assert "Ask the run" not in await palette_matches(app, pilot, "stop")
        assert not list(live.control.iterdir())


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """A real engine that trains until it is asked to stop."""
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    corpus = tmp_path / "text.txt"
    corpus.write_text("def answer(question):\n    return 42\n" * 400)
    config = load_config("llama2-tiny", [*MICRO, f"data.source={corpus}", "train.max_steps=10000000"])
    started = start_run(config, tmp_path / "runs", Label("trains"))
    yield started
    started.process.terminate()
    try:
        started.process.wait(20)
    except subprocess.TimeoutExpired:
        started.process.kill()
        started.process.wait()


@pytest.mark.slow
async def test_a_real_engine_evaluates_saves_and_stops(training: Started) -> None:
    run = training.run
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await until(pilot, lambda: (app.state.runs[0].history.step or 0) > 3, 90)
        await pilot.press("E")
        await until(pilot, lambda: "evaluated at step" in notifications(app), 60)
        await pilot.press("K")
        await until(pilot, lambda: "saved checkpoints/step-" in notifications(app), 60)
        await pilot.press("S")
        await wait_for_dialog(app, pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: f"{run.run_id}: stopped at step" in notifications(app), 60)
    assert training.process.wait(30) == 0
    assert read_snapshot(run).status is Status.STOPPED
