"""Plots as lines of text, drawn with plotext."""

from __future__ import annotations

import concurrent.futures
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tuitrain.plots.axes import Range
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import STAR, ChartOptions, Curve, HeatMap, Level, Marker, Plot, Points
from tuitrain.plots.terminal import fit, line, render, width
from tuitrain.plots.text import LEAST_COLUMNS, LEAST_ROWS, chart_text, draw_text
from tuitrain.text import clean
from tuitrain.tui.text import plain

STEPS = np.arange(1.0, 201.0)
LOSS = Curve(STEPS, 2 + 8 / STEPS, "run0", "smooth 0.9")


def text(plot: Plot | HeatMap, columns: int = 60, rows: int = 14, options: ChartOptions | None = None) -> str:
    return chart_text(plot, columns, rows, color=False, options=options)


def test_a_chart_has_title_value_legend_axes_and_the_name_of_the_x_axis() -> None:
    plot = Plot(
        "loss", "2.0400", (LOSS,), (Points(STEPS[49::50], LOSS.y[49::50], "val", "validation"),),
        (Level(3, "level", "mean 3"),), (Marker(100, "checkpoint", "marker.checkpoint"),), log=True,
    )  # fmt: skip
    first, *others = text(plot, 100).splitlines()
    assert first == f"loss 2.0400  ─ smooth 0.9  {STAR} validation  ╌ mean 3  log  ▴ checkpoint"
    canvas = "\n".join(others)
    assert all(sign in canvas for sign in (STAR, "╌", "▴", "┤", "└"))
    assert [word for word in others[-2].split() if word.isdigit()] == [str(step) for step in range(0, 201, 20)]
    assert others[-1].strip() == "step"


def test_runs_differ_without_colour() -> None:
    curves = [Curve(STEPS, LOSS.y + index, f"run{index}", f"name-{index}", glyph) for index, glyph in enumerate("●▲■")]
    drawn = text(Plot("loss", curves=tuple(curves)), 90, 18)
    legend, canvas = drawn.split("\n", 1)
    for index, glyph in enumerate("●▲■"):
        assert f"{glyph} name-{index}" in legend
        assert canvas.count(glyph) >= 3


def test_values_that_are_not_finite_are_marked_and_interrupt_the_line() -> None:
    y = LOSS.y.copy()
    y[50:100], y[120], y[150] = np.nan, np.inf, -np.inf
    drawn = text(Plot("loss", curves=(replace(LOSS, y=y),)))
    assert all(sign in drawn for sign in "×↑↓")
    without = text(Plot("loss", curves=(LOSS,)))
    assert sum("\u2800" < sign < "\u28ff" for sign in drawn) < sum("\u2800" < sign < "\u28ff" for sign in without)


@pytest.mark.parametrize(
    "y", [[], [2.0], [math.nan], [math.inf, -math.inf], [-1.0, 0.0, -5.0], [5e-324, 1e308], [3.0, 3.0]]
)
@pytest.mark.parametrize("log", [False, True])
def test_every_curve_can_be_drawn(y: list[float], log: bool) -> None:
    plot = Plot("loss", curves=(Curve(np.arange(float(len(y))), np.array(y), "run0", "a"),), log=log)
    assert len(draw_text(plot, 60, 14)) == 14
    if not y:
        assert "no data yet" in text(plot)


def test_a_mean_has_its_band() -> None:
    mean = replace(LOSS, std=np.full(len(STEPS), 0.5))
    lines = [piece for line in draw_text(Plot("loss", curves=(mean,)), 60, 14) for piece in line]
    assert any(piece.role == "run0.faint" and piece.text.strip() for piece in lines)


def test_a_zoom_shows_its_range() -> None:
    drawn = text(Plot("loss", curves=(LOSS,)), options=ChartOptions(zoom=Range(100, 140)))
    assert "120" in drawn
    assert "200" not in drawn


def test_a_heat_map_is_replaced_by_a_note() -> None:
    heat = HeatMap("gradient norm by block", STEPS[:2], np.ones((2, 3)), ("embed", "0", "head"))
    assert "tuitrain watch" in " ".join(text(heat).split())


def test_names_of_wide_characters_and_control_codes_keep_the_lines_straight() -> None:
    curves = (replace(LOSS, name="損失の平均"), replace(LOSS, name="a\x1b[31mb\nc\u202e"))
    for columns in (24, 40, 80):
        lines = draw_text(Plot("損失\x07", "值", curves, note="\x1b]0;title\x07日本"), columns, 14)
        assert {width(line) for line in lines} == {columns}
        assert render(lines, color=False).replace("\n", "").isprintable()


def test_colours_are_escape_sequences_of_the_line_and_plain_text_has_none() -> None:
    plot = Plot("loss", curves=(LOSS, replace(LOSS, role="run0.faint", name="raw")))
    coloured, plain_text = chart_text(plot, 60, 14, color=True), text(plot)
    assert "\x1b[36m" in coloured
    assert "raw" in coloured
    assert "\x1b" not in plain_text
    # Raw and smoothed differ by their colour alone.
    assert "raw" not in plain_text


def test_the_dashboards_rasteriser_and_plotext_draw_the_same() -> None:
    noise = np.random.default_rng(3).standard_normal(5000)
    x = np.arange(5000.0)
    y = 2 + noise * 0.1
    y[1000:1200] = np.nan
    curves = tuple(Curve(x, y + index, f"run{index}", f"r{index}", glyph) for index, glyph in enumerate("●▲"))
    plot = Plot("loss", "2", curves, (Points(x[::900], y[::900], "val"),), (Level(2.5, "level", "mean"),),
                tuple(Marker(at, "checkpoint", "marker.checkpoint") for at in (500.0, 2500.0)))  # fmt: skip
    for options in (ChartOptions(), ChartOptions(crosshair=2000.0), ChartOptions(zoom=Range(900, 1500))):
        ours = "".join(map(plain, draw(plot, 100, 16, options=options).lines))
        theirs = "".join(map(plain, draw(plot, 100, 16, options=replace(options, plotext=True)).lines))
        # plotext's floating-point steps sometimes end just short of a whole pixel.
        assert sum(a != b for a, b in zip(ours, theirs, strict=True)) <= 4


def test_charts_drawn_by_several_threads_do_not_mix() -> None:
    plots = [Plot(f"chart {index}", curves=(replace(LOSS, y=LOSS.y * index),)) for index in range(1, 9)]
    alone = [text(plot) for plot in plots]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(text, plots)) == alone


values = st.lists(st.floats(width=64), max_size=60)


@given(
    values, st.integers(0, 130), st.integers(0, 40), st.booleans(), st.text(max_size=20), st.booleans(),
    st.sampled_from(["step", "tokens", "time", "clock", "flops"]),
)  # fmt: skip
def test_every_line_has_the_requested_width(
    y: list[float], columns: int, rows: int, log: bool, name: str, log_x: bool, axis: str
) -> None:
    x = np.arange(float(len(y)))
    curve = Curve(x, np.array(y, dtype=np.float64), "run0", name, "●")
    plot = Plot(name, name, (curve, replace(curve, role="run1")), (Points(x[::3], curve.y[::3], "val"),), log=log,
                x_axis=axis, levels=(Level(1.0, "level", name),), clip=True, note=name)  # type: ignore[arg-type]  # fmt: skip
    lines = draw_text(plot, columns, rows, ChartOptions(log_x=log_x))
    assert len(lines) == rows
    assert all(width(line) == columns for line in lines)
    assert all(clean(piece.text) == piece.text for line in lines for piece in line)


def test_a_chart_that_is_too_small_is_blank() -> None:
    lines = draw_text(Plot("loss", curves=(LOSS,)), LEAST_COLUMNS - 1, LEAST_ROWS)
    assert not render(lines, color=False).strip()


def test_a_line_is_cropped_at_a_cell_and_not_in_a_wide_character() -> None:
    wide = line("日本語", "abc")
    assert [width(fit(wide, cells)) for cells in range(12)] == list(range(12))
    assert cell_len(render([fit(wide, 4)], color=False).strip()) <= 4


def test_the_same_chart_has_the_same_text_in_every_process() -> None:
    code = (
        "import numpy as np; from tuitrain.plots.model import Curve, Plot; from tuitrain.plots.text import chart_text;"
        "x = np.arange(1.0, 92.0) + 1.7e9;"
        "plot = Plot('loss', curves=(Curve(x, 4e5 + 900 * x % 97, 'run0'),), x_axis='clock');"
        "print(chart_text(plot, 58, 6, False), chart_text(plot, 30, 6, False))"
    )
    charts = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "1234"
    }
    assert len(charts) == 1
