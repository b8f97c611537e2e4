"""A panel of the dashboard as a file."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from tuitrain.export.errors import ExportError
from tuitrain.export.panel import Line, Panel, Stars, export_panel, panel_figure
from tuitrain.export.style import BLUE, VERMILLION, figure_style

STEPS = np.arange(1.0, 101.0)
LOSS = Panel(
    "loss",
    "llama2-tiny-20260101-120000-abcd",
    "step",
    lines=(Line(STEPS, 10 / STEPS, "run0.faint", "raw"), Line(STEPS, 9 / STEPS, "run0", "smooth 0.9")),
    stars=(Stars(np.array([25.0, 50.0]), np.array([2.0, 1.5]), "val", "validation"),),
    levels=((1.0, "target"),),
    marks=((60.0, "restart"), (70.0, "alert"), (500.0, "eval")),
)


def drawn(panel: Panel) -> Axes:
    with figure_style():
        figure = panel_figure(panel)
        figure.canvas.draw()
    return figure.axes[0]


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_csv_has_a_column_for_each_curve_and_a_row_for_each_x(tmp_path: Path) -> None:
    head, *body = rows(export_panel(LOSS, tmp_path / "exports" / "loss.csv"))
    assert head == ["step", "raw", "smooth 0.9", "validation"]
    assert len(body) == 100
    assert body[24] == ["25", repr(10 / 25), repr(9 / 25), "2"]
    assert body[25][3] == ""


def test_csv_has_what_is_in_sight_and_keeps_what_is_no_number(tmp_path: Path) -> None:
    broken = replace(LOSS, lines=(Line(STEPS, np.where(STEPS == 41, np.nan, STEPS), "run0"),), zoom=(40.0, 50.0))
    head, *body = rows(export_panel(broken, tmp_path / "loss.csv"))
    assert head == ["step", "loss", "validation"]
    assert [row[0] for row in body] == [str(step) for step in range(40, 51)]
    assert body[1][1] == "nan"


def test_curves_of_several_runs_meet_in_one_table(tmp_path: Path) -> None:
    other = Line(np.array([1.5, 100.0]), np.array([7.0, 8.0]), "run1", "b")
    head, *body = rows(export_panel(replace(LOSS, lines=(*LOSS.lines, other)), tmp_path / "x.csv"))
    assert head[3] == "b"
    assert body[1] == ["1.5", "", "", "7", ""]
    assert body[-1][3] == "8"


def test_the_figure_shows_curves_stars_levels_and_marks() -> None:
    axes = drawn(LOSS)
    faint, strong = axes.get_lines()[:2]
    assert (faint.get_alpha(), strong.get_alpha()) == (0.35, None)
    assert to_rgb(strong.get_color()) == to_rgb(BLUE)
    assert np.array_equal(strong.get_ydata(), 9 / STEPS)
    assert to_rgb(axes.collections[0].get_facecolor()[0]) == pytest.approx(to_rgb(VERMILLION))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "raw", "smooth 0.9", "validation", "target", "evaluation", "resumed", "alert",
    ]  # fmt: skip


def test_zoom_logarithms_and_outliers() -> None:
    axes = drawn(replace(LOSS, zoom=(20.0, 60.0), log_x=True, log_y=True))
    assert axes.get_xlim() == (20.0, 60.0)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert len(axes.get_lines()[0].get_xdata()) == 41

    spiked = Line(np.arange(1.0, 1001.0), np.where(np.arange(1000) == 500, 1e6, 5.0), "run0")
    axes = drawn(replace(LOSS, lines=(spiked,), stars=(), levels=(), marks=(), clip=True))
    assert axes.get_ylim()[1] < 10
    assert [text.get_text() for text in axes.texts] == ["1 point above the range"]


def test_what_is_not_finite_is_marked() -> None:
    bad = Line(STEPS, np.where(STEPS > 90, np.inf, 1.0), "run0", "raw")
    axes = drawn(replace(LOSS, lines=(bad,), stars=()))
    assert "nan or inf (10)" in [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("axis", "x", "label"),
    [
        ("time", STEPS * 3600, "training time, d"),
        ("clock", 1.7e9 + STEPS * 60, "clock, UTC"),
        ("flops", STEPS * 1e18, "compute, FLOP"),
        ("tokens", STEPS * 1e9, "tokens"),
    ],
)
def test_every_axis(axis: str, x: np.ndarray, label: str) -> None:
    axes = drawn(Panel("loss", "", axis, lines=(Line(x, STEPS, "run0"),)))
    assert axes.get_xlabel() == label
    assert len([tick for tick in axes.get_xticklabels() if tick.get_text()]) >= 3


def test_projections_and_what_was_done_again_are_drawn_but_are_no_numbers(tmp_path: Path) -> None:
    more = (Line(STEPS + 100, STEPS, "level", "ends at 2"), Line(STEPS, STEPS, "superseded", "superseded"))
    panel = replace(LOSS, lines=(*LOSS.lines, *more))
    assert len(drawn(panel).get_lines()) == 5
    head, *body = rows(export_panel(panel, tmp_path / "loss.csv"))
    assert head == ["step", "raw", "smooth 0.9", "validation"]
    assert len(body) == 100


def test_a_heat_map(tmp_path: Path) -> None:
    lines = tuple(Line(STEPS, STEPS * (layer + 1), "run0", f"block {layer}") for layer in range(3))
    panel = Panel("blocks", "", "step", lines, as_map=True, zoom=(1.0, 50.0))
    axes = drawn(panel)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["block 0", "block 1", "block 2"]
    assert axes.collections[0].get_array().shape == (3, 50)
    head, first, *_ = rows(export_panel(panel, tmp_path / "blocks.csv"))
    assert head == ["step", "block 0", "block 1", "block 2"]
    assert first == ["1", "1", "2", "3"]


def test_a_mean_has_a_band_and_two_columns(tmp_path: Path) -> None:
    mean = Line(STEPS, 10 / STEPS, "run1", "lr=0.1 (2 runs)", "loss lr=0.1", std=1 / STEPS)
    panel = replace(LOSS, lines=(mean,), stars=(), note="smoothed: EMA 0.9", clip=True)
    head, first, *_ = rows(export_panel(panel, tmp_path / "loss.csv"))
    assert head == ["step", "loss lr=0.1 mean", "loss lr=0.1 std"]
    assert first == ["1", "10", "1"]
    axes = drawn(panel)
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(0.09), pytest.approx(11))
    assert axes.get_ylabel() == "loss"
    assert any("smoothed: EMA 0.9" in text.get_text() for text in axes.texts)
    # Only points are counted, not where the band ends.
    above = int((mean.y > axes.get_ylim()[1]).sum())
    assert above
    assert any(f"{above} point" in text.get_text() for text in axes.texts)


def test_svg_and_png_are_written_with_their_directory(tmp_path: Path) -> None:
    svg = export_panel(LOSS, tmp_path / "a" / "loss.svg")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    png = export_panel(LOSS, tmp_path / "a" / "loss.png")
    assert imread(png).shape[:2] == (880, 1520)


def test_nothing_in_sight_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="loss has nothing to export"):
        export_panel(replace(LOSS, zoom=(500.0, 600.0)), tmp_path / "exports" / "loss.svg")
    with pytest.raises(ExportError, match="svg, png, csv"):
        export_panel(LOSS, tmp_path / "loss.pdf")
    assert not list(tmp_path.iterdir())


def test_the_runs_of_a_panel_differ_in_grey_and_stand_in_the_legend_in_their_order() -> None:
    # The run in focus, here the first one, is drawn last and lies on top.
    lines = tuple(Line(STEPS, STEPS * run, f"run{run}", f"run {run}") for run in (1, 2, 0))
    axes = drawn(replace(LOSS, lines=lines, stars=(), levels=(), marks=()))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["run 0", "run 1", "run 2"]
    plain, *dashed = (line.get_linestyle() for line in sorted(axes.lines[:3], key=lambda line: line.get_label()))
    assert (plain, dashed) == ("-", ["--", "--"])


def test_names_are_text_in_legends_titles_and_ticks(tmp_path: Path) -> None:
    hostile = "$\\frac{1}{0$ \x1b[31m\x00"
    lines = tuple(replace(line, name=f"{line.name} {hostile}") for line in LOSS.lines)
    panel = replace(LOSS, title=hostile, head=hostile, lines=lines, levels=((1.0, hostile),), note=hostile)
    for each in (panel, replace(panel, as_map=True)):
        svg = export_panel(each, tmp_path / "panel.svg").read_text(encoding="utf-8")
        ElementTree.fromstring(svg)
        assert "$\\frac{1}{0$ ␀" in svg
