"""The content of each panel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support import PINNED, run_record, step_record
from tests.tui.rich_run import REACHED, RESTART, STEPS, TOTAL, records, view
from tuitrain.analysis.metrics import METRICS
from tuitrain.config import load_config
from tuitrain.events import Eval, Step
from tuitrain.plots.axes import X_AXES
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import Plot
from tuitrain.plots.panels import PANELS, Panel, panel_of, recorded_metrics
from tuitrain.plots.panels.builders import short
from tuitrain.runs import Status
from tuitrain.tui.frame import view_of
from tuitrain.tui.text import plain, width
from tuitrain.tui.view_state import ViewState


@pytest.fixture
def state() -> ViewState:
    """A live run with everything on the screen."""
    return ViewState([view(records())])


def plot_of(panel: str, state: ViewState) -> Plot:
    plot = panel_of(panel).build(state)
    assert isinstance(plot, Plot)
    return plot


def names_of(plot: Plot) -> list[str]:
    return [curve.name for curve in plot.curves if curve.name]


def text_of(panel: Panel, state: ViewState, columns: int = 70, rows: int = 14) -> str:
    plot = panel.build(state)
    lines = draw(plot, columns, rows).lines
    assert len(lines) == rows
    assert {width(line) for line in lines} == {columns}
    return "\n".join(map(plain, lines))


def test_every_metric_of_a_panel_has_its_panel() -> None:
    assert {metric.panel for metric in METRICS if metric.panel} == {panel.id for panel in PANELS} - {"layers"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.id)
def test_every_panel_shows_a_run_that_reports_everything(panel: Panel, state: ViewState) -> None:
    for axis in X_AXES:
        state.x = axis
        text = text_of(panel, state)
        assert "n/a" not in text
        assert "no data" not in text


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.id)
def test_every_panel_shows_several_runs_and_none(panel: Panel) -> None:
    several = ViewState([view(records(), index=0), view(records(world_size=1, gpus=0), Status.COMPLETED, index=1)])
    assert "no data" not in text_of(panel, several)
    assert "no data yet" in text_of(panel, ViewState())
    assert "no data yet" in text_of(panel, ViewState([view([])]))


@pytest.mark.parametrize(
    ("panel", "reason"),
    [
        ("gpu_util", "n/a: this run has no accelerator"),
        ("gpu_power", "n/a: this run has no accelerator"),
        ("gpu_memory", "n/a: this run has no accelerator"),
        ("cpu", "n/a: this run has no readings of its machine"),
        ("ranks", "n/a: this run has one process, which waits for no other"),
        ("grad_stats", "set telemetry.grad_stats_interval"),
        ("update", "set telemetry.grad_stats_interval"),
        ("layers", "set telemetry.grad_stats_interval"),
    ],
)
def test_a_metric_that_a_run_does_not_report_has_a_reason(panel: str, reason: str) -> None:
    config = load_config("llama2-tiny", PINNED)
    log = [run_record(config, "a", at=0.0), *(step_record(config, step, at=float(step)) for step in (1, 2, 3))]
    text = text_of(panel_of(panel), ViewState([view(log)]), columns=90)
    assert reason in " ".join(text.replace("│", " ").split())


def test_the_loss_of_a_live_run_is_projected_to_its_end(state: ViewState) -> None:
    plot = plot_of("loss", state)
    assert any(name.startswith("ends at ") and "±" in name for name in names_of(plot))
    dashed = [curve for curve in plot.curves if curve.role == "level"]
    assert min(float(curve.x[0]) for curve in dashed) >= STEPS
    assert max(float(curve.x[-1]) for curve in dashed) <= TOTAL
    # The measured steps keep most of the width.
    assert max(float(curve.x[-1]) for curve in dashed) <= 1.5 * STEPS + 1


@pytest.mark.parametrize("axis", ["tokens", "time", "clock", "flops"])
def test_the_projection_is_drawn_over_every_axis(state: ViewState, axis: str) -> None:
    state.x = axis  # type: ignore[assignment]
    plot = plot_of("loss", state)
    now = max(float(curve.x[-1]) for curve in plot.curves if curve.role == "run0")
    dashed = [curve for curve in plot.curves if curve.role == "level"]
    assert dashed
    assert all(float(curve.x[0]) > now for curve in dashed[1:])


def test_a_finished_run_is_not_projected() -> None:
    state = ViewState([view(records(), Status.COMPLETED)])
    assert not any("ends at" in name for name in names_of(plot_of("loss", state)))


def test_the_plan_of_the_learning_rate_goes_to_the_end(state: ViewState) -> None:
    plan = next(curve for curve in plot_of("lr", state).curves if curve.name == "plan")
    assert (plan.x[0], plan.x[-1]) == (1, TOTAL)
    steps, measured = state.runs[0].history.steps.series("lr")
    assert np.interp(steps, plan.x, plan.y) == pytest.approx(measured, rel=0.02)


def test_a_plan_that_the_run_does_not_follow_is_not_drawn() -> None:
    log = records()
    for record in log:
        if isinstance(record, Step):
            record.lr = 1e-3
    assert "plan" not in names_of(plot_of("lr", ViewState([view(log)])))


def test_the_time_of_a_step_is_split(state: ViewState) -> None:
    state.smoothing = 0.0
    newest = {curve.name: float(curve.y[-1]) for curve in plot_of("step_time", state).curves}
    assert newest == {"step": 10.0, "compute": 7.0, "data": 1.0, "wait": 2.0}


def test_an_unknown_part_of_a_step_is_not_drawn() -> None:
    log = records(world_size=1)
    for record in log:
        if isinstance(record, Step):
            record.data_time_ms = None
    assert names_of(plot_of("step_time", ViewState([view(log)]))) == ["step"]
    split = plot_of("step_time", ViewState([view(records(world_size=1))]))
    assert [(curve.name, float(curve.y[-1])) for curve in split.curves] == [
        ("step", 10.0), ("compute", 9.0), ("data", 1.0),
    ]  # fmt: skip


def test_perplexity_and_update_ratio_have_their_values(state: ViewState) -> None:
    state.smoothing = 0.0
    perplexity = plot_of("perplexity", state)
    assert perplexity.curves[-1].y == pytest.approx(np.exp(state.runs[0].history.steps["loss"]))
    assert perplexity.points[0].y == pytest.approx([20.0] * 4)
    ratio = plot_of("update", state)
    assert ratio.curves[-1].y == pytest.approx(np.full(len(ratio.curves[-1].y), 1e-3))
    assert ratio.value == "1.00e-3"


def test_readings_of_the_machine_are_drawn(state: ViewState) -> None:
    power, heat = plot_of("gpu_power", state), plot_of("gpu_temp", state)
    assert power.value == "600 W"
    assert set(power.curves[-1].y) == {600.0}
    assert set(heat.curves[-1].y) == {61.0}
    assert "of 512 GB" in text_of(panel_of("ram"), state)


def test_superseded_steps_are_drawn_below(state: ViewState) -> None:
    first = plot_of("loss", state).curves[0]
    assert first.role == "superseded"
    assert (first.x[0], first.x[-1]) == (RESTART, REACHED)


def test_events_are_markers_on_the_axis(state: ViewState) -> None:
    markers = plot_of("mfu", state).markers
    assert [(marker.kind, marker.x) for marker in markers] == [
        ("eval", 100), ("checkpoint", 100), ("eval", 200), ("checkpoint", 200), ("eval", 300), ("checkpoint", 300),
        ("restart", 300), ("alert", 350), ("eval", 400), ("checkpoint", 400),
    ]  # fmt: skip
    assert {marker.text for marker in markers} >= {"attempt 2", "warning: Gradient norm 14.", "checkpoint"}
    # Evaluations drawn as points have no markers.
    assert {marker.kind for marker in plot_of("loss", state).markers} == {"checkpoint", "restart", "alert"}
    state.x = "tokens"
    tokens = [marker.x for marker in plot_of("mfu", state).markers if marker.kind == "checkpoint"]
    per_step = load_config("llama2-tiny", PINNED).tokens_per_step
    assert tokens == pytest.approx([step * per_step for step in (100, 200, 300, 400)])


def test_many_evaluations_do_not_fill_a_chart_with_marks() -> None:
    log = [*records(), *(Eval(time=2000.0 + n, step=300 + n, loss=3.0) for n in range(100))]
    markers = plot_of("mfu", ViewState([view(log)])).markers
    assert [marker.x for marker in markers if marker.kind == "eval"] == [399]


def test_a_single_high_loss_is_an_outlier() -> None:
    log = records()
    next(record for record in log if isinstance(record, Step) and record.step == 200).loss = 250.0
    state = ViewState([view(log)])
    for panel in ("loss", "perplexity"):
        assert "1 above" in text_of(panel_of(panel), state)
    state.clip = False
    assert "above" not in text_of(panel_of("loss"), state)


def test_an_infinite_loss_is_not_also_marked_as_not_a_number() -> None:
    log = records()
    next(record for record in log if isinstance(record, Step) and record.step == 200).loss = math.inf
    for several in ((), (view(records(), index=1),)):
        text = text_of(panel_of("loss"), ViewState([view(log), *several]))
        assert "↑" in text
        assert "×" not in text


def test_a_machine_without_an_accelerator_has_no_accelerator_memory() -> None:
    config = load_config("llama2-tiny", PINNED)
    log = [run_record(config, "a", at=0.0), step_record(config, 1, at=1.0)]
    assert "capacity" not in text_of(panel_of("gpu_memory"), ViewState([view(log)]), columns=90)


@pytest.mark.parametrize(("value", "text"), [(8.89e-3, "0.00889"), (2.47e-2, "0.0247"), (3.21e-4, "3.21e-4"), (0, "0")])
def test_a_mean_is_formatted_like_its_axis(value: float, text: str) -> None:
    assert short(value) == text


def test_an_undeclared_metric_has_a_panel() -> None:
    history = view(records()).history
    for step, value in ((401.0, 0.5), (402.0, 0.7), (403.0, 0.6)):
        history.steps.append_row({"step": step, "router/entropy": value})
    state = ViewState([view_of(history, 0)], smoothing=0.9)
    chart = plot_of("router/entropy", state)
    assert (chart.title, chart.value, chart.metric, chart.log) == ("router/entropy", "0.6", "router/entropy", False)
    assert [(curve.name, len(curve.x)) for curve in chart.curves] == [("raw", 3), ("smooth 0.9", 3)]
    assert chart.curves[0].y.tolist() == [0.5, 0.7, 0.6]
    assert "router/entropy" in recorded_metrics([history])
    assert "no data" in text_of(panel_of("of nobody"), state)


def test_a_declared_metric_has_a_panel_of_its_own() -> None:
    state = ViewState([view(records())])
    assert plot_of("mem_reserved_gb", state).title == "memory reserved"
    assert plot_of("data_time_ms", state).value == "1.00 ms"
    assert panel_of("compute_time_ms") is panel_of("step_time")
