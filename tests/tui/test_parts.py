"""Actions, colours, tables, text: the parts that screens are made of."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from tests.support import write_run
from tuitrain.tui import app as app_module
from tuitrain.tui.actions import actions_of
from tuitrain.tui.app import TuitrainApp, run_app
from tuitrain.tui.arrangement import GRID_UNITS, HEADER_ROWS, LEAST_CHART_ROWS, SELECTOR_ROWS, arrange
from tuitrain.tui.content.headline import bar
from tuitrain.tui.registry import ACTIONS, ScreenName
from tuitrain.tui.screens.compare import CompareScreen
from tuitrain.tui.screens.help import HelpScreen, help_lines
from tuitrain.tui.screens.runs import RunsScreen
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.text import Span, crop, fit, line, plain, spread, width, wrap
from tuitrain.tui.theme import contrast, palette_of, terminal_palette
from tuitrain.tui.widgets.dashboard import Dashboard

SCREENS: dict[ScreenName, type] = {
    "watch": WatchScreen, "runs": RunsScreen, "compare": CompareScreen, "help": HelpScreen,
}  # fmt: skip


@pytest.mark.parametrize("place", SCREENS)
def test_every_action_of_a_screen_has_its_method(place: ScreenName) -> None:
    for action in actions_of(place):
        owner = {"screen": SCREENS[place], "charts": Dashboard, "app": TuitrainApp}[action.owner]
        assert callable(getattr(owner, f"action_{action.id}", None)), action.id


@pytest.mark.parametrize("place", SCREENS)
def test_no_key_means_two_things_on_a_screen(place: ScreenName) -> None:
    keys = [key for action in actions_of(place) for key in action.keys]
    assert len(keys) == len(set(keys))


def test_help_comes_from_the_registry() -> None:
    shown = " ".join(" ".join(plain(row) for row in help_lines("watch", ACTIONS, 60)).split())
    assert all(action.help in shown for action in ACTIONS if "watch" in action.screens)


@pytest.mark.parametrize("name", [name for name in BUILTIN_THEMES if "ansi" not in name])
def test_text_and_curves_are_readable_in_every_theme(name: str) -> None:
    palette = palette_of(BUILTIN_THEMES[name])
    for role in ("text", "quiet", "val", "good", "warn", "bad", "accent", *(f"run{n}" for n in range(6))):
        style = palette[role]
        assert style.color is not None
        assert style.bgcolor is not None
        assert contrast(Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)) >= 3, role


def test_both_palettes_know_the_same_roles() -> None:
    assert palette_of(BUILTIN_THEMES["textual-dark"]).roles == terminal_palette(True).roles


def test_a_bar_is_as_long_as_asked() -> None:
    for fraction, cells in product((0, 0.001, 0.33, 0.999, 1, 7), (1, 6, 40)):
        assert width(bar(fraction, cells)) == cells
    assert plain(bar(0.5, 4)) == "██░░"


def test_lines_are_cut_and_filled_by_cells() -> None:
    wide = line("日本語", Span("abc", "quiet"))
    assert width(wide) == 9
    assert [width(crop(wide, cells)) for cells in range(10)] == list(range(10))
    assert width(fit(wide, 20)) == 20
    assert plain(crop(line("abcdef"), 4)) == "abc…"
    assert plain(spread([line("a"), line("b"), line("c")], 9) or ()) == "a   b   c"
    assert spread([line("abc"), line("def")], 7) is None


def test_wrapping_keeps_every_word() -> None:
    text = "the quick brown fox jumps over the lazy dog and an-unbreakably-long-word-that-must-be-cut"
    rows = wrap(text, 12)
    assert all(cell_len(row) <= 12 for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())
    assert wrap("    indented", 40) == ["    indented"]


@pytest.mark.parametrize(
    ("size", "sizes", "rows"),
    [
        ((200, 50), (1,) * 6, [[4, 4, 4], [4, 4, 4]]),
        ((120, 35), (1,) * 6, [[6, 6], [6, 6], [6, 6]]),
        ((120, 35), (1,) * 3, [[4, 4, 4]]),
        ((300, 50), (1,) * 8, [[3, 3, 3, 3], [3, 3, 3, 3]]),
        # Rows are about equally full, and filled to their end.
        ((200, 50), (1,) * 4, [[6, 6], [6, 6]]),
        ((200, 50), (1,) * 7, [[4, 4, 4], [4, 4, 4], [12]]),
        ((200, 50), (2, 1, 1, 1, 1), [[8, 4], [4, 4, 4]]),
        ((200, 50), (1, 3, 1), [[12], [12], [12]]),
        ((200, 50), (1,), [[12]]),
    ],
)
def test_charts_share_the_rows(size: tuple[int, int], sizes: tuple[int, ...], rows: list[list[int]]) -> None:
    found = arrange(*size, sizes, 0.3)
    assert [[cell.span for cell in row] for row in found.rows] == rows
    assert [cell.panel for row in found.rows for cell in row] == list(range(len(sizes)))
    assert len(found.pages) == 1
    assert not found.single


@pytest.mark.parametrize(("size", "count"), [((80, 24), 6), ((80, 24), 3), ((10, 3), 1), ((200, 11), 6), ((1, 1), 12)])
def test_where_there_is_little_room_one_thing_shows(size: tuple[int, int], count: int) -> None:
    found = arrange(*size, (1,) * count, 0.3)
    assert found.single
    assert found.pane_rows == 0
    assert [found.page_of(panel) for panel in range(count)] == list(range(count))


@pytest.mark.parametrize("size", list(product((100, 120, 160, 200, 300), (20, 35, 50, 100))))
@pytest.mark.parametrize("count", range(1, 13))
def test_any_number_of_panels_has_room(size: tuple[int, int], count: int) -> None:
    found = arrange(*size, (1,) * count, 0.3)
    most = max(len(page) for page in found.pages)
    assert sorted(cell.panel for row in found.rows for cell in row) == list(range(count))
    assert all(sum(cell.span for cell in row) == GRID_UNITS for row in found.rows)
    assert found.pane_rows + most * LEAST_CHART_ROWS + HEADER_ROWS + SELECTOR_ROWS <= size[1]
    # No page is fuller than another by more than a row.
    assert most - min(len(page) for page in found.pages) <= 1


def test_up_and_down_go_to_the_panel_below() -> None:
    found = arrange(200, 50, (2, 1, 1, 1, 1), 0.3)
    assert [found.neighbour(panel, 1) for panel in range(5)] == [2, 4, 0, 0, 1]
    assert [found.neighbour(panel, -1) for panel in range(5)] == [2, 4, 0, 0, 1]


def test_leaving_a_live_run_says_how_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path, status=None)
    done = write_run(tmp_path, "gpt2-tiny-20260101-120000-0000", preset="gpt2-tiny")

    def leave_at_once(app: TuitrainApp) -> None:
        from tuitrain.runs import read_snapshot

        for view in app.state.runs:
            assert view.directory is not None
            view.status = read_snapshot(view.directory).status

    monkeypatch.setattr(app_module.TuitrainApp, "run", leave_at_once)
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", str(tmp_path))
    assert run_app("watch", [run, done], tmp_path) == 0
    assert capsys.readouterr().out == f"training goes on: tuitrain watch {run.run_id}\n"
    monkeypatch.delenv("TUITRAIN_RUNS_DIR")
    run_app("watch", [run], tmp_path)
    assert capsys.readouterr().out == f"training goes on: tuitrain watch {run.run_id} --runs-dir {tmp_path}\n"


def test_an_unknown_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="step, tokens, time"):
        run_app("watch", [], tmp_path, x="weeks")


def test_the_dashboard_imports_little() -> None:
    code = "import sys, tuitrain.tui.app, tuitrain.tui.screens.watch; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for heavy in ("torch", "matplotlib", "pydantic", "pyarrow", "plotext", "tuitrain.tui.screens.runs"):
        assert heavy not in modules
