"""A panel of the dashboard as a file."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tuitrain.export.errors import ExportError
from tuitrain.export.panel_file import export_panel
from tuitrain.plots.axes import Range
from tuitrain.plots.model import ChartOptions, Curve, HeatMap, Level, Plot, Points

STEPS = np.arange(1.0, 101.0)
LOSS = Plot(
    "loss",
    curves=(Curve(STEPS, 10 / STEPS, "run0"),),
    points=(Points(np.array([25.0, 50.0]), np.array([2.0, 1.5]), "val", "validation"),),
    metric="loss",
)
WHOLE = ChartOptions()
ALONE = [("tiny", "tiny-20260101-120000-abcd")]
TWO = [*ALONE, ("large", "large-20260101-120000-ef01")]


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_csv_has_a_column_for_each_curve_and_a_row_for_each_x(tmp_path: Path) -> None:
    head, *body = rows(export_panel(LOSS, tmp_path / "exports" / "loss.csv", WHOLE, ALONE))
    assert head == ["step", "loss tiny", "val_loss tiny"]
    assert len(body) == 100
    assert body[24] == ["25", repr(10 / 25), "2"]
    assert body[25][2] == ""


def test_csv_has_the_visible_points_and_keeps_values_that_are_not_numbers(tmp_path: Path) -> None:
    broken = replace(LOSS, curves=(Curve(STEPS, np.where(STEPS == 41, np.nan, STEPS), "run0"),))
    _, *body = rows(export_panel(broken, tmp_path / "loss.csv", ChartOptions(zoom=Range(40.0, 50.0)), ALONE))
    assert [row[0] for row in body] == [str(step) for step in range(40, 51)]
    assert body[1][1] == "nan"


def test_curves_of_several_runs_meet_in_one_table(tmp_path: Path) -> None:
    other = Curve(np.array([1.5, 100.0]), np.array([7.0, 8.0]), "run1", "large", "▲", order=1)
    one = replace(LOSS.curves[0], name="tiny", glyph="●")
    points = (replace(LOSS.points[0], name=""), replace(LOSS.points[0], name="", order=1))
    head, *body = rows(export_panel(replace(LOSS, curves=(one, other), points=points), tmp_path / "x.csv", WHOLE, TWO))
    assert head == ["step", "loss tiny", "loss large", "val_loss tiny", "val_loss large"]
    assert body[1] == ["1.5", "", "7", "", ""]
    assert body[-1][2] == "8"


def test_several_curves_of_one_run_have_their_names_and_metrics(tmp_path: Path) -> None:
    curves = (Curve(STEPS, STEPS, "run0", "step", "●"), Curve(STEPS, STEPS, "run1", "data", "▲", order=1))
    plot = Plot("step time", curves=curves, metric="step_time_ms", x_axis="time")
    head, *_ = rows(export_panel(plot, tmp_path / "x.csv", WHOLE, ALONE))
    assert head == ["training_time_s", "step_time_ms tiny step", "data_time_ms tiny data"]


def test_projections_and_superseded_steps_are_left_out(tmp_path: Path) -> None:
    more = (
        Curve(STEPS + 100, STEPS, "level", "ends at 2", forecast=True),
        Curve(STEPS + 100, STEPS, "run0.faint", "plan", forecast=True),
        Curve(STEPS, STEPS, "superseded", "superseded"),
    )
    head, *body = rows(export_panel(replace(LOSS, curves=(*LOSS.curves, *more)), tmp_path / "loss.csv", WHOLE, ALONE))
    assert head == ["step", "loss tiny", "val_loss tiny"]
    assert len(body) == 100


def test_a_mean_has_two_columns(tmp_path: Path) -> None:
    mean = Curve(STEPS, 10 / STEPS, "run1", "lr=0.1 (2 runs)", "▲", std=1 / STEPS)
    head, first, *_ = rows(export_panel(replace(LOSS, curves=(mean,), points=()), tmp_path / "x.csv", WHOLE, TWO))
    assert head == ["step", "loss lr=0.1 (2 runs) mean", "loss lr=0.1 (2 runs) std"]
    assert first == ["1", "10", "1"]


def test_a_heat_map_has_a_column_for_each_row(tmp_path: Path) -> None:
    heat = HeatMap("norm", STEPS, STEPS[:, None] * np.array([1.0, 2.0]), ("embed", "head"))
    head, first, *_ = rows(export_panel(heat, tmp_path / "blocks.csv", WHOLE, ALONE))
    assert head == ["step", "norm tiny embed", "norm tiny head"]
    assert first == ["1", "1", "2"]


def test_svg_and_png_are_written_with_their_directory_and_the_ids(tmp_path: Path) -> None:
    svg = export_panel(LOSS, tmp_path / "a" / "loss.svg", WHOLE, TWO)
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "tiny-20260101-120000-abcd  ·  large-20260101-120000-ef01" in svg.read_text()
    png = export_panel(LOSS, tmp_path / "a" / "loss.png", WHOLE, TWO)
    assert imread(png).shape[:2] == (880, 1520)


def test_an_empty_range_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="loss has nothing to export"):
        export_panel(LOSS, tmp_path / "exports" / "loss.svg", ChartOptions(zoom=Range(500.0, 600.0)), ALONE)
    with pytest.raises(ExportError, match="svg, png, csv"):
        export_panel(LOSS, tmp_path / "loss.pdf", WHOLE, ALONE)
    assert not list(tmp_path.iterdir())


def test_names_are_text_in_legends_titles_and_ticks(tmp_path: Path) -> None:
    hostile = "$\\frac{1}{0$ \x1b[31m\x00"
    curves = (replace(LOSS.curves[0], name=hostile),)
    plot = Plot(hostile, curves=curves, levels=(Level(1.0, "level", hostile),), notes=(hostile,))
    heat = HeatMap(hostile, STEPS, STEPS[:, None] * np.array([1.0, 2.0]), (hostile, "b"))
    for each in (plot, heat):
        svg = export_panel(each, tmp_path / "panel.svg", WHOLE, [(hostile, hostile)]).read_text(encoding="utf-8")
        ElementTree.fromstring(svg)
        assert "$\\frac{1}{0$ ␀" in svg
