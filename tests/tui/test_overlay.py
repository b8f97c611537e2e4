"""The values at the crosshair of several runs, and the short forms of their names."""

from __future__ import annotations

import numpy as np
import pytest

from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.legend import short_names
from tuitrain.plots.model import ChartOptions, Curve, Plot, Points
from tuitrain.plots.roles import glyph, hollow_glyph
from tuitrain.tui.text import plain, width


def test_short_names_differ() -> None:
    assert short_names(["llama2-tiny · 0000", "llama2-tiny · 0001", "gpt2-124m"]) == ["0000", "0001", "gpt2"]
    assert short_names(["gpt2-tiny", "gpt2-tiny lr"]) == ["gpt2-tiny", "lr"]
    assert short_names(["lr1e-2", "lr1e-3", "lr3e-4"]) == ["lr1e-2", "lr1e-3", "lr3e-4"], (
        "an exponent belongs to its name"
    )
    assert short_names(["lr-1", "lr-2", "wd-3"]) == ["1", "2", "3"], (
        "the same word of all names, where all differ in it"
    )
    assert short_names(["abcdefghijklmnop1", "abcdefghijklmnop2"]) == ["abcdef…klmnop1", "abcdef…klmnop2"]


def eight_runs() -> Plot:
    x = np.arange(1.0, 101)
    runs = (
        Curve(x, x * 0 + 2 + index / 10, f"run{index % 6}", f"llama2-tiny · 000{index}", glyph(index), order=index)
        for index in range(8)
    )
    stars = tuple(Points(np.array([30.0]), np.array([2.0]), f"run{index}") for index in range(6))
    return Plot("loss", "2.31", tuple(runs), stars)


@pytest.mark.parametrize(("columns", "rows"), [(38, 1), (60, 0)])
def test_a_narrow_chart_lists_the_names_of_runs_in_a_separate_row(columns: int, rows: int) -> None:
    x = np.arange(1.0, 101)
    names = ("lr1e-2", "lr1e-3", "lr3e-4")
    curves = tuple(Curve(x, x * 0 + n, f"run{n}", name, glyph(n), order=n) for n, name in enumerate(names))
    evals = tuple(Points(x[::30], x[::30] * 0 + n, f"run{n}", glyph=hollow_glyph(n)) for n in range(3))
    drawn = [plain(line) for line in draw(Plot("loss", "2.9165", curves, evals), columns, 14).lines]
    assert len(drawn) == 14
    assert "● lr1e-2  ▲ lr1e-3  ■ lr3e-4" in drawn[rows]
    assert "○△□ validation" in drawn[0] or not rows
    assert all(sign in "\n".join(drawn[1:]) for sign in "○△□"), "each run's validation has its own mark"


@pytest.mark.parametrize("columns", [60, 66, 80, 120, 200])
def test_the_crosshair_shows_the_values_of_all_runs(columns: int) -> None:
    drawn = draw(eight_runs(), columns, 14, options=ChartOptions(crosshair=30)).lines
    assert len(drawn) == 14
    assert {width(line) for line in drawn} == {columns}
    value_text = " ".join(" ".join(plain(line).strip("╭│╮─") for line in drawn[:2]).split())
    for index in range(8):
        values = (f"{glyph(index)} 2.{index}0", f"{glyph(index)} 000{index} 2.{index}0")
        assert any(value in value_text for value in values), value_text
    # The chart below the values is smaller, and none of its rows is hidden.
    assert "╰ step" in plain(drawn[-1])


def test_without_space_for_names_values_continue_in_the_next_rows() -> None:
    rows = text_at(eight_runs(), 34, 14, 30)
    value_text = " ".join(rows[:4])
    assert all(f"{glyph(index)} 2.{index}0" in value_text for index in range(8))
    few = text_at(eight_runs(), 34, 5, 30)
    assert len(few) == 5


def text_at(plot: Plot, columns: int, rows: int, at: float) -> list[str]:
    return [plain(line) for line in draw(plot, columns, rows, options=ChartOptions(crosshair=at)).lines]


def test_a_value_at_the_crosshair_has_the_digits_and_the_unit_of_its_metric() -> None:
    def value_text(key: str, value: float) -> str:
        points = np.arange(1.0, 101)
        return text_at(Plot("t", "", (Curve(points, 0 * points + value, "run0"),), metric=key), 60, 14, 30)[0]

    assert "─ 412 k tok/s " in value_text("tokens_per_sec", 412_345.678)
    assert "─ 47.2 % " in value_text("mfu", 47.2345), "the value of a panel is in the unit of its axis"
    assert "─ 63.1 GB " in value_text("mem_peak_gb", 63.1234)
    assert "─ 2.3141 " in value_text("loss", 2.31412345)
    assert "─ 412,346 " in value_text("", 412_345.678), "the unit of a metric outside the registry is unknown"


def test_the_crosshair_shows_the_deviation_of_a_mean() -> None:
    x = np.arange(1.0, 101)
    mean = Curve(x, x * 0 + 3, "run0", "group", "●", std=x * 0 + 0.25)
    assert "● group 3.0000 ± 0.250" in text_at(Plot("t", "", (mean,)), 60, 14, 30)[0]
