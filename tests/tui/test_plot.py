"""Charts as text: axes, lines, marks, legends."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuitrain.analysis.units import exact
from tuitrain.plots.axes import X_AXES, Range, XAxis
from tuitrain.plots.limits import steady_x, steady_y
from tuitrain.plots.model import SUPERSEDED, ChartOptions, Curve, Level, Marker, Plot, Points
from tuitrain.plots.ticks import log_labels, log_positions, time_label, y_ticks
from tuitrain.plots.x_scale import XScale
from tuitrain.tui.charts.drawing import draw
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


@settings(max_examples=60)
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


def test_the_legend_of_several_runs_names_all_in_the_border_or_below_it() -> None:
    runs = tuple(
        replace(curve(3, 2, 1, name=f"gpt2-tiny · 00a{index}", glyph=mark), role=f"run{index}")
        for index, mark in enumerate("●▲■")
    )
    marks = (Marker(2.0, "checkpoint", "quiet"),)
    assert all(run.name in text(Plot("loss", "2.31", runs), 90)[0] for run in runs)
    # What tells them apart goes before the names of events.
    short = " ".join(text(Plot("loss", "2.31", runs, markers=marks), 46)[0].split())
    assert "● 00a0 ▲ 00a1 ■ 00a2 ╮" in short
    border, below, *_ = text(Plot("loss", "2.31", runs), 32)
    assert "●" not in border
    assert "● 00a0 ▲ 00a1 ■ 00a2" in " ".join(below.split())


def test_a_spike_is_an_outlier_but_the_beginning_of_a_loss_is_none() -> None:
    values = 3 + 7 * np.exp(-np.arange(1000.0) / 8)
    values[500] = 400.0
    plot = Plot("loss", curves=(curve(*values.tolist()),), clip=True, keep_first=True)
    rows = text(plot)
    assert "1 above" in rows[0]
    assert any(row[1:4].strip() in ("8", "10") for row in rows[1:-1])
    assert not any(row[1:4].strip() in ("15", "20") for row in rows[1:-1])
    # Elsewhere such a beginning is left out like any other outlier.
    assert "1 above" not in text(replace(plot, keep_first=False))[0]
    assert "above" in text(replace(plot, keep_first=False))[0]


def test_a_panel_without_data_has_no_legend() -> None:
    marks, levels = (Marker(2.0, "checkpoint", "quiet"),), (Level(25.3, "clip", "capacity 25.3"),)
    rows = text(Plot("GPU memory", markers=marks, levels=levels, log=True, empty="n/a: none"), 80)
    assert rows[0] == "╭ GPU memory " + "─" * 66 + "╮"


@pytest.mark.parametrize(("low", "high"), [(9.5e-4, 1.05e-3), (2.31, 2.33), (1000, 1040), (1e-4, 1)])
def test_no_two_ticks_of_a_logarithmic_axis_read_the_same(low: float, high: float) -> None:
    for count in (2, 4, 8, 12):
        positions = log_positions(Range(math.log10(low), math.log10(high)), count)
        written = log_labels(positions)
        assert len(set(written)) == len(written)
    x = XScale("step", Range(math.log10(low), math.log10(high)), 80, log=True).ticks()
    assert len({text for _, text in x}) == len(x)


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
    first = steady_x(None, 1, 83)
    assert first == Range(0, 90)
    assert steady_x(first, 1, 89) is first
    assert steady_x(first, 1, 91) == Range(0, 100)
    assert steady_x(first, 1, 300, grows=False) == Range(0, 300)


def test_y_stays_until_it_must_change() -> None:
    first = steady_y(None, 2.1, 4.9)
    assert (first.low, first.high) == (2.0, 5.0)
    assert steady_y(first, 2.3, 4.0) is first
    assert steady_y(first, 2.3, 5.2) != first
    assert steady_y(first, 2.3, 2.5) != first


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
    assert [text for _, text in y_ticks(Range(low, high), count)] == expected


def test_time_labels() -> None:
    pairs = ((0, 60), (30, 10), (75, 15), (600, 300), (5400, 1800), (7200, 1800), (172800, 86400), (648000, 216000))
    assert [time_label(seconds, step) for seconds, step in pairs] == [
        "0", "30s", "1m 15s", "10m", "1h 30m", "2h", "2d", "7d 12h",
    ]  # fmt: skip
    assert [time_label(3600 + s, 15) for s in (0, 15, 75)] == ["1h", "1h 00m 15s", "1h 01m 15s"]
    assert [time_label(60 + s, 0.25) for s in (0, 0.25, 1.5)] == ["1m", "1m 0.25s", "1m 1.5s"]
    assert time_label(4567, 100) == "1h 16m 07s"


def test_log_ticks_are_round_values() -> None:
    assert [round(10**p, 6) for p in log_positions(Range(-4, 0), 5)] == [1e-4, 1e-3, 1e-2, 0.1, 1]
    assert len(log_positions(Range(math.log10(2.1), math.log10(4.9)), 4)) >= 2


def test_axes_stand_still_while_a_curve_grows() -> None:
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


def test_zoomed_in_the_y_axis_adapts_and_the_line_goes_on_to_the_edges() -> None:
    x = np.arange(0.0, 1001, 100)
    plot = Plot("loss", curves=(Curve(x, x, "run0"),), growing=False)
    rows = [plain(line) for line in draw(plot, 60, 14, options=ChartOptions(zoom=Range(410, 490))).lines]
    assert "step 410–490" in rows[-1]
    assert rows[1][1:4].strip(" ·") in ("", "490", "500")
    body = [row[5:-2] for row in rows[1:-1]]
    drawn = [index for row in body for index, cell in enumerate(row) if "⠀" < cell <= "⣿"]
    assert min(drawn) == 0
    assert max(drawn) >= len(body[0]) - 2


def test_marks_never_hide_a_curve() -> None:
    x = np.arange(1.0, 101)
    flat = Plot("loss", curves=(Curve(x, np.zeros(100), "run0"),), from_zero=True)
    marks = tuple(
        Marker(at, kind, "quiet") for at, kind in ((20.0, "checkpoint"), (40.0, "restart"), (60.0, "alert"))
    )  # fmt: skip
    before, after = text(flat), text(replace(flat, markers=marks))
    assert after != before
    for old, new in zip(before[1:-1], after[1:-1], strict=True):
        assert all(new[index] == char for index, char in enumerate(old) if "⠀" < char <= "⣿")
    assert "┊" in "".join(after[1:-1])
    assert "!" in "".join(after[1:-1])


def test_what_has_no_number_is_marked_by_its_kind() -> None:
    values = [1.0, 2.0, math.inf, 2.0, math.nan, 1.0, -math.inf, 1.5]
    rows = text(Plot("loss", curves=(curve(*values),)))
    assert "↑" in rows[1]
    assert "×" in rows[-2]
    assert "↓" in rows[-2]
    assert "↓" in text(Plot("lr", curves=(curve(1.0, 0.1, 0.0, 0.1),), log=True))[-2]


def test_superseded_curves_lie_below() -> None:
    x = np.arange(1.0, 101)
    newest = Curve(x, np.ones(100), "run0")
    old = Curve(x, np.ones(100), SUPERSEDED)
    for curves in ((old, newest), (newest, old)):
        lines = draw(Plot("loss", curves=curves), 60, 14).lines
        roles = {span.role for line in lines for span in line if any("⠀" < char <= "⣿" for char in span.text)}
        assert roles == {"run0"}


def test_several_runs_carry_their_glyphs_along_their_curves() -> None:
    x = np.linspace(1, 100, 300)
    curves = tuple(Curve(x, x * 0 + index, f"run{index}", f"run {index}", "●▲"[index]) for index in (0, 1))
    body = "".join(text(Plot("loss", curves=curves), 90)[1:-1])
    assert body.count("●") >= 3
    assert body.count("▲") >= 3
    alone = "".join(text(Plot("lr", curves=curves[:1]), 90)[1:-1])
    assert alone.count("●") == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2.31415, "2.3142"), (412345.2, "412,345"), (2.91314e-4, "2.9131e-4"), (0.0, "0"), (math.nan, "nan")],
)
def test_values_at_the_crosshair_have_five_digits(value: float, expected: str) -> None:
    assert exact(value) == expected


def test_a_finished_run_has_no_value_beyond_its_end() -> None:
    short, long = np.arange(1.0, 51), np.arange(1.0, 101)
    curves = (Curve(short, short * 0 + 3, "run0", "a", "●"), Curve(long, long * 0 + 4, "run1", "b", "▲"))
    plot = Plot("loss", curves=curves)
    assert "● a 3.0000" in plain(draw(plot, 70, 12, options=ChartOptions(crosshair=30)).lines[0])
    beyond = plain(draw(plot, 70, 12, options=ChartOptions(crosshair=80)).lines[0])
    assert "▲ b 4.0000" in beyond
    assert "●" not in beyond


@pytest.mark.parametrize("axis", X_AXES)
def test_places_and_cells_agree_on_every_axis(axis: XAxis) -> None:
    low = 1.75e9 if axis == "clock" else 3.0
    for log in (False, True):
        if log and axis == "clock":
            continue
        ends = Range(math.log10(low), math.log10(low * 900)) if log else Range(low, low + 5e4)
        scale = XScale(axis, ends, 57, log)
        assert [scale.column(scale.value_at(column)) for column in range(57)] == list(range(57))
        assert scale.ticks()
        columns = [column for column, _ in scale.ticks()]
        assert columns == sorted(columns)
        assert scale.column(low * (0.5 if axis != "clock" else 0.9)) == -1


def test_the_clock_is_round_in_local_time_also_after_it_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        # The clocks were put back at 01:00 UTC on 26 October 2025.
        begin = datetime(2025, 10, 25, 10, tzinfo=UTC).timestamp()
        ticks = XScale("clock", Range(begin, begin + 2 * 86400), 100).ticks()
        assert {text for _, text in ticks} <= {"18:00", "12:00", "06:00", "26 Oct", "27 Oct"}
        assert {"26 Oct", "27 Oct"} <= {text for _, text in ticks}
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
