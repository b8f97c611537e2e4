"""Limits: the range of an axis, outliers, and the number of points beyond."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tuitrain.plots.axes import Range
from tuitrain.plots.limits import limits, steady_x, steady_y
from tuitrain.plots.model import SUPERSEDED, ChartOptions, Curve, Level, Plot, Points


def plot_of(*values: float, **more: object) -> Plot:
    curve = Curve(np.arange(1.0, len(values) + 1), np.array(values), "run0")
    return replace(Plot("loss", curves=(curve,), growing=False), **more)  # type: ignore[arg-type]


def test_x_grows_by_round_steps_and_is_kept_between() -> None:
    first = steady_x(None, 1, 83)
    assert first == Range(0, 90)
    assert steady_x(first, 1, 89) is first
    assert steady_x(first, 1, 91) == Range(0, 100)
    assert steady_x(first, 1, 300, grows=False) == Range(0, 300)


def test_y_is_kept_until_it_must_change() -> None:
    first = steady_y(None, 2.1, 4.9)
    assert (first.low, first.high) == (2.0, 5.0)
    assert steady_y(first, 2.3, 4.0) is first
    assert steady_y(first, 2.3, 5.2) != first
    assert steady_y(first, 2.3, 2.5) != first


def test_all_values_are_in_range_where_nothing_is_clipped() -> None:
    shown = limits(plot_of(*([1.0, 2.0] * 50), 50.0))
    assert shown.x == Range(0.0, 101.0)
    assert shown.y.low <= 1.0 and shown.y.high >= 50.0
    assert (shown.above, shown.below, shown.outliers) == (0, 0, "")


def test_outliers_are_left_out_and_counted() -> None:
    values = [1.0, 2.0] * 50
    shown = limits(plot_of(*values, 50.0, -40.0, 60.0, clip=True))
    assert 1.0 >= shown.y.low >= 0.0 and 2.0 <= shown.y.high <= 3.0
    assert (shown.above, shown.below, shown.outliers) == (2, 1, "2 above, 1 below")


def test_the_first_value_of_a_loss_is_no_outlier() -> None:
    plot = plot_of(20.0, *([1.0, 2.0] * 50), clip=True)
    assert limits(plot).above == 1
    kept = limits(replace(plot, keep_first=True))
    assert kept.above == 0 and kept.y.high >= 20.0


def test_a_zoom_has_the_limits_of_its_points_and_of_lines_that_cross_its_edges() -> None:
    plot = plot_of(*np.linspace(0, 99, 100).tolist())
    shown = limits(plot, ChartOptions(zoom=Range(40.5, 60.5)))
    assert shown.x == Range(40.5, 60.5)
    assert 35 <= shown.y.low <= 39.5 and 59.5 <= shown.y.high <= 65
    between = limits(plot, ChartOptions(zoom=Range(40.2, 40.8)))
    assert between.y.low <= 39.2 and between.y.high >= 39.8


def test_logarithmic_limits_are_powers_of_ten_and_leave_out_values_without_a_logarithm() -> None:
    shown = limits(plot_of(0.0, -1.0, 0.01, 1.0, 100.0, math.nan, log=True), ChartOptions(log_x=True))
    assert shown.log_x
    assert shown.x.values(log=True) == Range(1.0, pytest.approx(6.0))
    assert shown.y == Range(-2.0, 2.0)


def test_levels_points_and_deviations_of_a_mean_extend_the_limits() -> None:
    plot = plot_of(5.0, 6.0, 5.0)
    high = replace(plot, levels=(Level(80.0, "clip"),))
    assert limits(high).y.high >= 80
    assert limits(replace(plot, levels=(Level(80.0, "clip", in_range=False),))).y.high < 10
    assert limits(replace(plot, points=(Points(np.array([2.0]), np.array([20.0]), "val"),))).y.high >= 20
    mean = replace(plot.curves[0], std=np.full(3, 10.0))
    assert limits(replace(plot, curves=(mean,))).y.low <= -5


def test_superseded_steps_are_drawn_but_do_not_extend_the_limits() -> None:
    old = Curve(np.arange(1.0, 4), np.array([1.0, 900.0, 1.0]), SUPERSEDED)
    plot = plot_of(*([1.0, 2.0] * 50), clip=True)
    assert limits(replace(plot, curves=(old, *plot.curves))).above == 0


def test_limits_of_a_plot_that_grew_are_kept() -> None:
    values = np.random.default_rng(0).uniform(1, 2, 200).tolist()
    before = limits(plot_of(*values[:150], growing=True))
    assert limits(plot_of(*values[:155], growing=True), kept=before) == before
    assert limits(plot_of(*values[:155], 9.0, growing=True), kept=before).y.high >= 9.0


@pytest.mark.parametrize("values", [(math.nan,), (math.inf, -math.inf), (1e308, -1e308)])
def test_values_that_cannot_be_drawn_leave_a_unit_range(values: tuple[float, ...]) -> None:
    assert limits(plot_of(*values, clip=True)).y == Range(0, 1)
