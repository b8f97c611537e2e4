"""The frame of text for pipes and `watch --once`."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support import write_run
from tuitrain.runs import RunDirectory, load_history
from tuitrain.tui.frame import render_frame


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


def test_colour_is_only_there_when_asked_for(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("width", [1, 7, 20])
def test_a_narrow_pipe(tmp_path: Path, width: int) -> None:
    text = render_frame([write_run(tmp_path)], width, 3, color=False)
    assert "completed"[: max(0, width - 5)] in text
