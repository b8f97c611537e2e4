"""Smoothing against the recurrence that defines it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.analysis.smoothing import smooth

numbers = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])


def plain(values: list[float], weight: float) -> list[float]:
    """The defining recurrence, one value after the other."""
    total = norm = 0.0
    result = []
    for value in values:
        if not math.isfinite(value):
            result.append(math.nan)
            continue
        total, norm = weight * total + value, weight * norm + 1
        result.append(total / norm)
    return result


@given(st.lists(numbers, max_size=300), st.sampled_from([0.3, 0.6, 0.9, 0.97, 0.99, 0.999]))
def test_equals_the_recurrence(values: list[float], weight: float) -> None:
    scale = max((abs(v) for v in values if math.isfinite(v)), default=1.0) or 1.0
    np.testing.assert_allclose(smooth(np.array(values), weight), plain(values, weight), rtol=1e-9, atol=1e-12 * scale)


def test_long_series_equals_the_recurrence() -> None:
    values = np.random.default_rng(0).normal(size=20_000).cumsum()
    np.testing.assert_allclose(smooth(values, 0.99), plain(values.tolist(), 0.99), rtol=1e-9, atol=1e-9)


def test_the_first_value_is_not_pulled_towards_zero() -> None:
    assert smooth(np.array([10.9, 10.9, 10.9]), 0.99).tolist() == [10.9, 10.9, 10.9]


def test_weight_zero_is_the_series_itself() -> None:
    values = np.array([1.0, math.nan, 3.0])
    assert smooth(values, 0) is values


@pytest.mark.parametrize("weight", [1.0, -0.1, 2.0])
def test_other_weights_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="lies in"):
        smooth(np.array([1.0]), weight)
