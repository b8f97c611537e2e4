"""Figures for papers: single panels of any size, without a title, distinguishable in grey, with a style file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from typer.testing import CliRunner

from tests.support import write_run
from tuitrain.cli.commands.export import app
from tuitrain.export.errors import ExportError
from tuitrain.export.figures import (
    analysis_figure,
    comparison_figure,
    export_plots,
    panel_figure,
    panel_plot,
    save_figure,
)
from tuitrain.export.style import figure_style
from tuitrain.runs import RunDirectory, RunHistory, load_history

Pair = tuple[RunDirectory, RunHistory]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    path = tmp_path_factory.mktemp("runs")
    runs = [
        write_run(path, f"run{n}-20260101-12000{n}-abcd", floor=2.0 + n, overrides=(f"name=run{n}",)) for n in (0, 1)
    ]
    return [(run, load_history(run)) for run in runs]


def named(two: list[Pair]) -> list[tuple[str, RunHistory]]:
    return [(f"run{n}", history) for n, (_, history) in enumerate(two)]


def words(artist: Figure | Axes) -> list[str]:
    return [text.get_text() for text in artist.findobj(Text) if text.get_visible() and text.get_text()]


def pdf_inches(path: Path) -> tuple[float, float]:
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", path.read_bytes())
    assert box is not None
    return float(box[1]) / 72, float(box[2]) / 72


def test_one_panel_is_a_separate_file_of_the_requested_size(two: list[Pair], tmp_path: Path) -> None:
    paths = export_plots(two, tmp_path, ("pdf",), panels=("loss", "val_loss"), size=(3.3, 2.5), title=False)
    assert [path.name for path in paths] == [
        "run0-20260101-120000-abcd-loss.pdf", "run1-20260101-120001-abcd-loss.pdf", "run0-vs-run1-loss.pdf",
        "run0-vs-run1-val_loss.pdf",
    ]  # fmt: skip
    assert all(pdf_inches(path) == pytest.approx((3.3, 2.5)) for path in paths)


def test_without_a_title_the_labels_and_the_legend_remain(two: list[Pair]) -> None:
    for title in (True, False):
        with figure_style():
            one = panel_figure(panel_plot(named(two)[:1], "throughput", "step"), (3.3, 2.5), title=title)
            several = panel_figure(panel_plot(named(two), "loss", "step"), (3.3, 2.5), title=title)
            whole = comparison_figure(named(two), title=title)
        assert ("Throughput" in words(one)) == title
        assert ("Training loss" in words(several)) == title
        assert ("run0, run1" in words(whole)) == title
        assert "throughput, tokens/s" in words(one)
        assert "loss, nats per token" in words(several)
        assert {"run0", "run1"} <= set(words(whole)), "the legend stays"


def test_runs_differ_in_grey_and_a_note_states_the_smoothing(two: list[Pair]) -> None:
    with figure_style():
        figure = comparison_figure(named(two))
    for axes in figure.axes[:3]:
        curves = [line for line in axes.lines if line.get_alpha() is None]
        assert len(curves) == 2
        assert curves[0].get_linestyle() != curves[1].get_linestyle()
    first, second = (points.get_paths()[0].vertices for points in figure.axes[1].collections)
    assert first.shape != second.shape
    assert "smoothed over 3 records" in words(figure.axes[0])
    assert "smoothed over 3 records" in words(figure.axes[2])


def test_a_tie_has_no_bold_winner(two: list[Pair]) -> None:
    with figure_style():
        table = comparison_figure(named(two)).axes[-1]
    bold = {text.get_text() for text in table.texts if text.get_fontweight() == "bold"}
    assert "63.1 GB" not in bold
    assert bold, "the lower loss is bold"


def test_the_style_file_sets_size_and_font(two: list[Pair], tmp_path: Path) -> None:
    style = tmp_path / "paper.mplstyle"
    style.write_text("figure.figsize: 5, 4\nfont.size: 18\n", encoding="utf-8")
    (path,) = export_plots(two[:1], tmp_path, style=style, dpi=100, panels=("loss",))
    assert imread(path).shape[:2] == (400, 500)
    sizes = {}
    for name, used in (("ours", None), ("theirs", style)):
        with figure_style(used):
            figure = panel_figure(panel_plot(named(two)[:1], "loss", "step"), (6.0, 4.0))
            sizes[name] = sorted({text.get_fontsize() for text in figure.findobj(Text) if text.get_text()})
    assert sizes["theirs"] == pytest.approx([2 * size for size in sizes["ours"]])
    (path,) = export_plots(two[:1], tmp_path, style=style, dpi=100, size=(3.0, 2.0), panels=("lr",))
    assert imread(path).shape[:2] == (200, 300), "an explicit size comes before that of the style"


def test_in_a_small_figure_the_legend_is_inside_the_panel(two: list[Pair], tmp_path: Path) -> None:
    with figure_style():
        figure = analysis_figure(two[0][1], "x", size=(7.0, 4.0))
        save_figure(figure, tmp_path, "small", ("png",), 100)
        for axes in figure.axes:
            if (legend := axes.get_legend()) and (title := axes.get_title(loc="left")):
                (text,) = [each for each in axes.findobj(Text) if each.get_text() == title]
                assert not legend.get_window_extent().overlaps(text.get_window_extent()), title


@pytest.mark.parametrize("panel", ["loss", "mfu", "throughput"])
def test_the_legend_of_a_small_panel_covers_no_text(two: list[Pair], tmp_path: Path, panel: str) -> None:
    with figure_style():
        for figure in (
            panel_figure(panel_plot(named(two), panel, "step"), (3.3, 2.5), title=False),
            panel_figure(panel_plot(named(two)[:1], panel, "step"), (3.0, 2.0)),
        ):
            before = [text.get_text() for axes in figure.axes for text in axes.texts]
            save_figure(figure, tmp_path, panel, ("png",), 100)
            for axes in figure.axes:
                legend = axes.get_legend()
                for text in axes.texts if legend else ():
                    assert not legend.get_window_extent().overlaps(text.get_window_extent()), text.get_text()
            assert set(before) <= set(words(figure)), "no note is lost"


def test_a_size_without_space_for_the_curves_is_refused_in_one_sentence(
    two: list[Pair], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with pytest.raises(ExportError, match="2x1 inches leave no room for the curves of run0-"):
        export_plots(two, tmp_path, size=(2.0, 1.0))
    assert not list(tmp_path.iterdir())
    assert not recwarn.list


def test_an_unknown_panel_is_an_error_that_lists_the_panels(two: list[Pair], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="'nonsense' is not a panel; known: loss, val_loss, "):
        export_plots(two, tmp_path, panels=("nonsense",))
    assert not list(tmp_path.iterdir())


def test_any_panel_of_the_dashboard_can_be_a_figure(two: list[Pair], tmp_path: Path) -> None:
    paths = export_plots(two, tmp_path, dpi=40, panels=("grad_norm", "layers"))
    assert [path.name for path in paths] == [
        "run0-20260101-120000-abcd-grad_norm.png", "run0-20260101-120000-abcd-layers.png",
        "run1-20260101-120001-abcd-grad_norm.png", "run1-20260101-120001-abcd-layers.png", "run0-vs-run1-grad_norm.png",
    ]  # fmt: skip
    assert [path.name for path in export_plots(two[:1], tmp_path, dpi=40, panels=("val_loss",))] == [
        "run0-20260101-120000-abcd-val_loss.png"
    ]


@pytest.mark.parametrize("size", ["3", "axb", "0x2", "3x1000"])
def test_an_invalid_size_is_refused_in_one_sentence(two: list[Pair], size: str) -> None:
    done = CliRunner().invoke(app, ["plots", str(two[0][0].path), "--size", size])
    assert done.exit_code == 2
    assert "is not a size in inches" in done.output
