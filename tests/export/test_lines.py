from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tuitrain.export.lines import PIXEL_COLUMNS, level_limits, loss_limits, smoothed, smoothing_window, thin
from tuitrain.export.panels import round_ticks
from tuitrain.export.style import ScaledFormatter, scaled, thousands, times_ten

ANY = st.floats(-1e6, 1e6) | st.just(math.nan) | st.just(math.inf)


@given(arrays(np.float64, st.integers(0, 300), elements=ANY))
def test_a_short_series_keeps_its_points_and_a_gap_stays_a_gap(y: np.ndarray) -> None:
    x = np.arange(len(y), dtype=np.float64)
    thin_x, thin_y = thin(x, y)
    finite = np.isfinite(y)
    assert thin_y[np.isfinite(thin_y)].tolist() == y[finite].tolist()
    assert (np.diff(thin_x) > 0).all()
    kept = np.flatnonzero(finite)
    for left, right in itertools.pairwise(kept):
        between = (thin_x > left) & (thin_x < right)
        assert between.any() == (right - left > 1)


def test_a_long_series_becomes_short_and_keeps_its_extremes_in_every_column() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(500_000.0), rng.standard_normal(500_000)
    thin_x, thin_y = thin(x, y)
    assert len(thin_x) <= 4 * PIXEL_COLUMNS
    for start in range(0, 500_000, 50_000):
        inside = (thin_x >= start) & (thin_x < start + 50_000)
        assert (thin_y[inside].min(), thin_y[inside].max()) == (
            y[start : start + 50_000].min(),
            y[start : start + 50_000].max(),
        )


def test_points_without_a_place_are_left_out() -> None:
    assert [part.tolist() for part in thin(np.array([1.0, math.nan]), np.array([5.0, 6.0]))] == [[1.0], [5.0]]
    assert [len(part) for part in thin(np.array([math.nan]), np.array([1.0]))] == [0, 0]


def test_smoothing_does_not_lag_behind_a_slope() -> None:
    line = np.arange(1000.0)
    middle = smoothed(line)[200:800]
    assert np.abs(middle - line[200:800]).max() < 0.01


def test_a_few_points_are_not_smoothed() -> None:
    assert smoothing_window(19) == 1
    assert smoothed(np.array([1.0, 5.0])).tolist() == [1.0, 5.0]


def test_a_range_without_finite_values_is_none() -> None:
    for limits in (loss_limits, level_limits):
        assert limits(np.array([math.nan, math.inf]), np.empty(0)) is None


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e3, 1e3)))
def test_ranges_are_ranges_and_count_what_they_leave_out(values: np.ndarray) -> None:
    for limits in (loss_limits(values), level_limits(values)):
        assert limits is not None
        assert limits.low < limits.high
        assert limits.above == (values > limits.high).sum()
        assert bool(limits.note) == bool(limits.above or limits.below)


@given(st.floats(1e-9, 1e9), st.floats(1.2, 1e6))
def test_ticks_lie_inside_and_are_neither_none_nor_too_many(low: float, factor: float) -> None:
    high = low * factor
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(ticks)


def test_tick_labels_have_one_suffix_and_equal_decimals() -> None:
    assert ScaledFormatter().format_ticks([0, 5e8, 1e9, 1.5e9]) == ["0", "0.5 B", "1.0 B", "1.5 B"]
    assert ScaledFormatter().format_ticks([0.0, 0.25, 0.5]) == ["0", "0.25", "0.50"]
    assert ScaledFormatter().format_ticks([]) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (scaled(412_000), "412 k"),
        (scaled(0), "0"),
        (thousands(12_000), "12,000"),
        (thousands(1_500_000), "1.5 M"),
        (times_ten(3e-4), r"$3\cdot10^{-4}$"),
        (times_ten(1e-3), "$10^{-3}$"),
        (times_ten(0), "0"),
    ],
)
def test_tick_labels(text: str, wanted: str) -> None:
    assert text == wanted
