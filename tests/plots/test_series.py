"""Series that grow with a log have the values that are computed from the whole log."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tuitrain.analysis.series import x_at_steps
from tuitrain.analysis.smoothing import smooth
from tuitrain.analysis.summary import summarize
from tuitrain.events import Eval, Run, Step, System
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
    series = RunSeries(RunHistory())
    series.history.absorb([run()])
    for part in parts:
        series.history.absorb(part)
        series.of("loss", "time", 0.9), series.of("grad_mean", "clock", 0.9)
    return series


@pytest.mark.parametrize("cuts", [[1], [1, 2, 3], [50, 51, 400], [500]])
def test_a_grown_series_equals_one_built_at_once(cuts: list[int]) -> None:
    ends = [0, *cuts, 500]
    series = grown(*(records(a + 1, b) for a, b in pairwise(ends) if b > a))
    history = series.history
    for name in ("loss", "grad_mean"):
        steps, values = history.steps.series(name)
        for axis in ("step", "tokens", "time", "flops"):
            curve = series.of(name, axis, 0.9)
            np.testing.assert_allclose(curve.x, x_at_steps(history, axis, steps), rtol=1e-12)
            np.testing.assert_allclose(curve.y, smooth(values, 0.9), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(series.of("loss", "clock").x, history.steps["time"])


def test_the_mean_equals_that_of_the_summary() -> None:
    series = grown(records(1, 300), records(301, 500))
    summary = summarize(series.history)
    assert series.mean("mfu") == pytest.approx(summary.mean_mfu)
    assert series.mean("tokens_per_sec") == pytest.approx(summary.mean_tokens_per_sec)
    assert series.mean("tflops") is None


def test_a_series_continues_where_a_later_attempt_repeats_steps() -> None:
    series = grown(records(1, 50))
    before = series.of("loss", "step", 0.9)
    series.history.absorb(records(51, 60))
    np.testing.assert_array_equal(series.of("loss", "step", 0.9).y[:50], before.y)
    series.history.absorb(records(40, 45, seed=1))
    repeated = series.of("loss", "step", 0.9)
    assert len(repeated.x) == 45
    np.testing.assert_allclose(repeated.y, smooth(series.history.steps["loss"], 0.9), rtol=1e-6)


def test_every_column_of_a_log_has_a_series_under_its_name() -> None:
    series = grown(records(1, 20))
    series.history.steps.append_row({"step": 21.0, "tokens": 64.0 * 21, "router/entropy": 0.5})
    series.history.steps.append_row({"step": 22.0, "tokens": 64.0 * 22, "router/entropy": 0.7})
    series.history.absorb(
        [
            Eval(time=1050.0, step=22, loss=3.0),
            System(time=1051.0, host="a", gpus=[], cpu_percent=40.0, ram_used_gb=1.0),
        ]
    )
    for axis in ("step", "tokens"):
        curve = series.of("router/entropy", axis)
        assert curve.x.tolist() == [21 * (1 if axis == "step" else 64), 22 * (1 if axis == "step" else 64)]
        assert curve.y.tolist() == [0.5, 0.7]
    assert series.of("router/entropy", "step", 0.5).y.tolist() == pytest.approx([0.5, 0.63333333])
    assert series.of("val_loss", "step").y.tolist() == [3.0]
    assert series.of("cpu_percent", "clock").x.tolist() == [1051.0]
    assert not len(series.of("of nobody", "step").x)


def test_earlier_attempts_are_separate_series() -> None:
    series = grown(records(1, 50), records(31, 40, seed=1), records(21, 60, seed=2))
    (first, second), _ = series.superseded("loss", "step")
    assert (first.x[0], first.x[-1], second.x[0], second.x[-1]) == (31, 50, 21, 40)
    assert series.superseded("mfu", "tokens")[0][0].x[0] == 31 * 64


def test_a_clock_that_jumps_back_does_not_draw_backwards() -> None:
    steps = records(1, 20)
    steps[9].time -= 3600
    clock = grown(steps[:10], steps[10:]).of("loss", "clock")
    assert (np.diff(clock.x) >= 0).all()
