"""The stateless order: a bijection of any size, different for each seed and epoch, and mixed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain_engine.data.permutation import Permutation


@given(n=st.integers(1, 5000), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 10**6))
def test_every_index_occurs_exactly_once(n: int, seed: int, epoch: int) -> None:
    indices = Permutation(n, seed, epoch)(np.arange(n))
    assert np.array_equal(np.sort(indices), np.arange(n))


@pytest.mark.parametrize("n", [2**40 + 1, 2**62])
def test_a_huge_range_needs_no_memory(n: int) -> None:
    indices = Permutation(n, seed=1)(np.arange(10_000))
    assert len(np.unique(indices)) == 10_000
    assert ((indices >= 0) & (indices < n)).all()
    assert abs(indices.mean() / n - 0.5) < 0.02


def test_one_at_a_time_is_the_same_as_all_at_once() -> None:
    permutation = Permutation(1000, seed=3, epoch=2)
    together = permutation(np.arange(1000))
    assert [int(permutation(np.array([index]))[0]) for index in range(0, 1000, 37)] == together[::37].tolist()


def test_seeds_and_epochs_differ() -> None:
    orders = {tuple(Permutation(50, seed, epoch)(np.arange(50)).tolist()) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


@pytest.mark.parametrize("n", [64, 1000])
def test_the_order_is_mixed(n: int) -> None:
    # Over many seeds each index is equally likely at each position: chi-squared, 49 degrees of freedom.
    counts = np.zeros((8, 8))
    positions = np.arange(n) * 8 // n
    for seed in range(400):
        np.add.at(counts, (positions, Permutation(n, seed)(np.arange(n)) * 8 // n), 1)
    expected = 400 * n / 64
    assert ((counts - expected) ** 2 / expected).sum() < 100


def test_an_empty_range_has_no_order() -> None:
    with pytest.raises(ValueError, match="from 1 to"):
        Permutation(0, seed=1)
