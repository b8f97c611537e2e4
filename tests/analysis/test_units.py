from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (950, "950"), (999.4, "999"), (1000, "1.00 k"), (412_345, "412 k"), (999_949, "1.00 M"),
        (81.7e9, "81.7 B"), (1.5e12, "1.50 T"), (-2500, "-2.50 k"),
    ],
)  # fmt: skip
def test_counts_have_three_digits_and_a_suffix(value: float, text: str) -> None:
    assert units.count(value) == text


@given(st.floats(1, 1e15))
def test_a_count_is_rounded_correctly(value: float) -> None:
    number, _, suffix = units.count(value).partition(" ")
    read = float(number) * {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[suffix]
    assert read == pytest.approx(value, rel=0.0051, abs=0.5)
    assert float(number) < 1000 or suffix == "T"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.3, "0.3 s"), (1.24, "1.2 s"), (5, "5 s"), (9.97, "10 s"), (0.001, "0 s"),
        (12.4, "12 s"), (59.6, "1 m 00 s"), (200, "3 m 20 s"), (7500, "2 h 05 m"), (100_800, "1 d 04 h"),
        (math.inf, "n/a"), (math.nan, "n/a"), (-5, "0 s"),
    ],
)  # fmt: skip
def test_durations_show_their_two_largest_parts(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(2, "now"), (30, "30 s"), (400, "6 m"), (7300, "2 h"), (2e5, "2 d")])
def test_ages_show_their_largest_part(seconds: float, text: str) -> None:
    assert units.age(seconds) == text


def test_small_numbers_have_a_short_power_of_ten() -> None:
    assert [units.scientific(value) for value in (3e-4, 1.256e-12, 0.0)] == ["3.00e-4", "1.26e-12", "0"]


def test_a_tiny_loss_keeps_its_digits() -> None:
    assert [units.loss(value) for value in (2.31406, 0.0, 1e-3, 7.8064e-7)] == ["2.3141", "0.0000", "0.0010", "7.81e-7"]
    assert [units.loss(value, 3) for value in (2.31406, math.inf, math.nan)] == ["2.314", "inf", "nan"]


def test_other_units_are_formatted() -> None:
    assert units.rate(412_000) == "412 k tok/s"
    assert units.percent(0.472) == "47.2 %"
    assert [units.milliseconds(value) for value in (84.2, 1270)] == ["84.2 ms", "1.27 s"]
    assert [units.gigabytes(value) for value in (63.14, 0.481)] == ["63.1 GB", "0.48 GB"]


def test_extreme_numbers_and_durations_stay_short() -> None:
    assert units.count(2**63 - 1) == "9.22e18"
    assert units.flop(3e20) == "3.00e20 FLOP"
    assert [units.scientific(value) for value in (math.inf, -math.inf, math.nan)] == ["inf", "-inf", "nan"]
    assert units.flop(math.inf) == "inf FLOP"
    assert units.duration(1e18) == units.age(-1e300) == units.duration(float("nan")) == "n/a"
    assert units.moment(1e18, "%Y") == units.moment(-1.0, "%Y") == "n/a"
    assert metric("loss").text(1e308) == "1e+308"
    assert metric("lr").text(5e-324) == "4.94e-324"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2.31415, "2.3142"), (412345.2, "412,345"), (2.91314e-4, "2.9131e-4"), (0.0, "0"), (math.nan, "nan")],
)
def test_values_at_the_crosshair_have_five_digits(value: float, expected: str) -> None:
    assert units.exact(value) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(19999.0, "19,999"), (3.0, "3"), (-0.25, "-0.25"), (1e-9, "1.0000e-9"), (math.nan, "nan")]
)
def test_a_number_of_unknown_kind(value: float, text: str) -> None:
    assert units.plain(value) == text
