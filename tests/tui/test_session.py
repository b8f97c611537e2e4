"""What is remembered between two visits, and that nothing depends on it; alerts that ring; slow lines."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support import write_run
from tests.tui.conftest import dashboard, running, until
from tuitrain.events import Alert, EventWriter, Step
from tuitrain.runs import Batch, RunDirectory, Status
from tuitrain.runs.updates import Update
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.session import MOST_BYTES, Session, session_of
from tuitrain.tui.settings import Settings
from tuitrain.tui.view_state import RunView


def test_what_was_set_is_there_the_next_time(tmp_path: Path) -> None:
    session = session_of(tmp_path / "runs")
    assert session.get("layout", "overview") == "overview"
    session.set("layout", {"panels": ["loss", "mfu"], "zoomed": None})
    session.save()
    assert session_of(tmp_path / "runs").get("layout") == {"panels": ["loss", "mfu"], "zoomed": None}
    assert session_of(tmp_path / "other").get("layout") is None
    assert session.path.is_relative_to(tmp_path / "own-state")
    assert [path.name for path in session.path.parent.iterdir()] == [session.path.name], "nothing is left beside it"


def test_nothing_is_written_that_did_not_change(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    session.save()
    assert not session.path.exists()
    session.set("x", "time")
    session.save()
    session.path.unlink()
    session.set("x", "time")
    session.save()
    assert not session.path.exists()


def test_two_dashboards_keep_each_others_changes(tmp_path: Path) -> None:
    one, other = session_of(tmp_path), session_of(tmp_path)
    assert one.get("x") is other.get("x") is None
    one.set("x", "time")
    other.set("theme", "light")
    one.save()
    other.save()
    assert json.loads(one.path.read_text()) == {"x": "time", "theme": "light"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'"' + b"x" * MOST_BYTES + b'"'])
def test_a_broken_file_is_ignored_with_one_sentence_and_replaced(content: bytes, tmp_path: Path) -> None:
    session = session_of(tmp_path)
    session.path.parent.mkdir(parents=True)
    session.path.write_bytes(content)
    assert session.get("x", "step") == "step"
    assert session.problem.startswith(f"The last session is not restored: {session.path}: ")
    session.set("x", "time")
    session.save()
    assert session_of(tmp_path).get("x") == "time"


def test_a_place_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "own-state").write_text("a file where a directory should be")
    session = session_of(tmp_path)
    session.set("x", "time")
    session.save()
    assert session.get("x") == "time"
    assert session.problem.startswith("The session is not kept")
    assert Session(tmp_path).get("x") is None


async def test_the_next_visit_looks_as_the_last_one_did(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("x", "s", "y", "o", "t")
        kept = (app.state.x, app.state.smoothing, app.state.log, app.state.clip, app.theme)
        assert kept == ("tokens", 0.97, True, False, "light")
        await pilot.press("tab", "tab", "b")
        panel, tab = dashboard(app).focus_index, dashboard(app).tab_index
        assert (panel, tab) == (2, 1)
        await pilot.press("6")
        await until(pilot, lambda: app.screen is app.get_screen("logs"))
    app = TuitrainApp(None, [run], run.path.parent)
    async with app.run_test() as pilot:
        assert (app.state.x, app.state.smoothing, app.state.log, app.state.clip, app.theme) == kept
        assert app.screen is app.get_screen("logs")
        await pilot.press("1")
        assert (dashboard(app).focus_index, dashboard(app).tab_index) == (panel, tab)


async def test_what_was_asked_for_goes_before_the_last_visit(run: RunDirectory) -> None:
    session = session_of(run.path.parent)
    session.set("x", "time")
    session.set("theme", "light")
    session.set("smoothing", "no number")
    session.set("screen", "system")
    session.save()
    app = TuitrainApp("watch", [run], run.path.parent, settings=Settings(x="flops"), given={"x"})
    async with app.run_test():
        assert app.state.x == "flops"
        assert app.theme == "light"
        assert app.state.smoothing == Settings().smoothing
        assert app.screen is app.get_screen("watch")


async def test_what_is_given_for_one_visit_is_not_kept_for_the_next(run: RunDirectory) -> None:
    for keys, theme in (([], "dark"), (["t"], "contrast")):
        settings = Settings(theme="light", x="time")
        app = TuitrainApp("watch", [run], run.path.parent, settings=settings, given={"theme", "x"})
        async with app.run_test() as pilot:
            await pilot.press(*keys)
        async with TuitrainApp("watch", [run], run.path.parent).run_test() as pilot:
            assert (pilot.app.theme, session_of(run.path.parent).get("x", "step")) == (theme, "step")


async def test_without_colours_the_theme_of_the_last_visit_is_kept(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as plain:
        plain.setenv("NO_COLOR", "1")
        app = TuitrainApp("watch", [run], run.path.parent)
        async with app.run_test():
            assert app.theme == "terminal"
    assert session_of(run.path.parent).get("theme", "dark") == "dark"


async def test_the_problem_with_a_session_is_said_once(run: RunDirectory) -> None:
    path = session_of(run.path.parent).path
    path.parent.mkdir(parents=True)
    path.write_text("{")
    async with running("watch", [run], run.path.parent) as (app, pilot):
        app._save_session()
        app._save_session()
        await pilot.pause()
        said = [notice.message for notice in app._notifications if str(path) in notice.message]
        assert len(said) == 1


def alert(at: float, level: str = "warning") -> Alert:
    return Alert(time=at, level=level, code="x", message="Loss [spike]", step=1)  # type: ignore[arg-type]


def test_old_alerts_are_silent_and_new_ones_ring_once() -> None:
    view = RunView(0)

    def read(*alerts: Alert, more: bool = False, reset: bool = False) -> list[Alert]:
        return view.absorb(Update(Batch(alerts, more=more, reset=reset), Status.RUNNING))

    assert read(alert(1), alert(2), more=True) == []
    assert read(alert(3)) == []
    new = alert(4)
    assert read(new) == [new]
    assert read(alert(1), alert(3), new, reset=True) == [], "the log was read again"
    earlier = alert(-3600)
    assert read(earlier) == [earlier], "the clock was set back"
    view = RunView(1)
    assert read() == []
    assert read(new) == [new], "a log that was empty"


@pytest.mark.parametrize("bell", [True, False])
async def test_an_alert_that_arrives_rings_and_is_said(
    bell: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings: list[float] = []
    monkeypatch.setattr(TuitrainApp, "bell", lambda self: rings.append(time.time()))
    run = write_run(tmp_path, steps=10, status=None)
    with EventWriter(run.metrics) as log:
        log.write(alert(time.time() - 1))
    app = TuitrainApp("watch", [run], tmp_path, settings=Settings(bell=bell))
    async with app.run_test(size=(120, 35)) as pilot:
        await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        assert app.state.runs[0].history.alerts
        assert (rings, len(app._notifications)) == ([], 0)
        with EventWriter(run.metrics) as log:
            log.write(alert(time.time() + 3, "info"))
            log.write(alert(time.time() + 1))
            log.write(alert(time.time() + 2, "critical"))
        await until(pilot, lambda: len(app._notifications) == 2)
        assert [notice.severity for notice in app._notifications] == ["warning", "error"]
        assert all(notice.message == "Loss [spike]" for notice in app._notifications)
        assert len(rings) == (1 if bell else 0)


NAMES = (
    "theme", "x", "smoothing", "layout", "log", "log_x", "clip", "recent", "layouts", "watch.panel", "watch.tab",
    "runs.sort", "runs.reverse", "runs.filter",
)  # fmt: skip


@pytest.mark.parametrize("junk", [[], {"overview": [["loss", 2.5], [[], 1]]}, "\x1b[31m", 1e308, None])
async def test_no_remembered_view_prevents_a_start(junk: object, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=5)
    session = session_of(tmp_path / "runs")
    session.path.parent.mkdir(parents=True)
    session.path.write_text(json.dumps(dict.fromkeys(NAMES, junk) | {"screen": junk}), encoding="utf-8")
    async with running("watch", [run], tmp_path / "runs") as (app, pilot):
        assert app.screen.is_mounted
        app.show_screen("runs")
        await until(pilot, lambda: app.state.snapshots is not None and app.screen is app.get_screen("runs"))
        assert app.screen.is_mounted


@pytest.mark.parametrize("x", ["clock", "time"])
async def test_a_remembered_axis_that_a_log_has_no_numbers_for_is_shown_all_the_same(x: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "runs/odd")
    with EventWriter(run.metrics) as log:
        log.write(Step(time=1e18, step=1, loss=1.0, step_time_ms=2.0**63))
        log.write(Step(time=1e300, step=2, loss=1.0, step_time_ms=1e308))
    session = session_of(tmp_path / "runs")
    session.path.parent.mkdir(parents=True)
    session.path.write_text(json.dumps({"x": x}), encoding="utf-8")
    async with running("watch", [run], tmp_path / "runs") as (app, _):
        assert app.state.x == x
