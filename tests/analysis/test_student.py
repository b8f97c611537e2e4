from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.analysis.student import Sample, quantile, two_sided_p, welch


def sample(*values: float) -> Sample:
    return Sample(len(values), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def test_welch_by_hand() -> None:
    # Variances 0.01 and 0.04, three each: t = -1 / sqrt(0.05 / 3), df = (0.05 / 3)^2 / ((0.01/3)^2/2 + (0.04/3)^2/2).
    result = welch(sample(1.9, 2.0, 2.1), sample(2.8, 3.0, 3.2))
    assert result is not None
    assert result.t == pytest.approx(-1 / math.sqrt(0.05 / 3))
    assert result.df == pytest.approx(0.05**2 / (0.01**2 / 2 + 0.04**2 / 2))
    assert result.is_significant


@pytest.mark.parametrize(
    ("df", "t", "p"),
    # Quantiles of the tables in textbooks.
    [(1, 12.7062, 0.05), (2, 4.3027, 0.05), (4, 4.6041, 0.01), (10, 2.2281, 0.05), (30, 2.7500, 0.01), (1, 1.0, 0.5)],
)
def test_tables_of_student(df: int, t: float, p: float) -> None:
    assert two_sided_p(t, df) == pytest.approx(p, rel=1e-4)
    assert quantile(df, p) == pytest.approx(t, rel=1e-4)


# Closed forms: df 1 is Cauchy's distribution, df 2 is algebraic.
@given(st.floats(1e-6, 1e6))
def test_one_and_two_degrees_of_freedom_have_closed_forms(t: float) -> None:
    assert two_sided_p(t, 1) == pytest.approx(2 * math.atan(1 / t) / math.pi, rel=1e-9)
    algebraic = 2 / ((2 + t * t) * (1 + t / math.sqrt(2 + t * t)))
    assert two_sided_p(t, 2) == pytest.approx(algebraic, rel=1e-9)


@given(st.floats(0, 60), st.floats(0.5, 2000))
def test_p_is_that_of_arbitrary_precision(t: float, df: float) -> None:
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        exact = mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, df / (df + mpmath.mpf(t) ** 2), regularized=True)
    assert two_sided_p(t, df) == pytest.approx(float(exact), rel=1e-9, abs=1e-290)


def test_many_degrees_of_freedom_are_normal() -> None:
    assert two_sided_p(1.96, 1e7) == pytest.approx(math.erfc(1.96 / math.sqrt(2)), rel=1e-5)
    assert two_sided_p(math.inf, 3.0) == 0.0
    assert two_sided_p(0.0, 3.0) == 1.0


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=6), st.lists(st.floats(-5, 5), min_size=2, max_size=6),
    st.floats(0.01, 100), st.floats(-50, 50),
)  # fmt: skip
def test_the_test_is_symmetric_and_knows_no_unit(
    one: list[float], other: list[float], scale: float, shift: float
) -> None:
    first, second = welch(sample(*one), sample(*other)), welch(sample(*other), sample(*one))
    if first is None or second is None:
        assert statistics.stdev(one) == statistics.stdev(other) == 0 or first is second is None
        return
    assert (first.t, first.df, first.p) == pytest.approx((-second.t, second.df, second.p))
    if min(statistics.stdev(one), statistics.stdev(other)) > 1e-3:
        moved = welch(*(sample(*(scale * value + shift for value in group)) for group in (one, other)))
        assert moved is not None
        assert (moved.t, moved.df) == pytest.approx((first.t, first.df), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [((1.0,), (2.0, 3.0)), ((1.0, 1.0), (2.0, 2.0)), ((math.nan, 1.0), (2.0, 3.0))],
)  # fmt: skip
def test_what_allows_no_test_has_none(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    std = [
        statistics.stdev(group) if len(group) > 1 and all(map(math.isfinite, group)) else None for group in (one, other)
    ]
    groups = [Sample(len(group), sum(group) / len(group), each) for group, each in zip((one, other), std, strict=True)]
    assert welch(*groups) is None
