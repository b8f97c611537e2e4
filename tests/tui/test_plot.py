"""Charts as text: axes, lines, marks, legends."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuitrain.tui.axes import Range, grown, labels, log_ticks, settled, ticks, time_label
from tuitrain.tui.plot import Curve, Level, Plot, Points, draw
from tuitrain.tui.text import plain, width


def text(plot: Plot, columns: int = 60, rows: int = 14) -> list[str]:
    return [plain(line) for line in draw(plot, columns, rows)[0]]


def curve(*values: float, **more: str) -> Curve:
    return Curve(np.arange(1.0, len(values) + 1), np.array(values), "run0", **more)


def test_a_rising_line_rises() -> None:
    rows = text(Plot("loss", curves=(curve(*np.linspace(0, 1, 50).tolist()),)))
    body = [row[6:-2] for row in rows[1:-1]]
    assert next(char for char in reversed(body[0]) if char != " ") > "⠀"
    filled = [[i for i, char in enumerate(row) if "⠀" < char <= "⣿"] for row in body]
    positions = [min(cells) for cells in filled if cells]
    assert positions == sorted(positions, reverse=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=40),
    st.integers(1, 90),
    st.integers(1, 30),
    st.booleans(),
)
def test_any_data_at_any_size_fills_exactly_its_cells(values: list[float], columns: int, rows: int, log: bool) -> None:
    values = [value if abs(value) < 1e100 or not math.isfinite(value) else 0.0 for value in values]
    drawn, _ = draw(Plot("loss", "2.3", (curve(*values),), log=log), columns, rows)
    assert len(drawn) == rows
    assert {width(line) for line in drawn} == {columns}


def test_a_spike_among_many_points_is_drawn_in_full() -> None:
    x = np.arange(200_000.0)
    y = np.sin(x / 5000)
    y[77_777] = 5
    plot = Plot("loss", curves=(Curve(x, y, "run0"),), growing=False)
    rows = text(plot, 80, 20)
    spike = [row for row in rows[1:8] if any("⠀" < char <= "⣿" for char in row)]
    assert len(spike) == 7


def test_nan_interrupts_the_line_and_is_marked() -> None:
    values = [1.0] * 50 + [math.nan] * 20 + [1.0] * 50
    rows = text(Plot("loss", curves=(curve(*values),)))
    assert "×" in rows[-2]
    line = next(row for row in rows if any("⠀" < char <= "⣿" for char in row))
    drawn = [index for index, char in enumerate(line) if "⠀" < char <= "⣿"]
    assert max(after - before for before, after in pairwise(drawn)) > 5


def test_only_nan_is_still_a_chart() -> None:
    rows = text(Plot("loss", curves=(curve(math.nan, math.nan),)))
    assert "×" in rows[-2]


def test_no_data_is_a_quiet_sentence() -> None:
    assert "no data yet" in "\n".join(text(Plot("loss")))
    words = " ".join("\n".join(text(Plot("MFU", empty="n/a: set hardware.peak_tflops"))).replace("│", " ").split())
    assert "n/a: set hardware.peak_tflops" in words


def test_title_value_and_legend_stand_in_the_border() -> None:
    plot = Plot(
        "loss", "2.314", (curve(3, 2, 1, name="smooth 0.9"),),
        (Points(np.array([2.0]), np.array([2.5]), "val", "validation"),), (Level(2.0, "level", "mean 2"),), log=True,
    )  # fmt: skip
    top = text(plot, 90)[0]
    for word in ("loss 2.314", "smooth 0.9", "★ validation", "╌ mean 2", " log "):
        assert word in top
    assert "loss 2.314" in text(plot, 24)[0]


def test_a_short_legend_keeps_the_mean() -> None:
    plot = Plot(
        "throughput", "400 k tok/s", (curve(3, 2, 1, name="raw"), curve(3, 2, 1, name="smooth 0.9")),
        levels=(Level(2.0, "level", "mean 2"),),
    )  # fmt: skip
    wide, narrow = text(plot, 90)[0], text(plot, 42)[0]
    assert wide.index("raw") < wide.index("smooth 0.9") < wide.index("mean 2")
    assert "╌ mean 2" in narrow
    assert "smooth" not in narrow


def test_the_legend_of_several_runs_names_all_or_shows_their_marks() -> None:
    runs = tuple(
        replace(curve(3, 2, 1, name=f"gpt2-tiny · {mark}", glyph=mark), role=f"run{index}")
        for index, mark in enumerate("●▲■")
    )
    assert all(run.name in text(Plot("loss", "2.31", runs), 90)[0] for run in runs)
    assert "● ▲ ■" in " ".join(text(Plot("loss", "2.31", runs), 40)[0].split())


def test_a_note_stands_below_the_title_where_there_is_room() -> None:
    plot = Plot("achieved", "3 TFLOP/s", (curve(3, 2, 1),), note="no peak is known")
    assert "no peak is known" in text(plot)[1]
    assert {len(row) for row in text(plot)} == {60}
    assert len(text(plot)) == 14
    assert "no peak" not in "".join(text(plot, rows=6))


def test_the_time_axis_is_training_time() -> None:
    assert "╰ training time ─" in text(Plot("loss", curves=(curve(3, 2, 1),), x_axis="time"))[-1]


def test_outliers_are_counted_not_drawn_out() -> None:
    values = [0.05, *([0.47, 0.48, 0.46] * 40)]
    plot = Plot("MFU", curves=(curve(*values),), clip=True)
    rows = text(plot)
    assert "1 below" in rows[0]
    assert not any(row[1:5].strip() in ("0", "0.0", "0.1") for row in rows[1:-1])
    assert "below" not in text(replace(plot, clip=False))[0]


def test_many_validation_points_become_a_line() -> None:
    x = np.arange(1.0, 201)
    plot = Plot("loss", curves=(Curve(x, 3 / x, "run0"),), points=(Points(x, 4 / x, "val", "validation"),))
    assert "\n".join(text(plot)).count("★") == 2


def test_a_level_far_from_the_data_does_not_press_them_flat() -> None:
    clipped = Plot("gradient", curves=(curve(0.1, 0.2, 0.15),), levels=(Level(100, "clip", in_range=False),))
    assert "╌" not in "".join(text(clipped)[1:-1])
    capacity = Plot("memory", curves=(curve(40, 41),), levels=(Level(80, "clip"),), from_zero=True)
    rows = text(capacity)
    assert "╌" in rows[1]
    assert "0" in rows[-2][:6]


def test_x_grows_by_round_steps_and_stands_still_between() -> None:
    first = grown(None, 1, 83)
    assert first == Range(0, 90)
    assert grown(first, 1, 89) is first
    assert grown(first, 1, 91) == Range(0, 100)
    assert grown(first, 1, 300, steady=False) == Range(0, 300)


def test_y_stays_until_it_must_change() -> None:
    first = settled(None, 2.1, 4.9)
    assert (first.low, first.high) == (2.0, 5.0)
    assert settled(first, 2.3, 4.0) is first
    assert settled(first, 2.3, 5.2) != first
    assert settled(first, 2.3, 2.5) != first


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 900, 4, ["0", "250", "500", "750"]),
        (0, 10_000, 4, ["0", "2.5k", "5.0k", "7.5k", "10.0k"]),
        (0, 3e-4, 3, ["0", "1e-4", "2e-4", "3e-4"]),
        (0.4, 0.5, 2, ["0.40", "0.45", "0.50"]),
        (0, 2e9, 2, ["0", "1B", "2B"]),
    ],
)
def test_labels_are_human(low: float, high: float, count: int, expected: list[str]) -> None:
    assert labels(*ticks(Range(low, high), count)) == expected


def test_time_labels() -> None:
    assert [time_label(s, step) for s, step in ((0, 60), (30, 10), (600, 300), (5400, 1800), (172800, 86400))] == [
        "0", "30s", "10m", "1.5h", "2d",
    ]  # fmt: skip


def test_log_ticks_are_round_values() -> None:
    assert [round(10**p, 6) for p in log_ticks(Range(-4, 0), 5)] == [1e-4, 1e-3, 1e-2, 0.1, 1]
    assert len(log_ticks(Range(math.log10(2.1), math.log10(4.9)), 4)) >= 2
