"""Charts as text: axes, lines, markers, legends."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.plots.axes import Range
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import SUPERSEDED, ChartOptions, Curve, Level, Marker, Plot, Points
from tuitrain.tui.text import plain, width


def text(plot: Plot, columns: int = 60, rows: int = 14) -> list[str]:
    return [plain(line) for line in draw(plot, columns, rows).lines]


def curve(*values: float, **more: str) -> Curve:
    return Curve(np.arange(1.0, len(values) + 1), np.array(values), "run0", **more)


def test_a_rising_line_rises() -> None:
    rows = text(Plot("loss", curves=(curve(*np.linspace(0, 1, 50).tolist()),)))
    body = [row[6:-2] for row in rows[1:-1]]
    assert next(char for char in reversed(body[0]) if char != " ") > "⠀"
    filled = [[i for i, char in enumerate(row) if "⠀" < char <= "⣿"] for row in body]
    positions = [min(cells) for cells in filled if cells]
    assert positions == sorted(positions, reverse=True)


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=40),
    st.integers(1, 90),
    st.integers(1, 30),
    st.booleans(),
)
def test_any_data_at_any_size_fills_exactly_its_cells(values: list[float], columns: int, rows: int, log: bool) -> None:
    values = [value if abs(value) < 1e100 or not math.isfinite(value) else 0.0 for value in values]
    drawn = draw(Plot("loss", "2.3", (curve(*values),), log=log), columns, rows).lines
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


def test_a_curve_of_nan_alone_is_a_chart() -> None:
    rows = text(Plot("loss", curves=(curve(math.nan, math.nan),)))
    assert "×" in rows[-2]


def test_a_chart_without_data_states_the_reason() -> None:
    assert "no data yet" in "\n".join(text(Plot("loss")))
    words = " ".join("\n".join(text(Plot("MFU", empty="n/a: set hardware.peak_tflops"))).replace("│", " ").split())
    assert "n/a: set hardware.peak_tflops" in words


def test_title_value_and_legend_are_in_the_border() -> None:
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


def test_the_legend_of_several_runs_has_all_in_the_border_or_below_it() -> None:
    runs = tuple(
        replace(curve(3, 2, 1, name=f"gpt2-tiny · 00a{index}", glyph=mark), role=f"run{index}")
        for index, mark in enumerate("●▲■")
    )
    markers = (Marker(2.0, "checkpoint", "quiet"),)
    assert all(run.name in text(Plot("loss", "2.31", runs), 90)[0] for run in runs)
    # The marks of runs go before the names of events.
    short = " ".join(text(Plot("loss", "2.31", runs, markers=markers), 46)[0].split())
    assert "● 00a0 ▲ 00a1 ■ 00a2 ╮" in short
    border, below, *_ = text(Plot("loss", "2.31", runs), 32)
    assert "●" not in border
    assert "● 00a0 ▲ 00a1 ■ 00a2" in " ".join(below.split())


def test_a_spike_is_an_outlier_but_the_first_loss_is_not() -> None:
    values = 3 + 7 * np.exp(-np.arange(1000.0) / 8)
    values[500] = 400.0
    plot = Plot("loss", curves=(curve(*values.tolist()),), clip=True, keep_first=True)
    rows = text(plot)
    assert "1 above" in rows[0]
    assert any(row[1:4].strip() in ("8", "10") for row in rows[1:-1])
    assert not any(row[1:4].strip() in ("15", "20") for row in rows[1:-1])
    # Other panels leave out such a first value like any outlier.
    assert "1 above" not in text(replace(plot, keep_first=False))[0]
    assert "above" in text(replace(plot, keep_first=False))[0]


def test_a_panel_without_data_has_no_legend() -> None:
    markers, levels = (Marker(2.0, "checkpoint", "quiet"),), (Level(25.3, "clip", "capacity 25.3"),)
    rows = text(Plot("GPU memory", markers=markers, levels=levels, log=True, empty="n/a: none"), 80)
    assert rows[0] == "╭ GPU memory " + "─" * 66 + "╮"


def test_a_note_is_below_the_title_where_it_fits() -> None:
    plot = Plot("achieved", "3 TFLOP/s", (curve(3, 2, 1),), note="no peak is known")
    assert "no peak is known" in text(plot)[1]
    assert {len(row) for row in text(plot)} == {60}
    assert len(text(plot)) == 14
    assert "no peak" not in "".join(text(plot, rows=6))


def test_the_time_axis_is_training_time() -> None:
    assert "╰ training time ─" in text(Plot("loss", curves=(curve(3, 2, 1),), x_axis="time"))[-1]


def test_outliers_are_counted_and_do_not_stretch_the_axis() -> None:
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


def test_a_level_far_from_the_data_does_not_stretch_the_axis() -> None:
    clipped = Plot("gradient", curves=(curve(0.1, 0.2, 0.15),), levels=(Level(100, "clip", in_range=False),))
    assert "╌" not in "".join(text(clipped)[1:-1])
    capacity = Plot("memory", curves=(curve(40, 41),), levels=(Level(80, "clip"),), from_zero=True)
    rows = text(capacity)
    assert "╌" in rows[1]
    assert "0" in rows[-2][:6]


def test_axes_do_not_move_while_a_curve_grows() -> None:
    rng = np.random.default_rng(3)
    x, y = np.arange(1.0, 5001), rng.uniform(2, 3, 5000)
    y[[7, 2500, 4990]] = math.nan, math.inf, math.nan

    def grown(count: int) -> Plot:
        return Plot("loss", curves=(Curve(x[:count], y[:count], "run0"),))

    before = draw(grown(4100), 60, 14)
    for count in range(4101, 4500, 20):
        after = draw(grown(count), 60, 14, before)
        assert after.areas[0].limits == before.areas[0].limits
        before = after
    assert draw(grown(4501), 60, 14, before).areas[0].limits.x == Range(0, 5000)


def test_ranges_are_not_kept_for_other_axes() -> None:
    x = np.arange(1.0, 101)
    linear = Plot("loss", curves=(Curve(x, x, "run0"),))
    before = draw(linear, 60, 14)
    for other in (replace(linear, log=True), replace(linear, growing=False), replace(linear, x_axis="tokens")):
        assert draw(other, 60, 14, before).lines == draw(other, 60, 14).lines


def test_zoomed_in_the_y_axis_adapts_and_the_line_reaches_the_edges() -> None:
    x = np.arange(0.0, 1001, 100)
    plot = Plot("loss", curves=(Curve(x, x, "run0"),), growing=False)
    rows = [plain(line) for line in draw(plot, 60, 14, options=ChartOptions(zoom=Range(410, 490))).lines]
    assert "step 410–490" in rows[-1]
    assert rows[1][1:4].strip(" ·") in ("", "490", "500")
    body = [row[5:-2] for row in rows[1:-1]]
    drawn = [index for row in body for index, cell in enumerate(row) if "⠀" < cell <= "⣿"]
    assert min(drawn) == 0
    assert max(drawn) >= len(body[0]) - 2


def test_markers_never_hide_a_curve() -> None:
    x = np.arange(1.0, 101)
    flat = Plot("loss", curves=(Curve(x, np.zeros(100), "run0"),), from_zero=True)
    markers = tuple(
        Marker(at, kind, "quiet") for at, kind in ((20.0, "checkpoint"), (40.0, "restart"), (60.0, "alert"))
    )  # fmt: skip
    before, after = text(flat), text(replace(flat, markers=markers))
    assert after != before
    for old, new in zip(before[1:-1], after[1:-1], strict=True):
        assert all(new[index] == char for index, char in enumerate(old) if "⠀" < char <= "⣿")
    assert "┊" in "".join(after[1:-1])
    assert "!" in "".join(after[1:-1])


def test_values_that_are_not_finite_are_marked_by_their_kind() -> None:
    values = [1.0, 2.0, math.inf, 2.0, math.nan, 1.0, -math.inf, 1.5]
    rows = text(Plot("loss", curves=(curve(*values),)))
    assert "↑" in rows[1]
    assert "×" in rows[-2]
    assert "↓" in rows[-2]
    assert "↓" in text(Plot("lr", curves=(curve(1.0, 0.1, 0.0, 0.1),), log=True))[-2]


def test_superseded_curves_are_drawn_below() -> None:
    x = np.arange(1.0, 101)
    newest = Curve(x, np.ones(100), "run0")
    old = Curve(x, np.ones(100), SUPERSEDED)
    for curves in ((old, newest), (newest, old)):
        lines = draw(Plot("loss", curves=curves), 60, 14).lines
        roles = {span.role for line in lines for span in line if any("⠀" < char <= "⣿" for char in span.text)}
        assert roles == {"run0"}


def test_several_runs_have_their_glyphs_along_their_curves() -> None:
    x = np.linspace(1, 100, 300)
    curves = tuple(Curve(x, x * 0 + index, f"run{index}", f"run {index}", "●▲"[index]) for index in (0, 1))
    body = "".join(text(Plot("loss", curves=curves), 90)[1:-1])
    assert body.count("●") >= 3
    assert body.count("▲") >= 3
    alone = "".join(text(Plot("lr", curves=curves[:1]), 90)[1:-1])
    assert alone.count("●") == 1


def test_a_finished_run_has_no_value_beyond_its_end() -> None:
    short, long = np.arange(1.0, 51), np.arange(1.0, 101)
    curves = (Curve(short, short * 0 + 3, "run0", "a", "●"), Curve(long, long * 0 + 4, "run1", "b", "▲"))
    plot = Plot("loss", curves=curves)
    assert "● a 3.0000" in plain(draw(plot, 70, 12, options=ChartOptions(crosshair=30)).lines[0])
    beyond = plain(draw(plot, 70, 12, options=ChartOptions(crosshair=80)).lines[0])
    assert "▲ b 4.0000" in beyond
    assert "●" not in beyond
