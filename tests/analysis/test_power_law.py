"""The projected final loss: against known laws, and against a real run that has ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tuitrain.analysis.power_law import project_loss
from tuitrain.runs import FloatArray

NOISE = 0.06


def curve(count: int, a: float = 2.0, b: float = 8.0, c: float = 0.45, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Steps from 1 and a + b t^(-c) with noise."""
    steps = np.arange(1.0, count + 1)
    return steps, a + b * steps**-c + np.random.default_rng(seed).normal(0, NOISE, count)


@pytest.mark.parametrize(("a", "b", "c"), [(2.0, 8.0, 0.45), (1.7, 5.0, 0.3), (2.5, 20.0, 0.8), (0.5, 9.0, 0.12)])
@pytest.mark.parametrize(("count", "end"), [(1000, 3000), (5000, 10_000), (4000, 40_000)])
def test_the_projection_recovers_a_given_law(a: float, b: float, c: float, count: int, end: int) -> None:
    true = a + b * end**-c
    projections = [project_loss(*curve(count, a, b, c, seed), end, warmup=30) for seed in range(10)]
    known = [each for each in projections if each is not None]
    assert len(known) == 10
    assert all(abs(each.value - true) < 0.03 * true for each in known)
    assert all(each.low <= each.value <= each.high for each in known)
    # The interval holds about 80 %.
    assert sum(each.low <= true <= each.high for each in known) >= 6


def test_a_longer_run_has_a_narrower_projection() -> None:
    short, long = (project_loss(*curve(count), 20_000) for count in (2000, 16_000))
    assert short is not None
    assert long is not None
    assert long.margin < short.margin / 2


def test_the_projection_continues_from_the_last_steps() -> None:
    projection = project_loss(*curve(3000), 6000)
    assert projection is not None
    assert projection.at(np.array([3000.0, 6000.0])) == pytest.approx([2 + 8 * 3000**-0.45, projection.value], abs=0.02)
    assert np.all(np.diff(projection.at(np.linspace(3000, 6000, 50))) < 0)


def test_the_same_records_give_the_same_projection() -> None:
    assert project_loss(*curve(3000), 6000) == project_loss(*curve(3000), 6000)


def test_spikes_and_values_that_are_not_finite_change_little() -> None:
    steps, losses = curve(3000)
    calm = project_loss(steps, losses, 6000)
    losses[[100, 900, 2200]] += 40
    losses[[400, 1500]] = np.nan
    losses[2500] = np.inf
    wild = project_loss(steps, losses, 6000)
    assert calm is not None
    assert wild is not None
    assert wild.value == pytest.approx(calm.value, abs=0.01)


def test_the_warmup_is_left_out() -> None:
    steps, losses = curve(3000)
    losses[:200] = 11.0
    projection = project_loss(steps, losses, 6000, warmup=200)
    assert projection is not None
    assert projection.value == pytest.approx(2 + 8 * 6000**-0.45, abs=0.03)


@pytest.mark.parametrize(
    ("steps", "losses", "end"),
    [
        pytest.param(*curve(40), 1000, id="too few records"),
        pytest.param(*curve(3000), 3000, id="at its end"),
        pytest.param(*curve(3000), 100_000, id="the end too far away"),
        pytest.param(*(part[2000:] for part in curve(3000)), 6000, id="too short a part of the run"),
        pytest.param(curve(3000)[0], curve(3000, b=0.0)[1], 6000, id="a loss that does not fall"),
        pytest.param(np.arange(1.0, 3001), np.full(3000, 2.5), 6000, id="a loss that stands still"),
        pytest.param(np.arange(1.0, 3001), np.linspace(2, 5, 3000), 6000, id="a loss that rises"),
        pytest.param(curve(3000)[0], curve(3000)[1] + np.linspace(-1, 1, 3000).clip(0) * 3, 6000, id="divergence"),
        pytest.param(np.arange(1.0, 3001), np.full(3000, np.nan), 6000, id="nan"),
        pytest.param(np.empty(0), np.empty(0), 6000, id="nothing"),
    ],
)
def test_insufficient_records_give_no_projection(steps: FloatArray, losses: FloatArray, end: int) -> None:
    assert project_loss(steps, losses, end) is None


@pytest.mark.parametrize(("share", "off"), [(0.5, 0.09), (0.7, 0.05), (0.9, 0.02)])
def test_a_real_run_ends_near_its_projection(share: float, off: float) -> None:
    """llama2-tiny for 1,500 steps: its learning rate falls to a tenth, so the loss ends a little below the law."""
    text = (Path(__file__).parent / "real_losses.txt").read_text(encoding="utf-8")
    losses = np.array(text.split(), dtype=np.float64)
    steps = np.arange(1.0, len(losses) + 1)
    snapshot = int(share * len(steps))
    projection = project_loss(steps[:snapshot], losses[:snapshot], len(steps), warmup=30)
    end = losses[-50:].mean()
    assert projection is not None
    assert projection.value == pytest.approx(end, abs=off)
    # Closer than the assumption that the loss stays constant.
    assert abs(projection.value - end) < abs(losses[snapshot - 50 : snapshot].mean() - end)
