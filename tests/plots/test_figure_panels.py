"""The panels that figures alone have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.analysis.smoothing import mean_of_last
from tuitrain.events import Eval, Sample, Step
from tuitrain.plots.figures import FIGURES, contents, figure_names, find_figure
from tuitrain.plots.model import Plot, TextTable
from tuitrain.plots.panels.figures import loss_accuracy, moving_average, recent, samples
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.runs import RunHistory


def request_of(*histories: RunHistory) -> PlotRequest:
    return PlotRequest([PlotRun(index, history=each) for index, each in enumerate(histories)], for_figure=True)


def trained(steps: int = 400, every: int = 1) -> RunHistory:
    history = RunHistory()
    history.absorb(
        Step(step=step, tokens=10 * step, loss=2 + 8 / step, accuracy=0.5 - 0.4 / step, step_time_ms=100.0,
             data_time_ms=10.0, rank_skew_ms=5.0)
        for step in range(every, steps + 1, every)
    )  # fmt: skip
    history.absorb([Eval(step=steps, loss=2.5, accuracy=0.4)])
    return history


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.one_of(st.floats(-1e6, 1e6), st.sampled_from([float("nan"), float("inf")]))),
        max_size=60,
    ),
    st.integers(1, 80),
)
def test_the_mean_of_the_last_steps_equals_a_plain_one(rows: list[tuple[int, float]], count: int) -> None:
    steps = np.cumsum([gap for gap, _ in rows]).astype(float)
    values = np.array([value for _, value in rows], dtype=float)
    means = mean_of_last(steps, values, count)
    for at, mean in enumerate(means):
        window = [
            y for x, y in zip(steps, values, strict=True) if steps[at] - count < x <= steps[at] and np.isfinite(y)
        ]
        if np.isfinite(values[at]):
            assert mean == pytest.approx(sum(window) / len(window), rel=1e-9, abs=1e-6)
        else:
            assert np.isnan(mean)


def test_a_spike_leaves_no_trace_after_the_window() -> None:
    steps, values = np.arange(1.0, 301.0), np.full(300, 3.0)
    values[100] = 1e15
    assert mean_of_last(steps, values, 50)[200] == 3.0


def test_the_window_counts_steps_and_not_records() -> None:
    (raw, mean) = moving_average(request_of(trained(400, every=10))).curves
    assert mean.name == "mean of 50 steps"
    last = raw.y[-5:]
    assert mean.y[-1] == pytest.approx(last.mean())


def test_the_moving_average_follows_any_axis() -> None:
    request = request_of(trained())
    request.x = "tokens"
    raw, mean = moving_average(request).curves
    assert (mean.x == raw.x).all()
    assert mean.x[-1] == 4000


def test_the_newest_part_is_the_last_tenth_or_a_hundred_records() -> None:
    for steps, first in ((5000, 4500), (400, 301)):
        plot = recent(request_of(trained(steps)))
        assert min(float(curve.x[0]) for curve in plot.curves) == pytest.approx(first, abs=1)
        assert plot.curves[-1].x[-1] == steps
    assert not recent(request_of(RunHistory())).has_data


def test_accuracy_is_drawn_over_the_loss() -> None:
    plot = loss_accuracy(request_of(trained()))
    training, validation = plot.points
    assert plot.x_axis == "loss"
    assert (np.diff(training.x) >= 0).all()
    at = int(np.flatnonzero(training.shade == 8)[0])  # type: ignore[arg-type]
    assert (training.x[at], training.y[at]) == pytest.approx((3.0, 45.0))
    assert (validation.x.tolist(), validation.y.tolist()) == ([2.5], [40.0])


def test_losses_beyond_the_range_of_their_chart_are_counted() -> None:
    history = trained()
    history.absorb([Step(step=401, loss=1e9, accuracy=0.1)])
    plot = loss_accuracy(request_of(history))
    drawn = plot.points[0].x
    assert plot.notes == (f"{401 - len(drawn)} records lie beyond the range",)
    assert 300 < len(drawn) < 401
    assert drawn.max() < 10


def test_the_parts_of_a_step_add_up() -> None:
    (plot,) = contents(request_of(trained()), find_figure("step_time", []))
    assert isinstance(plot, Plot)
    assert plot.stacked
    assert [(curve.name, float(curve.y[-1])) for curve in plot.curves] == [
        ("compute", pytest.approx(85)), ("data", pytest.approx(95)), ("wait", pytest.approx(100)),
    ]  # fmt: skip


def test_the_table_of_texts_has_the_first_and_the_newest() -> None:
    history = RunHistory()
    history.absorb([Step(step=1, loss=1.0), *(Sample(step=n, prompt="a", text=f"b\x1b[31m{n}") for n in range(1, 31))])
    table = samples(request_of(history))
    assert len(table.rows) == 8
    assert table.rows[0] == ("1", "a", "b1")
    assert table.rows[-1] == ("30", "a", "b30")
    assert isinstance(samples(request_of(trained())), TextTable)
    assert "sampling.interval" in samples(request_of(trained())).empty


def test_every_figure_can_be_built_of_any_run() -> None:
    history = RunHistory()
    history.absorb([Step(step=1)])
    for histories in ([trained()], [trained(), trained(20)], [history], [trained(), history]):
        for name in figure_names():
            figure = find_figure(name, histories)
            assert len(contents(request_of(*histories), figure)) == len(figure.panels)


def test_a_log_with_metrics_of_its_own_fills_the_places_without_data() -> None:
    history = RunHistory()
    history.absorb(Step(step=step, loss=1 / step, metrics={"reward": step / 10}) for step in range(1, 9))
    titles = [part.title for part in contents(request_of(history), FIGURES[0])]
    assert titles == ["loss", "reward"]


def test_a_metric_that_is_called_like_a_panel_does_not_replace_it() -> None:
    history = trained()
    history.absorb([Step(step=401, loss=1.0, metrics={"memory": 7.0})])
    titles = [part.title for part in contents(request_of(history), FIGURES[0])]
    assert titles[0] == "loss"
    assert "tokens" in titles
