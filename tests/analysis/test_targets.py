from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import history, run_record
from tuitrain.analysis.compare import Comparison, compare_runs
from tuitrain.analysis.groups import Member, group_runs
from tuitrain.analysis.metric_rows import MetricRow
from tuitrain.analysis.smoothing import centred_window
from tuitrain.analysis.targets import crossing, target_curve
from tuitrain.analysis.verdict import SINGLE
from tuitrain.events import Architecture, Hardware, Step
from tuitrain.runs import RunHistory


def row(comparison: Comparison, key: str) -> MetricRow:
    return next(each for each in comparison.metrics if each.metric.key == key)


def trained(losses: list[float], every: int = 1, step_ms: float = 1000.0) -> RunHistory:
    """A run with these losses of its records, 100 tokens a step."""
    made = RunHistory()
    made.absorb([run_record()])
    made.absorb(
        Step(time=float(n), step=n * every, tokens=n * every * 100, loss=loss, step_time_ms=step_ms)
        for n, loss in enumerate(losses, start=1)
    )
    return made


def test_a_validation_loss_is_interpolated_between_the_evaluations_around_it() -> None:
    # 3.0 at step 4 and 2.0 at step 8: 2.5 at step 6, of 100 tokens and 1 s each, at 6 GFLOP a token.
    found = crossing(history(evals=((4, 3.0), (8, 2.0), (10, 2.6))), "val_loss", 2.5)
    assert (found.step, found.tokens, found.time, found.between) == (6.0, 600.0, 6.0, (4, 8))
    assert found.flops == pytest.approx(600 * 6e9)


def test_an_evaluation_at_the_target_is_no_interpolation() -> None:
    found = crossing(history(evals=((4, 3.0), (8, 2.0))), "val_loss", 2.0)
    assert (found.step, found.between) == (8.0, None)


def test_a_target_that_is_not_reached_is_never_extrapolated() -> None:
    found = crossing(history(evals=((4, 3.0), (8, 2.0))), "val_loss", 1.9999)
    assert (found.step, found.tokens, found.lowest) == (None, None, 2.0)
    assert crossing(history(), "val_loss", 2.0).lowest is None


def test_a_curve_that_begins_below_the_target_tells_no_step() -> None:
    found = crossing(history(evals=((4, 1.0), (8, 0.5))), "val_loss", 2.0)
    assert (found.step, found.begins_below) == (None, True)
    assert crossing(history(evals=((0, 1.0), (8, 0.5))), "val_loss", 2.0).step == 0.0


def plain_smoothing(values: list[float], weight: float) -> list[float]:
    """A debiased moving average by its definition, forwards and then backwards."""

    def forwards(numbers: list[float]) -> list[float]:
        averages = []
        for end in range(1, len(numbers) + 1):
            weights = [weight ** (end - 1 - at) for at in range(end)]
            averages.append(sum(w * v for w, v in zip(weights, numbers, strict=False)) / sum(weights))
        return averages

    return forwards(forwards(values)[::-1])[::-1]


losses = st.lists(st.floats(0.5, 10.0), min_size=1, max_size=40)


@given(losses, st.sampled_from((1, 10)), st.floats(0.5, 10.0))
def test_training_losses_against_a_plain_reference(values: list[float], every: int, target: float) -> None:
    made = trained(values, every)
    steps, smoothed = target_curve(made, "loss")
    expected = plain_smoothing(values, 1 - 1 / centred_window(len(values)))
    assert smoothed == pytest.approx(expected)
    found = crossing(made, "loss", target)
    below = [index for index, loss in enumerate(smoothed.tolist()) if loss <= target]
    assert found.lowest == min(smoothed)
    if not below:
        assert found.step is None
    elif below[0] == 0:
        assert (found.step, found.begins_below) == ((1.0, False) if every == 1 else (None, True))
    else:
        low, high = steps[below[0] - 1], steps[below[0]]
        assert found.step is not None
        assert low <= found.step <= high
        if every == 1:
            assert found.step == high
        else:
            assert np.interp(found.step, steps, smoothed) == pytest.approx(target)
        assert found.tokens == pytest.approx(100 * found.step)
        assert found.time == pytest.approx(found.step / every if every == 1 else found.step)


def test_smoothing_does_not_lag_whatever_the_interval_of_the_records() -> None:
    falling = [10 - step / 100 for step in range(1, 801)]
    fine, coarse = trained(falling), trained(falling[9::10], every=10)
    assert crossing(fine, "loss", 5.0).step == pytest.approx(500, abs=1)
    assert crossing(coarse, "loss", 5.0).step == pytest.approx(500, abs=2)


def test_who_came_to_a_loss_first_in_what() -> None:
    # fast needs more tokens, which take half the time.
    fast = history(step_ms=500.0, evals=((0, 4.0), (10, 2.0)))
    frugal = history(evals=((0, 4.0), (8, 2.0)))
    never = history(evals=((0, 4.0), (10, 3.0)))
    blind = history()
    runs = [("fast", fast), ("frugal", frugal), ("never", never), ("blind", blind)]
    compared = compare_runs(runs, at=("val_loss", 2.5))
    assert row(compared, "step").values == [7.5, 6.0, None, None]
    assert row(compared, "tokens").values == [750.0, 600.0, None, None]
    assert row(compared, "time").values == [3.75, 6.0, None, None]
    assert [row(compared, key).best for key in ("step", "tokens", "time", "flops")] == [1, 1, 0, 1]
    assert row(compared, "mean_tokens_per_sec").values[:3] == [200.0, 100.0, None]
    least = "training time (3.8 s) and GPU-hours of training (0.00104 h)"
    assert f"fast reached a validation loss of 2.5 with the least {least}." in compared.verdict
    assert (
        "frugal reached a validation loss of 2.5 with the least steps (6), tokens (600) and compute (3.60e12 FLOP)."
        in compared.verdict
    )
    assert "never did not reach a validation loss of 2.5: its lowest is 3." in compared.verdict
    assert "blind has no evaluations with a loss." in compared.verdict
    assert "Interpolated between the evaluations at steps: fast 0 and 10; frugal 0 and 8." in compared.verdict
    assert SINGLE in compared.verdict
    assert not {"total_tokens", "training_time_s", "final_val_loss"} & {each.metric.key for each in compared.metrics}


def test_what_it_cost_is_the_price_of_the_training_time() -> None:
    runs = [
        ("one", history(evals=((0, 4.0), (10, 2.0)), step_ms=36e5, hardware=Hardware(device="NVIDIA H100", count=1))),
        ("eight", history(evals=((0, 4.0), (10, 2.0)), step_ms=9e5, hardware=Hardware(device="NVIDIA H100", count=8))),
    ]
    compared = compare_runs(runs, at=("val_loss", 3.0), usd_per_gpu_hour=2.0)
    assert row(compared, "gpu_hours").values == pytest.approx([5.0, 10.0])
    assert row(compared, "cost_usd").values == pytest.approx([10.0, 20.0])
    assert [row(compared, key).best for key in ("time", "gpu_hours", "cost_usd")] == [1, 0, 0]
    least = "with the least GPU-hours of training (5.00 h) and cost of training (10.00 USD)."
    assert f"one reached a validation loss of 3 {least}" in compared.verdict
    ends = compare_runs(runs, usd_per_gpu_hour=2.0)
    assert row(ends, "cost_usd").values == pytest.approx([20.0, 40.0])
    assert "cost_usd" not in {each.metric.key for each in compare_runs(runs).metrics}


def test_a_run_that_begins_below_the_target_leaves_nobody_first() -> None:
    runs = [("late", history(evals=((0, 4.0), (8, 2.0)))), ("early", history(evals=((4, 1.0), (8, 0.5))))]
    compared = compare_runs(runs, at=("val_loss", 2.5))
    assert [each.best for each in compared.metrics if each.metric.key in ("step", "tokens")] == [None, None]
    assert not any("the least" in sentence for sentence in compared.verdict)
    assert (
        "early is below a validation loss of 2.5 from its first evaluation on: when it reached it is unknown."
        in compared.verdict
    )


def test_a_run_without_bits_per_byte_is_not_called_one_without_a_loss() -> None:
    runs = [("a", history(evals=((4, 3.0), (8, 2.0)))), ("b", history(evals=((4, 3.0), (8, 2.0))))]
    assert "a has no evaluations with bits per byte." in compare_runs(runs, at=("bits_per_byte", 1.0)).verdict


def test_losses_of_different_tokens_have_no_first() -> None:
    shape = Architecture(name="1L", vocab_size=50_257)
    runs = [("a", history(evals=((0, 4.0), (8, 2.0)))), ("b", history(evals=((0, 4.0), (6, 2.0)), architecture=shape))]
    compared = compare_runs(runs, at=("val_loss", 2.5))
    assert row(compared, "step").best is None
    assert not any("the least" in sentence for sentence in compared.verdict)
    assert "not comparable" in compared.verdict[0]


def test_groups_come_to_a_loss_in_the_mean_of_their_runs() -> None:
    def member(name: str, lr: float, end: int) -> Member:
        return Member(name, history(evals=((0, 4.0), (end, 2.0)), config={"optim": {"lr": lr}}))

    members = [member("a", 0.1, 4), member("b", 0.1, 4), member("c", 0.2, 8), member("d", 0.2, 10)]
    steps = row(group_runs(members, "optim.lr", at=("val_loss", 2.0)), "step")
    assert (steps.values, steps.counts) == ([4.0, 9.0], [2, 2])
    # One run of the second group has not reached it, so its mean would be that of the better one.
    partly = group_runs([*members, Member("e", history(evals=((0, 4.0),), config={"optim": {"lr": 0.2}}))], "optim.lr",
                        at=("val_loss", 2.0))  # fmt: skip
    assert row(partly, "step").best is None
    assert any("e did not reach" in sentence for sentence in partly.verdict)


@given(st.lists(losses, min_size=2, max_size=4), st.floats(0.5, 10.0), st.randoms())
def test_the_order_of_the_runs_changes_no_sentence(
    curves: list[list[float]], target: float, shuffled: random.Random
) -> None:
    runs = [(f"run {number}", trained(values)) for number, values in enumerate(curves)]
    expected = compare_runs(runs, at=("loss", target)).verdict
    shuffled.shuffle(runs)
    assert compare_runs(runs, at=("loss", target)).verdict == expected


@given(losses, st.floats(0.5, 10.0))
def test_a_run_comes_to_a_loss_when_it_does_itself(values: list[float], target: float) -> None:
    made = trained(values)
    for each in compare_runs([("a", made), ("b", made)], at=("loss", target)).metrics:
        assert each.best is None
        value = each.values[1]
        assert each.deltas[1] == (None if value is None or not math.isfinite(value) else 0.0)
