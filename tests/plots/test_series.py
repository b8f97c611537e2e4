"""Series that grow with a log have the values that are computed from the whole log."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tuitrain.analysis.series import x_at_steps
from tuitrain.analysis.smoothing import smooth
from tuitrain.analysis.summary import summarize
from tuitrain.events import Eval, Run, Step, System
from tuitrain.plots.panels.catalog import plot_of
from tuitrain.plots.request import PlotRequest, PlotRun
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


def over_epochs(*values: tuple[float | None, float | None], **changes: Any) -> RunSeries:
    """A run whose `kl` and validation are drawn over `epoch`; values: of both metrics at each step, from 1 on."""
    series = RunSeries(RunHistory())
    axes = {"kl": "epoch", "val_loss": "epoch", "lost": "nowhere", "clocked": "clock", **changes}
    series.history.absorb([Run(time=0.0, run_id="a", name="a", x_axes=axes)])
    for step, (epoch, kl) in enumerate(values, start=1):
        series.history.absorb([Step(time=float(step), step=step, loss=2.0, metrics={"epoch": epoch, "kl": kl})])
    series.history.absorb([Eval(time=9.0, step=2, loss=3.0), Eval(time=9.5, step=4, loss=2.5)])
    return series


def test_a_metric_is_drawn_over_the_one_that_the_log_names() -> None:
    series = over_epochs((None, 9.0), (0.5, 1.0), (None, 2.0), (1.5, 3.0))
    assert [series.axis_of(name) for name in ("kl", "val_loss", "loss", "lost", "clocked")] == (
        ["epoch", "epoch", "step", "step", "step"]
    )
    drawn = series.of("kl", "epoch")
    assert (drawn.x.tolist(), drawn.y.tolist()) == ([0.5, 0.5, 1.5], [1.0, 2.0, 3.0])
    points = series.of("val_loss", "epoch")
    assert (points.x.tolist(), points.y.tolist()) == ([0.5, 1.5], [3.0, 2.5])


def test_a_metric_that_falls_is_an_axis_too() -> None:
    drawn = over_epochs((3.0, 1.0), (2.0, 2.0), (2.5, 3.0)).of("kl", "epoch")
    assert (drawn.x.tolist(), drawn.y.tolist()) == ([2.0, 2.5, 3.0], [2.0, 3.0, 1.0])


def test_a_panel_has_that_axis_where_all_that_it_shows_has_it() -> None:
    run = PlotRun(0, history=over_epochs((0.5, 1.0), (1.0, 2.0)).history, loaded=True)
    request = PlotRequest([run])

    def axis(panel: str, request: PlotRequest) -> str:
        return plot_of(request, panel).x_axis

    assert [axis(panel, request) for panel in ("kl", "val_loss", "loss", "epoch")] == ["epoch", "epoch", "step", "step"]
    assert axis("kl", replace(request, x="clock")) == "clock"
    other = PlotRun(1, history=over_epochs((0.5, 1.0), kl="step").history, loaded=True)
    assert axis("kl", PlotRequest([run, other])) == "step"
    assert axis("val_loss", PlotRequest([run, other])) == "epoch"
