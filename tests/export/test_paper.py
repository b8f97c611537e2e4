"""Figures for papers: single panels of any size, without a title, distinguishable in grey, with a style file."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from typer.testing import CliRunner

from tests.export.figure_runs import figure_of
from tests.support import write_run
from tuitrain.cli.commands.export import app
from tuitrain.events import Step
from tuitrain.export.errors import ExportError
from tuitrain.export.figures import export_plots
from tuitrain.export.style import Paper, Size, figure_style
from tuitrain.runs import RunDirectory, RunHistory, load_history

Pair = tuple[RunDirectory, RunHistory]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    path = tmp_path_factory.mktemp("runs")
    runs = [
        write_run(path, f"run{n}-20260101-12000{n}-abcd", floor=2.0 + n, overrides=(f"name=run{n}",)) for n in (0, 1)
    ]
    return [(run, load_history(run)) for run in runs]


def small(size: Size) -> Paper:
    return Paper(size, *size, size[1])


def words(artist: Figure | Axes) -> list[str]:
    return [text.get_text() for text in artist.findobj(Text) if text.get_visible() and text.get_text()]


def pdf_inches(path: Path) -> tuple[float, float]:
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", path.read_bytes())
    assert box is not None
    return float(box[1]) / 72, float(box[2]) / 72


def test_one_panel_is_a_separate_file_of_the_requested_size(two: list[Pair], tmp_path: Path) -> None:
    paths = export_plots(two, tmp_path, dpi=40, figures=("loss", "val_loss"), size=(3.3, 2.5), title=False)
    assert [path.name for path in paths] == [
        "run0-20260101-120000-abcd-loss.png", "run1-20260101-120001-abcd-loss.png", "run0-vs-run1-loss.png",
        "run0-vs-run1-val_loss.png",
    ]  # fmt: skip
    assert {imread(path).shape[:2] for path in paths} == {(100, 132)}


def test_without_a_title_the_labels_and_the_legend_remain(two: list[Pair]) -> None:
    for title in (True, False):
        with figure_style():
            one = figure_of("throughput", two[:1], paper=small((3.3, 2.5)), title=title)
            several = figure_of("loss", two, paper=small((3.3, 2.5)), title=title)
            whole = figure_of("comparison", two, title=title)
        assert ("Throughput" in words(one)) == title
        assert ("Training loss" in words(several)) == title
        assert ("run0, run1" in words(whole)) == title
        assert "throughput, tokens/s" in words(one)
        assert "loss, nats per token" in words(several)
        assert {"run0", "run1"} <= set(words(whole)), "the legend stays"


def test_runs_differ_in_grey_and_a_note_states_the_smoothing(two: list[Pair]) -> None:
    with figure_style():
        figure = figure_of("comparison", two)
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
        table = figure_of("comparison", two).axes[-1]
    bold = {text.get_text() for text in table.texts if text.get_fontweight() == "bold"}
    assert "63.1 GB" not in bold
    assert bold, "the lower loss is bold"


def test_the_style_file_sets_size_and_font(two: list[Pair], tmp_path: Path) -> None:
    style = tmp_path / "paper.mplstyle"
    style.write_text("figure.figsize: 5, 4\nfont.size: 18\n", encoding="utf-8")
    (path,) = export_plots(two[:1], tmp_path, style=style, dpi=100, figures=("loss",))
    assert imread(path).shape[:2] == (400, 500)
    sizes = {}
    for name, used in (("ours", None), ("theirs", style)):
        with figure_style(used):
            figure = figure_of("loss", two[:1], paper=small((12.0, 8.0)))
            sizes[name] = sorted({text.get_fontsize() for text in figure.findobj(Text) if text.get_text()})
    assert sizes["theirs"] == pytest.approx([2 * size for size in sizes["ours"]])
    (path,) = export_plots(two[:1], tmp_path, style=style, dpi=100, size=(3.0, 2.0), figures=("lr",))
    assert imread(path).shape[:2] == (200, 300), "an explicit size comes before that of the style"


def test_in_a_small_figure_the_legend_does_not_touch_the_title(two: list[Pair]) -> None:
    with figure_style():
        figure = figure_of("analysis", two[:1], paper=small((7.0, 4.0)))
        for axes in figure.axes:
            if (legend := axes.get_legend()) and (title := axes.get_title(loc="left")):
                (text,) = [each for each in axes.findobj(Text) if each.get_text() == title]
                assert not legend.get_window_extent().overlaps(text.get_window_extent()), title


def covered(figure: Figure) -> list[str]:
    """The legends and notes that touch a curve, a point or each other."""
    touching = []
    for axes in figure.axes:
        legend, notes = axes.get_legend(), [text for text in axes.texts if text.get_text()]
        boxes = {text.get_text(): text.get_window_extent() for text in notes}
        if legend is not None:
            boxes["legend"] = legend.get_window_extent()
        paths = [line.get_transform().transform_path(line.get_path()).cleaned(remove_nans=True) for line in axes.lines]
        points = [each.get_offset_transform().transform(each.get_offsets()) for each in axes.collections]
        for name, box in boxes.items():
            touching += [name for path in paths if path.intersects_bbox(box, False)]
            touching += [name for cloud in points if any(box.contains(*point) for point in cloud)]
            touching += [name for other, another in boxes.items() if other != name and box.overlaps(another)]
    return touching


@pytest.mark.parametrize("name", ["loss", "mfu", "throughput", "recent", "loss_accuracy", "moving_average"])
def test_legend_and_notes_of_a_small_panel_cover_nothing(two: list[Pair], name: str) -> None:
    with figure_style(size="paper") as paper:
        for runs in (two, two[:1]):
            figure = figure_of(name, runs, paper=paper)
            assert covered(figure) == []
            left, right, bottom = 0.0, figure.bbox.width, 0.0
            for text in (each for axes in figure.axes for each in axes.texts):
                extent = text.get_window_extent()
                assert left <= extent.x0 and extent.x1 <= right and extent.y0 >= bottom, text.get_text()


def test_notes_without_room_stand_below_the_panel() -> None:
    """A curve that fills its panel: every corner is covered."""
    history = RunHistory()
    history.absorb(Step(step=step, loss=2.0 + (step % 2), tokens_per_sec=5.0 + step % 3) for step in range(1, 400))
    with figure_style(size="paper") as paper:
        figure = figure_of("throughput", [(RunDirectory(Path("a")), history)], paper=paper)
        (axes,) = figure.axes
        (notes,) = axes.texts
        assert notes.get_text() == "smoothed over 3 records"
        assert notes.get_window_extent().y1 <= axes.get_window_extent().y0
        assert notes.get_window_extent().y0 >= 0


@pytest.mark.parametrize(("name", "inches", "points"), [("paper", (3.3, 2.4), 7.5), ("slide", (13.33, 7.5), 12.0)])
def test_a_named_size_sets_inches_and_text(
    two: list[Pair], tmp_path: Path, name: str, inches: Size, points: float
) -> None:
    (path,) = export_plots(two[:1], tmp_path, ("pdf",), figures=("loss",), size=name)
    assert pdf_inches(path) == pytest.approx(inches, abs=0.01)
    with figure_style(size=name) as paper:
        figure = figure_of("loss", two[:1], paper=paper)
    assert figure.axes[0].yaxis.label.get_fontsize() == pytest.approx(points)
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 6


def test_the_legend_of_many_runs_is_below_a_higher_figure() -> None:
    history = RunHistory()
    history.absorb(Step(step=step, tokens_per_sec=5 + math.sin(step / 6)) for step in range(1, 300))
    runs = [(RunDirectory(Path(f"a-run-with-a-really-long-name-{number}")), history) for number in range(9)]
    with figure_style(size="paper") as paper:
        figure = figure_of("throughput", runs, paper=paper)
        (axes,) = figure.axes
        legend = axes.get_legend()
        assert legend is not None
        assert len(legend.get_texts()) == 9
        assert figure.get_size_inches()[1] > paper.panel[1] + 0.5
        assert 0 <= legend.get_window_extent().y0 < legend.get_window_extent().y1 < axes.get_window_extent().y0
        assert axes.get_window_extent().height > 0.3 * figure.bbox.height


def test_the_fonts_of_every_kind_of_figure_are_embedded_as_truetype(two: list[Pair], tmp_path: Path) -> None:
    names = ("samples", "layers", "loss_accuracy", "step_time")
    for path, font in zip(
        export_plots(two[:1], tmp_path, ("pdf",), figures=names),
        (b"DejaVuSansMono", b"DejaVuSans-Bold", b"DejaVuSans", b"DejaVuSans"),
        strict=True,
    ):
        pdf = path.read_bytes()
        assert b"/Type3" not in pdf
        assert pdf.count(b"/FontFile2") == pdf.count(b"/CIDFontType2") > 0
        assert re.search(rb"/FontName /[A-Z]{6}\+" + font + rb"\b", pdf)


def test_a_size_without_space_for_the_curves_is_refused_in_one_sentence(
    two: list[Pair], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with pytest.raises(ExportError, match="2x1 inches leave no room for the curves of run0-"):
        export_plots(two, tmp_path, size=(2.0, 1.0))
    assert not list(tmp_path.iterdir())
    assert not recwarn.list


def test_an_unknown_figure_is_an_error_that_lists_the_figures(two: list[Pair], tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match="'nonsense' is not a figure; known: analysis, learning, comparison, recent, "
    ):
        export_plots(two, tmp_path, figures=("nonsense",))
    assert not list(tmp_path.iterdir())


def test_any_panel_of_the_dashboard_can_be_a_figure(two: list[Pair], tmp_path: Path) -> None:
    paths = export_plots(two, tmp_path, dpi=40, figures=("grad_norm", "layers"))
    assert [path.name for path in paths] == [
        "run0-20260101-120000-abcd-grad_norm.png", "run0-20260101-120000-abcd-layers.png",
        "run1-20260101-120001-abcd-grad_norm.png", "run1-20260101-120001-abcd-layers.png", "run0-vs-run1-grad_norm.png",
    ]  # fmt: skip
    assert [path.name for path in export_plots(two[:1], tmp_path, dpi=40, figures=("val_loss",))] == [
        "run0-20260101-120000-abcd-val_loss.png"
    ]


@pytest.mark.parametrize("size", ["3", "axb", "0x2", "3x1000"])
def test_an_invalid_size_is_refused_in_one_sentence(two: list[Pair], size: str) -> None:
    done = CliRunner().invoke(app, ["plots", str(two[0][0].path), "--size", size])
    assert done.exit_code == 2
    assert "is neither paper, slide, poster nor a size in inches" in " ".join(done.output.split())
