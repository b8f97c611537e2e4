from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import history
from tuitrain.analysis.power_law import fit_scaling
from tuitrain.analysis.scaling import scaling
from tuitrain.analysis.summary import summarize
from tuitrain.events import Architecture, Eval
from tuitrain.runs import RunHistory


def law_of(*runs: RunHistory) -> list[str]:
    return scaling(runs, [summarize(run) for run in runs])[1]


def sized(flops: float, loss: float, **more: object) -> RunHistory:
    """1,000 tokens at so many FLOPs each."""
    return history(flops_per_token=flops, evals=((5, 9.0), (10, loss)), **more)  # type: ignore[arg-type]


def test_an_exact_law_is_found() -> None:
    flops = np.array([1e18, 1e19, 1e20, 1e21])
    law = fit_scaling(flops, 400 * flops**-0.1)
    assert (law.exponent, law.low, law.high, law.r2) == pytest.approx((0.1, 0.1, 0.1, 1.0))
    assert (law.k, law.from_flops, law.to_flops, law.runs) == (
        pytest.approx(400),
        pytest.approx(1e18),
        pytest.approx(1e21),
        4,
    )


def test_the_interval_by_hand() -> None:
    # log losses 1, 0.5, 0.2 at x = -1, 0, 1: slope -0.4, residuals 0.1/3, -0.2/3, 0.1/3; t of one degree is 12.706.
    law = fit_scaling(np.exp([-1.0, 0.0, 1.0]), np.exp([1.0, 0.5, 0.2]))
    half = 12.706 * math.sqrt((2 * (0.1 / 3) ** 2 + (0.2 / 3) ** 2) / 1 / 2)
    assert law.exponent == pytest.approx(0.4)
    assert (law.low, law.high) == pytest.approx((0.4 - half, 0.4 + half), rel=1e-4)


@given(st.integers(0, 10_000), st.sampled_from((4, 8)))
def test_fits_agree_with_numpy(seed: int, count: int) -> None:
    random_numbers = np.random.default_rng(seed)
    flops = 10 ** (np.linspace(17, 22, count) + random_numbers.uniform(-0.3, 0.3, count))
    losses = np.exp(random_numbers.normal(1.0, 0.3, count))
    law = fit_scaling(flops, losses)
    slope, intercept = np.polyfit(np.log(flops), np.log(losses), 1)
    assert law.exponent == pytest.approx(-slope, rel=1e-6, abs=1e-9)
    assert math.log(law.k) == pytest.approx(intercept, rel=1e-6, abs=1e-6)


def test_the_interval_covers_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 0.02, 5)
        flops = np.array([1e18, 3e18, 1e19, 5e19, 2e20])
        law = fit_scaling(flops, 50 * flops**-0.06 * np.exp(noise))
        covered += law.low <= 0.06 <= law.high
    assert 180 <= covered <= 199


def test_a_law_over_the_compute_at_the_newest_evaluations() -> None:
    (sentence,) = law_of(*(sized(flops, 4 * (flops / 1e6) ** -0.1) for flops in (1e6, 1e7, 1e8)))
    assert sentence.startswith(
        "The validation loss falls as a power of compute over 3 runs from 1.00e9 to 1.00e11 FLOP: the exponent is "
        "−0.100, 95 % interval −0.100 to −0.100, R² 1.000; ten times the compute lowers it by 20.6 % (20.6 % to "
        "20.6 %)."
    )


def test_without_evaluations_the_training_loss_counts() -> None:
    (sentence,) = law_of(
        *(history(flops_per_token=flops, loss=loss) for flops, loss in ((1e6, 4), (1e7, 3), (1e8, 2.5)))
    )
    assert "training loss falls" in sentence or "training loss does not fall reliably" in sentence


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([sized(1e6, 3.0), sized(1e7, 2.0), history(flops_per_token=None)], "three runs whose loss and compute"),
        ([sized(1e6, 3.0), sized(1e6, 2.9), sized(1e6, 3.1)], "their compute spans a factor of 1, and it takes 2"),
        ([sized(1e6, 3.0), sized(1e6, 2.9), sized(1e7, 2.0)], "only two different amounts of compute"),
        ([sized(1e6, 3.0), sized(1e7, 0.0), sized(1e8, 2.0)], "not a positive number"),
        ([sized(1e6, 3.0), sized(1e7, 2.5), sized(1e8, 2.0, architecture=Architecture(name="x", vocab_size=9))],
         "not comparable"),
        ([sized(1e6, 3.0), sized(1e7, 2.5), sized(1e8, 2.0, config={"data": {"source": "x", "tokenizer": "byte"}})],
         "different data"),
    ],
)  # fmt: skip
def test_degenerate_runs_have_no_law_and_a_reason(runs: list[RunHistory], reason: str) -> None:
    law, sentences = scaling(runs, [summarize(run) for run in runs])
    assert law is None
    assert len(sentences) == 1
    assert sentences[0].startswith("No power law")
    assert reason in sentences[0]


def test_fewer_than_three_runs_have_none_and_nothing_is_said() -> None:
    assert law_of(sized(1e6, 3.0), sized(1e8, 2.0)) == []


def test_a_loss_that_does_not_fall_is_said() -> None:
    (sentence,) = law_of(sized(1e6, 2.0), sized(1e7, 3.0), sized(1e8, 2.1))
    assert sentence.startswith("The validation loss does not fall reliably with compute")


@given(st.lists(st.tuples(st.floats(1e3, 1e12), st.floats(0.1, 10)), min_size=3, max_size=6), st.randoms())
def test_the_order_of_the_runs_changes_nothing(points: list[tuple[float, float]], shuffled: random.Random) -> None:
    expected = law_of(*(sized(*point) for point in points))
    shuffled.shuffle(points)
    assert law_of(*(sized(*point) for point in points)) == expected


def test_different_tokenizers_have_a_law_by_bits_per_byte() -> None:
    def run(vocabulary: int, flops: float, bits: float) -> RunHistory:
        made = history(flops_per_token=flops, architecture=Architecture(name="x", vocab_size=vocabulary))
        made.absorb([Eval(time=11.0, step=10, tokens=1000, loss=3.0, bits_per_byte=bits, text_fingerprint="text",
                          split_fingerprint=str(vocabulary))])  # fmt: skip
        return made

    runs = [run(size, flops, 2 * flops**-0.05) for size, flops in ((300, 1e6), (900, 1e7), (5000, 1e8))]
    law, (sentence,) = scaling(runs, [summarize(each) for each in runs])
    assert law is not None
    assert law.exponent == pytest.approx(0.05)
    assert sentence.startswith("The number of bits per byte falls as a power of compute")
