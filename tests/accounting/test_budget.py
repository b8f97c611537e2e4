"""Time to a token budget."""

from __future__ import annotations

import pytest

from tuitrain.accounting import time_to_budget


def test_the_time_to_a_budget_follows_from_the_throughput() -> None:
    # 10 GFLOP a token at half of 1,000 TFLOP/s on two devices: 100,000 tokens/s; 3.6e8 tokens take an hour.
    cost = time_to_budget(360_000_000, 10e9, peak_tflops=1000, mfu=0.5, gpus=2)
    assert cost.tokens_per_sec == pytest.approx(100_000)
    assert cost.seconds == pytest.approx(3600)
    assert cost.gpu_hours == pytest.approx(2.0)


def test_more_devices_take_less_time_and_as_many_hours() -> None:
    one, eight = (time_to_budget(10**9, 1e9, peak_tflops=312, mfu=0.4, gpus=n) for n in (1, 8))
    assert eight.seconds == pytest.approx(one.seconds / 8)
    assert eight.gpu_hours == pytest.approx(one.gpu_hours)
