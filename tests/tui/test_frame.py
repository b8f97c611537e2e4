"""The frame of text for pipes and `watch --once`."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support import write_run
from tests.tui.rich_run import records
from tuitrain.plots.panels import panel_of
from tuitrain.plots.panels.layouts import SHIPPED, parse
from tuitrain.runs import RunDirectory, RunHistory, Status, load_history
from tuitrain.tui.arrangement import LEAST_CHART_ROWS
from tuitrain.tui.content.headline import header
from tuitrain.tui.frame import render_frame, view_of
from tuitrain.tui.view_state import ViewState


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 35), (200, 50)])
def test_header_numbers_and_charts(tmp_path: Path, width: int, height: int) -> None:
    text = render_frame([write_run(tmp_path)], width, height, color=False)
    words = ("✓ completed", "llama2-tiny", "step 100 of 300", "loss", "MFU", "throughput", "memory", "gradient norm")
    for word in (*words, "learning rate", "capacity", "MFU fell by 30 %."):
        assert word in text, word
    assert "\x1b" not in text
    assert text.endswith("\n")
    assert max(cell_len(row) for row in text.split("\n")) <= width
    assert not any(row != row.rstrip() for row in text.split("\n"))


def test_colours_only_on_request(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert "\x1b[" in render_frame([run], 120, 35, color=True)


def test_a_history_without_a_directory(tmp_path: Path) -> None:
    history = load_history(write_run(tmp_path))
    assert "step 100 of 300" in render_frame([history], 100, 30, color=False)


def test_several_runs(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"llama2-tiny-20260101-12000{n}-abc{n}") for n in range(3)]
    text = render_frame(runs, 160, 40, color=False, x="tokens")
    assert text.count("step 100 of 300") == 3
    assert "llama2-tiny · abc1" in text
    assert "tokens" in text


def test_a_run_without_a_log_yet(tmp_path: Path) -> None:
    text = render_frame([RunDirectory(tmp_path / "new-20260101-000000-0000")], 80, 24, color=False)
    assert "waiting for the first step" in text
    assert "no data yet" in text


@pytest.mark.parametrize(("width", "first"), [(1, ""), (7, " ✓ co"), (20, " ✓ completed  lla")])
def test_a_narrow_pipe(tmp_path: Path, width: int, first: str) -> None:
    rows = render_frame([write_run(tmp_path)], width, 3, color=False).split("\n")
    assert max(map(cell_len, rows)) <= width
    assert rows[0].startswith(first)
    assert len(rows) > 6 * LEAST_CHART_ROWS, "every panel has its rows"


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("layout", SHIPPED)
def test_every_layout_has_its_panels(layout: str, width: int) -> None:
    panels, _ = parse(SHIPPED[layout])
    history = RunHistory()
    history.absorb(records())
    text = render_frame([history], width, 40, color=False, panels=panels)
    assert max(map(cell_len, text.split("\n"))) <= width
    state = ViewState([view_of(history, 0)])
    for name in panels:
        title = panel_of(name).build(state).title
        assert f"╭ {title} " in text, title
    assert text.count("╭ ") == text.count("╰ ") == len(panels)
    assert {cell_len(row) for row in text.split("\n") if row.startswith("╭")} == {width}, "rows are filled"


def test_the_smoothing_of_the_settings(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    smooth, raw, more = (render_frame([run], 120, 40, color=False, smoothing=weight) for weight in (0.9, 0.0, 0.5))
    assert "smooth 0.9" in smooth and "smooth" not in raw and "smooth 0.5" in more
    assert len({smooth, raw, more}) == 3


def test_the_output_of_a_starting_run_is_marked_as_console(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "new-20260101-000000-0000")
    view = view_of(run, 0)
    view.status, view.console = Status.STARTING, ("nothing to wait for",)
    second = "".join(span.text for span in header(ViewState([view]), 100)[1])
    assert second.strip() == "starting the engine · console: nothing to wait for"
