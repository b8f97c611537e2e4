"""Style files of figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.text import Text

from tests.export.figure_runs import analysis_figure, comparison_figure, figure_of, hard_case, pair
from tuitrain.export.errors import ExportError
from tuitrain.export.figures import export_plots
from tuitrain.export.style import figure_style, run_style


def lightness(colour: Any) -> float:
    return sum(to_rgb(colour)) / 3


DARK = "figure.facecolor: black\naxes.facecolor: 111111\ntext.color: white\n"


@pytest.mark.parametrize("style", [DARK, "dark_background"])
def test_a_dark_style_has_light_text(tmp_path: Path, style: str) -> None:
    path = Path(style)
    if style == DARK:
        path = tmp_path / "dark.mplstyle"
        path.write_text(style, encoding="utf-8")
    with figure_style(path):
        figures = [analysis_figure(hard_case(), "hard"), comparison_figure([("a", hard_case()), ("b", hard_case())])]
        for figure in figures:
            assert lightness(figure.get_facecolor()) < 0.1
            for text in figure.findobj(Text):
                box = text.get_bbox_patch()
                if text.get_text() and text.get_visible():
                    assert lightness(text.get_color()) > 0.35, text.get_text()
                    assert box is None or lightness(box.get_facecolor()) < 0.1
        assert lightness(run_style(6)["color"]) > 0.3
        figures[0].savefig(tmp_path / "dark.png", dpi=30)
    corner = imread(tmp_path / "dark.png")[0, 0]
    assert lightness(corner[:3]) < 0.1


def test_a_style_file_extends_our_style_and_is_not_kept_afterwards(tmp_path: Path) -> None:
    style = tmp_path / "mine.mplstyle"
    style.write_text("font.family: serif\naxes.grid: False\n", encoding="utf-8")
    before = dict(matplotlib.rcParams)
    with figure_style(style):
        assert matplotlib.rcParams["font.family"] == ["serif"]
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("content", ["no.such.key: 5\n", "axes.grid: perhaps\n", None])
def test_an_invalid_style_is_named_in_the_error(tmp_path: Path, content: str | None) -> None:
    style = tmp_path / "bad.mplstyle"
    if content is not None:
        style.write_text(content, encoding="utf-8")
    with pytest.raises(ExportError, match=r"bad\.mplstyle"):
        export_plots([pair(tmp_path)], tmp_path / "out", style=style)
    assert not (tmp_path / "out").exists()


def test_the_title_stands_above_labels_of_ticks_that_a_style_puts_there(tmp_path: Path) -> None:
    style = tmp_path / "top.mplstyle"
    style.write_text("xtick.top: True\nxtick.labeltop: True\n", encoding="utf-8")
    with figure_style(style):
        axes = figure_of("loss", [pair(tmp_path)]).axes[0]
        axes.figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in axes.findobj(Text)}
    labels = [tick.label2.get_window_extent() for tick in axes.xaxis.get_major_ticks()]
    assert boxes["Loss"].y0 > max(box.y1 for box in labels)
