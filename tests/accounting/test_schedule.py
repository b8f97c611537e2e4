"""The learning-rate schedule: warmup, decay and their end points."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.accounting import TokenPosition, lr_factor, schedule_text, schedule_warnings
from tuitrain.config import RunConfig
from tuitrain.config.sections import OptimConfig, ScheduleConfig, TrainConfig

NAMES = ["cosine", "linear", "constant", "wsd"]


def schedule(name: str, warmup: int = 10, minimum: float = 0.1, decay: float = 0.2) -> ScheduleConfig:
    return ScheduleConfig(name=name, warmup_steps=warmup, min_lr_ratio=minimum, decay_fraction=decay)


@pytest.mark.parametrize("name", NAMES)
def test_warmup_rises_evenly_to_the_peak(name: str) -> None:
    factors = [lr_factor(step, schedule(name), 100) for step in range(10)]
    assert factors == pytest.approx([(step + 1) / 10 for step in range(10)])


@pytest.mark.parametrize("name, last", [("cosine", 0.1), ("linear", 0.1), ("wsd", 0.1), ("constant", 1.0)])
def test_the_rate_is_constant_from_the_last_step_on(name: str, last: float) -> None:
    assert lr_factor(99, schedule(name), 100) == pytest.approx(last)
    assert lr_factor(250, schedule(name), 100) == pytest.approx(last)


def test_the_rate_half_way_through_the_decay() -> None:
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


@given(
    st.sampled_from(NAMES), st.integers(0, 50), st.integers(1, 200), st.integers(0, 250), st.integers(1, 10**7),
    st.floats(0, 1), st.floats(0.01, 1),
)  # fmt: skip
def test_a_schedule_in_tokens_equals_one_in_steps_for_steps_of_equal_size(
    name: str, warmup: int, total: int, step: int, per_step: int, minimum: float, decay: float
) -> None:
    section = schedule(name, warmup, minimum, decay)
    position = TokenPosition((step + 1) * per_step, warmup * per_step, total * per_step, per_step)
    assert lr_factor(step, section, total, position) == lr_factor(step, section, total)


@pytest.mark.parametrize("name", ["cosine", "linear"])
@pytest.mark.parametrize("per_step", [50, 200])
def test_a_schedule_in_tokens_continues_when_the_step_size_changes(name: str, per_step: int) -> None:
    # 50 of 100 steps of 100 tokens are done, 10 of them warmup.
    before = lr_factor(49, schedule(name), 100)
    first, last = (TokenPosition(after, 1000, 10_000, per_step) for after in (5000 + per_step, 10_000))
    left = 5000 // per_step
    following = lr_factor(50, schedule(name), 50 + left, first)
    assert following < before
    assert before - following == pytest.approx((before - lr_factor(50, schedule(name), 100)) * per_step / 100, rel=0.1)
    assert lr_factor(49 + left, schedule(name), 50 + left, last) == pytest.approx(0.1)


def run(**section: object) -> RunConfig:
    return RunConfig(schedule=ScheduleConfig(**section), optim=OptimConfig(lr=0.002), train=TrainConfig(max_steps=1))


@given(
    name=st.sampled_from(NAMES), warmup=st.integers(0, 60), steps=st.integers(1, 60),
    minimum=st.floats(0, 1), decay=st.floats(0.01, 1),
)  # fmt: skip
def test_the_text_states_the_learning_rate_of_the_last_step(
    name: str, warmup: int, steps: int, minimum: float, decay: float
) -> None:
    config = run(name=name, warmup_steps=warmup, min_lr_ratio=minimum, decay_fraction=decay)
    last = 0.002 * lr_factor(steps - 1, config.schedule, steps)
    assert f"{last:g}" in schedule_text(config, steps)
    assert ("only the warmup" in schedule_text(config, steps)) == (warmup >= steps)


def test_a_run_too_short_for_its_schedule_has_a_warning() -> None:
    assert schedule_warnings(run(warmup_steps=10), 20) == []
    (sentence,) = schedule_warnings(run(warmup_steps=200), 20)
    assert "to 0.0002 of optim.lr = 0.002" in sentence and "never decays" in sentence
    (sentence,) = schedule_warnings(run(warmup_steps=20), 20)
    assert "to 0.002 of optim.lr = 0.002" in sentence
    (sentence,) = schedule_warnings(run(name="wsd", warmup_steps=90, decay_fraction=0.2), 100)
    assert "leaves 10 of the 20 steps" in sentence
    (sentence,) = schedule_warnings(run(name="wsd", warmup_steps=9, decay_fraction=0.001), 100)
    assert "less than one step" in sentence
    assert "stays until step 80" in schedule_text(run(name="wsd", warmup_steps=9, decay_fraction=0.2), 100)
