"""Settings: where they come from, which goes first, and what is said about a bad one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import msgspec
import pytest
from textual.screen import Screen

from tests.tui.conftest import SIZES, header, resize, running, shown, until
from tests.tui.screen import screen_lines, screen_text
from tuitrain.runs import RunDirectory, runs_directory
from tuitrain.settings import SettingsError
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.keymap import key_name
from tuitrain.tui.registry import ACTIONS, EVERYWHERE, ScreenName, actions_of, key_text
from tuitrain.tui.screens.dialogs import Dialog
from tuitrain.tui.screens.help import HelpScreen
from tuitrain.tui.settings import THEMES, Settings, load_settings
from tuitrain.tui.widgets.dashboard import Dashboard
from tuitrain.tui.widgets.pane import Pane

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    path = tmp_path / "project"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.delenv("TUITRAIN_RUNS_DIR", raising=False)
    return path


def user_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own-config" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def refused(text: str, project: Path) -> str:
    """What is said about this project file, after its name."""
    file = project / "tuitrain.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_settings()
    said = str(error.value)
    assert said.startswith(str(file))
    assert said.endswith((".", "?"))
    assert "\n" not in said
    return said.removeprefix(str(file)).removeprefix(": ")


def test_a_flag_goes_before_a_variable_before_the_project_before_the_user(project: Path, tmp_path: Path) -> None:
    user_file(tmp_path, '[tui]\ntheme = "light"\nx = "tokens"\nsmoothing = 0.5\nrefresh_s = 2')
    (project / "tuitrain.toml").write_text('[tui]\nx = "time"\nsmoothing = 0.6\nrefresh_s = 3')
    found = load_settings(
        {"refresh_s": 5, "ascii": None}, {"TUITRAIN_REFRESH_S": "4", "TUITRAIN_SMOOTHING": "0.7", "TUITRAIN_BELL": "0"}
    )
    chosen = found.settings
    assert (chosen.theme, chosen.x, chosen.smoothing, chosen.refresh_s) == ("light", "time", 0.7, 5)
    assert not chosen.bell
    assert found.given == {"theme", "x", "smoothing", "refresh_s", "bell"}


def test_without_any_file_the_defaults_hold(project: Path) -> None:
    assert load_settings(environ={}) == (Settings(), frozenset())


def test_a_project_file_counts_up_to_the_root_of_the_repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "tuitrain.toml").write_text('runs_dir = "out"\n[tui]\nx = "flops"')
    below = project / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load_settings().settings.x == "step", "outside of a repository, what lies above is not ours"
    (project / ".git").mkdir()
    assert load_settings().settings.x == "flops"
    assert runs_directory() == project / "out"
    (below / ".git").mkdir()
    assert load_settings().settings.x == "step"


def test_runs_dir_of_a_file_is_used_by_every_command(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs_directory() == Path("runs")
    user_file(tmp_path, f'runs_dir = "{tmp_path}/mine"')
    assert runs_directory() == tmp_path / "mine"
    (project / "tuitrain.toml").write_text('runs_dir = "here"')
    assert runs_directory() == project / "here"
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", "there")
    assert runs_directory() == Path("there")
    assert runs_directory(Path("flag")) == Path("flag")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tui]\nsmoothing = "high"', 'tui.smoothing = "high" is not valid: it should be a number from 0 to below 1.'),
        ("[tui]\nsmoothing = 1", "tui.smoothing = 1 is not valid"),
        ("[tui]\nrefresh_s = 0", "tui.refresh_s = 0 is not valid: it should be seconds, from 0.1 to 60."),
        ('[tui]\nx = "weeks"', "one of step, tokens, time, clock, flops."),
        ('[tui]\nlayout = "foo"', 'tui.layout = "foo" is not one of overview, training, performance, system.'),
        (
            '[tui.layouts]\nmine = ["a/*", "loss:9"]',
            "tui.layouts.mine: 'loss:9' is not valid: it should be a panel",
        ),
        ('[tui.layouts]\nmine = [" "]', "tui.layouts.mine: ' ' is not valid: it should be a panel with 1 to 3 columns"),
        ("[tui.layouts]\nmine = []", "tui.layouts.mine: it has no panels: it should be a list of panels and metrics"),
        ('[tui]\ntheme = "drak"', "one of dark, light, contrast"),
        ('[tui]\nbell = "yes"', 'tui.bell = "yes" is not valid: it should be true or false.'),
        ("[tui]\nsmothing = 1", "tui.smothing is not a setting. Did you mean 'tui.smoothing'?"),
        ("tui = 3", "tui should be a table: write [tui] above its keys."),
        (
            "colour = 3",
            "colour is not a setting. Known: runs_dir, hosts, queue_slots, usd_per_gpu_hour, map, alerts, slurm, tui.",
        ),
        ("runs_dir = 3", "runs_dir = 3 is not valid"),
        ("a = = 3", " is not TOML: Invalid value (at line 1, column 5)."),
        ('[tui.keys]\nzooom = "x"', "tui.keys.zooom is not a setting. Did you mean 'tui.keys.zoom'?"),
        ("[tui.keys]\nzoom = []", "tui.keys.zoom is empty"),
        (
            "[tui.keys]\nzoom = 3",
            'tui.keys.zoom = 3 is not valid: it should be a key or a list of keys, such as "z" or ["q", "ctrl+q"].',
        ),
        ("[tui.keys]\nzoom = [1]", "tui.keys.zoom = [1] is not valid"),
        ('[tui.keys]\nzoom = {a = "b"}', "tui.keys.zoom = {…} is not valid"),
        ("[tui]\nkeys = 3", "tui.keys = 3 is not valid: it should be a table of actions"),
        ('[tui.layouts]\nmine = "loss"', 'tui.layouts.mine = "loss" is not valid: it should be a list of panels'),
        ('[tui.keys]\nzoom = "pgup"', "tui.keys.zoom: 'pgup' is not a key; did you mean 'pageup'?"),
        ('[tui.keys]\nzoom = "ctrl+spcae"', "tui.keys.zoom: 'ctrl+spcae' is not a key; did you mean 'ctrl+space'?"),
        ('[tui.keys]\nzoom = "ctrl+nonsense"', "tui.keys.zoom: 'ctrl+nonsense' is not a key; write it like"),
        ('[tui.keys]\nzoom = "strg+x"', "tui.keys.zoom: 'strg+x' is not a key; write it like"),
        ('[tui.keys]\nzoom = "a b"', "tui.keys.zoom: 'a b' is not a key"),
        (
            '[tui.keys]\nzoom = "?"',
            "tui.keys.zoom: on the screen watch the key 'question_mark' already is that of help",
        ),
    ],
)
def test_a_bad_setting_is_one_sentence_with_the_file_and_the_key(text: str, said: str, project: Path) -> None:
    if text.startswith("runs_dir"):
        (project / "tuitrain.toml").write_text(text)
        with pytest.raises(SettingsError, match=said):
            runs_directory()
    else:
        assert said in refused(text, project)


def test_a_bad_variable_or_flag_is_named(project: Path) -> None:
    with pytest.raises(SettingsError, match=r'^TUITRAIN_SMOOTHING = "high" is not valid'):
        load_settings(environ={"TUITRAIN_SMOOTHING": "high"})
    with pytest.raises(SettingsError, match=r"^--refresh: 0 is not valid"):
        load_settings({"refresh_s": 0})
    with pytest.raises(SettingsError, match=r'^--theme: "pink" is not valid'):
        load_settings({"theme": "pink"})


@pytest.mark.parametrize(
    ("written", "name"),
    [("?", "question_mark"), ("/", "slash"), ("ctrl+/", "ctrl+slash"), ("+", "plus"), ("ctrl++", "ctrl+plus"),
     ("G", "G"), ("F5", "f5"), ("Esc", "escape"), (",", "comma"), ("→", "right"), ("shift+left", "shift+left")],
)  # fmt: skip
def test_keys_are_written_as_on_the_keyboard(written: str, name: str) -> None:
    assert key_name(written) == name


def test_two_actions_may_change_their_keys_with_each_other(project: Path) -> None:
    (project / "tuitrain.toml").write_text('[tui.keys]\ncycle_smoothing = "y"\ntoggle_log = ["s"]')
    assert load_settings().settings.keys == {"cycle_smoothing": ["y"], "toggle_log": ["s"]}


def test_the_registry_has_no_key_twice_on_a_screen() -> None:
    for place in {place for action in ACTIONS for place in action.screens}:
        keys = [key for action in ACTIONS if place in action.screens for key in action.keys]
        assert len(keys) == len(set(keys)), place


async def test_own_keys_work_and_are_shown(run: RunDirectory) -> None:
    settings = Settings(keys={"cycle_smoothing": ["y"], "toggle_log": ["s"], "help": ["f8"], "leave": ["Q"]})
    app = TuitrainApp("watch", [run], run.path.parent, settings=settings)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: " Q quit" in screen_text(app))
        await pilot.press("s")
        assert app.state.log
        await pilot.press("y")
        assert app.state.smoothing == 0.97
        await pilot.press("q", "question_mark")
        assert app.is_running
        assert not isinstance(app.screen, HelpScreen)
        await pilot.press("f8")
        assert isinstance(app.screen, HelpScreen)
        assert "f8" in shown(app)
        await pilot.press("escape", "Q")
    assert app.return_code == 0


async def test_when_reading_only_nothing_is_done_and_no_key_for_it_is_shown(run: RunDirectory) -> None:
    settings = Settings(readonly=True)
    app = TuitrainApp("watch", [run], run.path.parent, settings=settings)
    acting = [action for action in ACTIONS if action.acts and "watch" in action.screens]
    assert {"stop_run", "export_panel", "edit_note"} <= {action.id for action in acting}
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
        for action in acting:
            for key in action.keys:
                before_it = len(app._notifications)
                await pilot.press(key)
                await pilot.pause()
                assert not isinstance(app.screen, Dialog), action.id
                assert len(app._notifications) == before_it + 1, key
        assert {each.message for each in app._notifications} == {"Nothing is done: this dashboard is read-only."}
        assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
        await pilot.press("question_mark")
        assert not any(action.help in shown(app) for action in acting)


@pytest.mark.parametrize(("readonly", "sizes"), [(True, SIZES), (False, [])])
async def test_every_screen_says_that_it_is_read_only(
    readonly: bool, sizes: list[tuple[int, int]], two_runs: list[RunDirectory]
) -> None:
    """Each screen at one size, the first at all of them."""
    app = TuitrainApp("watch", two_runs, two_runs[0].path.parent, settings=Settings(readonly=readonly))
    async with app.run_test(size=SIZES[1]) as pilot:
        for place in EVERYWHERE:
            app.show_screen(place)
            await until(pilot, lambda place=place: app.screen is app.get_screen(place) and screen_lines(app)[-1] != "")
            for size in (*(sizes if place == EVERYWHERE[0] else ()), SIZES[1]):
                await resize(pilot, size)
                *_, screens, keys = screen_lines(app)
                assert keys.endswith(" read-only") == readonly, (place, size)
                assert "1 Watch" in screens or size[1] < 30, f"the screens stay: {place}, {size}"


async def test_own_keys_of_what_is_withheld_answer_too(run: RunDirectory) -> None:
    app = TuitrainApp("watch", [run], run.path.parent, settings=Settings(readonly=True, keys={"stop_run": ["f9"]}))
    async with app.run_test(size=(120, 35)) as pilot:
        await pilot.press("S", "s")
        assert not app._notifications
        await pilot.press("f9")
        assert len(app._notifications) == 1


@pytest.mark.parametrize("place", EVERYWHERE)
async def test_every_key_of_a_screen_can_be_pressed(place: ScreenName, two_runs: list[RunDirectory]) -> None:
    """Arrows, vim keys and all others; what opens is closed. What changes a run or a file has tests of its own.

    Of the keys that show another screen one is pressed.
    """
    app = TuitrainApp(place, two_runs, two_runs[0].path.parent, settings=Settings(readonly=True))
    other: ScreenName = "logs" if place == "config" else "config"
    left_out = {"leave", *(f"show_{name}" for name in EVERYWHERE if name not in (place, other))}
    async with app.run_test(size=SIZES[0]) as pilot:
        await until(pilot, lambda: all(view.loaded for view in app.state.runs))
        for action in actions_of(place, app.actions):
            for key in action.keys if action.id not in left_out else ():
                await pilot.press(key)
                assert app.is_running, action.id
                if action.id == f"show_{other}" and place != "launch":  # there digits go into a line
                    assert app.screen is app.get_screen(other)
                while len(app.screen_stack) > 2:
                    app.pop_screen()
                    await pilot.pause()
                if app.screen is not app.get_screen(place):
                    app.show_screen(place)
                    await pilot.pause()
        assert header(app)


def test_every_action_has_its_handler() -> None:
    for action in ACTIONS:
        for place in action.screens:
            owner = {"screen": _screen_class(place), "charts": Dashboard, "app": TuitrainApp}[action.owner]
            assert callable(getattr(owner, f"action_{action.method.partition('(')[0]}", None)), (place, action.id)


def _screen_class(place: str) -> type[Screen[None]]:
    found: type[Screen[None]] = getattr(
        importlib.import_module(f"tuitrain.tui.screens.{place}"), f"{place.capitalize()}Screen"
    )
    return found


async def test_help_names_every_key_of_the_screen_and_scrolls(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        for size in ((10, 3), (80, 24), (200, 50)):
            await resize(pilot, size)
            await pilot.press("question_mark")
            pane = app.screen.query_one(Pane)
            words = " ".join(pane.text.split())
            if size[0] >= 80:
                assert all(action.keys and key_text(action.keys[0]) in words for action in actions_of("watch"))
                assert "Ask the run for a checkpoint." in words
                assert all(f" {group} " in f" {words} " for group in ("charts", "run", "moving", "screens", "tuitrain"))
            await pilot.press("G")
            await until(pilot, lambda pane=pane: pane.scroll_offset.y == pane.max_scroll_y)
            await pilot.press("g")
            await until(pilot, lambda pane=pane: pane.scroll_offset.y == 0)
            assert (pane.max_scroll_y > 0) == (size[1] < 50), size
            await resize(pilot, (120, 35))
            assert app.screen.query_one("#box").region.height <= 35
            await pilot.press("q")
            assert not isinstance(app.screen, HelpScreen)


def test_the_settings_of_the_documentation_are_valid_and_complete(project: Path) -> None:
    text = (DOCS / "dashboard.md").read_text()
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (project / "tuitrain.toml").write_text(example)
    found = load_settings(environ={})
    assert found.given == set(Settings.__struct_fields__)
    assert runs_directory() == project / "runs"
    assert msgspec.structs.replace(found.settings, keys={}, layouts={}) == Settings()
    for name in THEMES:
        assert f"`{name}`" in text


def test_charts_are_drawn_with_braille_or_plotext(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(environ={}).settings.charts == "braille"
    assert load_settings(environ={"TUITRAIN_CHARTS": "plotext"}).settings.charts == "plotext"
    with pytest.raises(SettingsError, match=r"TUITRAIN_CHARTS.*braille or plotext"):
        load_settings(environ={"TUITRAIN_CHARTS": "sixel"})
