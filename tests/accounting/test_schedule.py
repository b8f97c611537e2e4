"""The learning-rate schedule: warmup, decay and their end points."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.accounting import lr_factor
from tuitrain.config.sections import ScheduleConfig

NAMES = ["cosine", "linear", "constant", "wsd"]


def schedule(name: str, warmup: int = 10, minimum: float = 0.1, decay: float = 0.2) -> ScheduleConfig:
    return ScheduleConfig(name=name, warmup_steps=warmup, min_lr_ratio=minimum, decay_fraction=decay)


@pytest.mark.parametrize("name", NAMES)
def test_warmup_rises_evenly_to_the_peak(name: str) -> None:
    factors = [lr_factor(step, schedule(name), 100) for step in range(10)]
    assert factors == pytest.approx([(step + 1) / 10 for step in range(10)])


@pytest.mark.parametrize("name, last", [("cosine", 0.1), ("linear", 0.1), ("wsd", 0.1), ("constant", 1.0)])
def test_the_last_step_and_what_comes_after(name: str, last: float) -> None:
    assert lr_factor(99, schedule(name), 100) == pytest.approx(last)
    assert lr_factor(250, schedule(name), 100) == pytest.approx(last)


def test_half_way_through_the_decay() -> None:
    for name in ("cosine", "linear"):
        assert lr_factor(54, schedule(name), 100) == pytest.approx(0.55)
    # A quarter: the cosine is still higher than the line.
    assert lr_factor(32, schedule("cosine"), 100) > lr_factor(32, schedule("linear"), 100)


def test_wsd_is_flat_until_its_decay() -> None:
    factors = [lr_factor(step, schedule("wsd"), 100) for step in range(100)]
    assert set(factors[9:80]) == {1.0}
    assert factors[80] < 1.0
    assert factors[89] == pytest.approx(0.55)


@given(st.sampled_from(NAMES), st.integers(0, 50), st.integers(1, 200), st.floats(0, 1), st.floats(0.01, 1))
def test_factors_are_bounded_start_above_zero_and_fall_after_the_warmup(
    name: str, warmup: int, total: int, minimum: float, decay: float
) -> None:
    factors = [lr_factor(step, schedule(name, warmup, minimum, decay), total) for step in range(total)]
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)
    assert factors[0] > 0 or total == 1
    after = factors[max(warmup - 1, 0) :]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(after))
