"""`export plots` as text files."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support import write_run
from tuitrain.export.errors import ExportError
from tuitrain.export.text_charts import COLUMNS, export_text_charts
from tuitrain.plots.figures import find_figure
from tuitrain.runs import RunDirectory, RunHistory, load_history


@pytest.fixture
def runs(tmp_path: Path) -> list[tuple[RunDirectory, RunHistory]]:
    made = [write_run(tmp_path, "first"), write_run(tmp_path, "second", preset="gpt2-tiny", floor=3.0)]
    return [(run, load_history(run)) for run in made]


def test_each_run_has_a_file_of_panels_and_several_runs_a_comparison(
    runs: list[tuple[RunDirectory, RunHistory]], tmp_path: Path
) -> None:
    out = tmp_path / "texts"
    files = export_text_charts(runs, out, ("txt", "ansi"))
    assert [path.name for path in files] == [
        f"{stem}.{suffix}"
        for stem in ("first-analysis", "second-analysis", "llama2-tiny-vs-gpt2-tiny-comparison")
        for suffix in ("txt", "ansi")
    ]
    plain, coloured, *_, comparison, _ = (path.read_text(encoding="utf-8") for path in files)
    assert plain.replace("\n", "").isprintable()
    assert max(map(cell_len, plain.splitlines())) == COLUMNS
    assert plain.startswith("first\n\nloss ")
    assert plain.count("└") == len(find_figure("analysis", []).panels)
    assert "\x1b[36m" in coloured
    assert comparison.count("└") == len(find_figure("comparison", []).panels)
    assert "● llama2-tiny" in comparison


def test_single_panels_have_separate_files(runs: list[tuple[RunDirectory, RunHistory]], tmp_path: Path) -> None:
    files = export_text_charts(runs, tmp_path / "texts", figures=("loss", "lr"))
    assert [path.name for path in files] == [
        "first-loss.txt", "first-lr.txt", "second-loss.txt", "second-lr.txt", "llama2-tiny-vs-gpt2-tiny-loss.txt",
        "llama2-tiny-vs-gpt2-tiny-lr.txt",
    ]  # fmt: skip


def test_nothing_is_written_when_a_chart_cannot_be_drawn(
    runs: list[tuple[RunDirectory, RunHistory]], tmp_path: Path
) -> None:
    out = tmp_path / "texts"
    for chosen, panels in (([], ()), (runs, ("loss", "los")), ([*runs, (runs[0][0], RunHistory())], ())):
        with pytest.raises(ExportError):
            export_text_charts(chosen, out, figures=panels)
    assert not out.exists()
