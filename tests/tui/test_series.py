"""Series that grow with a log have the values that are computed from the whole log."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tuitrain.analysis.series import x_at_steps
from tuitrain.analysis.smoothing import smooth
from tuitrain.analysis.summary import summarize
from tuitrain.events import Run, Step
from tuitrain.plots.series import RunSeries
from tuitrain.runs import RunHistory


def records(first: int, last: int, seed: int = 0) -> list[Step]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=last + 1).tolist()
    return [
        Step(
            time=1000.0 + 2 * step, step=step, tokens=64 * step, loss=2 + 5 / step + 0.1 * noise[step],
            tokens_per_sec=100 + noise[step], step_time_ms=640 - noise[step], mfu=0.4 + 0.01 * noise[step],
            grad_mean=noise[step] if step % 7 == 0 else None,
        )
        for step in range(first, last + 1)
    ]  # fmt: skip


def run() -> Run:
    return Run(time=1000.0, run_id="a", name="a", flops_per_token=1e6)


def grown(*parts: list[Step]) -> RunSeries:
    all_series = RunSeries(RunHistory())
    all_series.history.absorb([run()])
    for part in parts:
        all_series.history.absorb(part)
        all_series.of("loss", "time", 0.9), all_series.of("grad_mean", "clock", 0.9), all_series.mean("mfu")
    return all_series


@pytest.mark.parametrize("cuts", [[1], [1, 2, 3], [50, 51, 400], [500]])
def test_a_track_that_grew_is_the_one_made_at_once(cuts: list[int]) -> None:
    ends = [0, *cuts, 500]
    all_series = grown(*(records(a + 1, b) for a, b in pairwise(ends) if b > a))
    whole = all_series.history
    for key in ("loss", "grad_mean"):
        steps, values = whole.steps.series(key)
        for axis in ("step", "tokens", "time", "flops"):
            series = all_series.of(key, axis, 0.9)
            np.testing.assert_allclose(series.x, x_at_steps(whole, axis, steps), rtol=1e-12)
            np.testing.assert_allclose(series.y, smooth(values, 0.9), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(all_series.of("loss", "clock").x, whole.steps["time"])
    summary = summarize(whole)
    assert all_series.mean("mfu") == pytest.approx(summary.mean_mfu)
    assert all_series.mean("tokens_per_sec") == pytest.approx(summary.mean_tokens_per_sec)
    assert all_series.mean("tflops") is None


def test_the_identity_stays_while_a_track_only_grows_and_changes_when_it_does_not() -> None:
    all_series = grown(records(1, 50))
    before = all_series.of("loss", "step", 0.9)
    all_series.history.absorb(records(51, 60))
    after = all_series.of("loss", "step", 0.9)
    assert after.identity == before.identity
    np.testing.assert_array_equal(after.y[:50], before.y)
    all_series.history.absorb(records(40, 45, seed=1))
    cut = all_series.of("loss", "step", 0.9)
    assert cut.identity != before.identity
    assert len(cut.x) == 45
    np.testing.assert_allclose(cut.y, smooth(all_series.history.steps["loss"], 0.9), rtol=1e-6)


def test_earlier_attempts_are_tracks_of_their_own() -> None:
    all_series = grown(records(1, 50), records(31, 40, seed=1), records(21, 60, seed=2))
    (first, second), _ = all_series.superseded("loss", "step")
    assert (first.x[0], first.x[-1], second.x[0], second.x[-1]) == (31, 50, 21, 40)
    assert all_series.superseded("mfu", "tokens")[0][0].x[0] == 31 * 64


def test_a_clock_that_jumps_back_does_not_draw_backwards() -> None:
    steps = records(1, 20)
    steps[9].time -= 3600
    series = grown(steps[:10], steps[10:]).of("loss", "clock")
    assert (np.diff(series.x) >= 0).all()
