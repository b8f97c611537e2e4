"""What each panel shows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support import PINNED, run_record, step_record
from tests.tui.rich_run import REACHED, RESTART, STEPS, TOTAL, records, view
from tuitrain.analysis.metrics import METRICS
from tuitrain.config import load_config
from tuitrain.events import Eval, Step
from tuitrain.plots.axes import X_AXES, Range
from tuitrain.plots.model import ChartOptions, HeatMap, Plot
from tuitrain.plots.panels import PANELS, Panel, panel_of
from tuitrain.plots.panels.builders import short
from tuitrain.runs import Status
from tuitrain.tui.charts.drawing import draw
from tuitrain.tui.text import plain, width
from tuitrain.tui.view_state import ViewState


@pytest.fixture
def state() -> ViewState:
    """A live run with everything on the screen."""
    return ViewState([view(records())])


def plot_of(panel: str, state: ViewState) -> Plot:
    found = panel_of(panel).build(state)
    assert isinstance(found, Plot)
    return found


def names_of(plot: Plot) -> list[str]:
    return [curve.name for curve in plot.curves if curve.name]


def text_of(panel: Panel, state: ViewState, columns: int = 70, rows: int = 14) -> str:
    found = panel.build(state)
    lines = draw(found, columns, rows).lines
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
def test_what_a_run_does_not_report_is_explained(panel: str, reason: str) -> None:
    config = load_config("llama2-tiny", PINNED)
    said = [run_record(config, "a", at=0.0), *(step_record(config, step, at=float(step)) for step in (1, 2, 3))]
    text = text_of(panel_of(panel), ViewState([view(said)]), columns=90)
    assert reason in " ".join(text.replace("│", " ").split())


def test_a_live_run_says_how_its_loss_will_end(state: ViewState) -> None:
    found = plot_of("loss", state)
    assert any(name.startswith("ends at ") and "±" in name for name in names_of(found))
    dashed = [curve for curve in found.curves if curve.role == "level"]
    assert min(float(curve.x[0]) for curve in dashed) >= STEPS
    assert max(float(curve.x[-1]) for curve in dashed) <= TOTAL
    # What was measured keeps most of the room.
    assert max(float(curve.x[-1]) for curve in dashed) <= 1.5 * STEPS + 1


@pytest.mark.parametrize("axis", ["tokens", "time", "clock", "flops"])
def test_the_projection_goes_on_along_every_axis(state: ViewState, axis: str) -> None:
    state.x = axis  # type: ignore[assignment]
    found = plot_of("loss", state)
    now = max(float(curve.x[-1]) for curve in found.curves if curve.role == "run0")
    dashed = [curve for curve in found.curves if curve.role == "level"]
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


def test_no_plan_that_the_run_does_not_follow() -> None:
    said = records()
    for record in said:
        if isinstance(record, Step):
            record.lr = 1e-3
    assert "plan" not in names_of(plot_of("lr", ViewState([view(said)])))


def test_the_time_of_a_step_is_split(state: ViewState) -> None:
    state.smoothing = 0.0
    newest = {curve.name: float(curve.y[-1]) for curve in plot_of("step_time", state).curves}
    assert newest == {"step": 10.0, "compute": 7.0, "data": 1.0, "wait": 2.0}


def test_an_unknown_part_of_a_step_is_not_drawn() -> None:
    said = records(world_size=1)
    for record in said:
        if isinstance(record, Step):
            record.data_time_ms = None
    assert names_of(plot_of("step_time", ViewState([view(said)]))) == ["step"]
    split = plot_of("step_time", ViewState([view(records(world_size=1))]))
    assert [(curve.name, float(curve.y[-1])) for curve in split.curves] == [
        ("step", 10.0), ("compute", 9.0), ("data", 1.0),
    ]  # fmt: skip


def test_perplexity_and_update_ratio_are_what_they_say(state: ViewState) -> None:
    state.smoothing = 0.0
    perplexity = plot_of("perplexity", state)
    assert perplexity.curves[-1].y == pytest.approx(np.exp(state.runs[0].history.steps["loss"]))
    assert perplexity.points[0].y == pytest.approx([20.0] * 4)
    ratio = plot_of("update", state)
    assert ratio.curves[-1].y == pytest.approx(np.full(len(ratio.curves[-1].y), 1e-3))
    assert ratio.value == "1.00e-3"


def test_readings_of_the_machine(state: ViewState) -> None:
    power, heat = plot_of("gpu_power", state), plot_of("gpu_temp", state)
    assert power.value == "600 W"
    assert set(power.curves[-1].y) == {600.0}
    assert set(heat.curves[-1].y) == {61.0}
    assert "of 512 GB" in text_of(panel_of("ram"), state)


def test_what_a_later_attempt_did_again_lies_below(state: ViewState) -> None:
    first = plot_of("loss", state).curves[0]
    assert first.role == "superseded"
    assert (first.x[0], first.x[-1]) == (RESTART, REACHED)


def test_marks_say_what_happened(state: ViewState) -> None:
    marks = plot_of("mfu", state).markers
    assert [(mark.kind, mark.x) for mark in marks] == [
        ("eval", 100), ("checkpoint", 100), ("eval", 200), ("checkpoint", 200), ("eval", 300), ("checkpoint", 300),
        ("restart", 300), ("alert", 350), ("eval", 400), ("checkpoint", 400),
    ]  # fmt: skip
    assert {mark.text for mark in marks} >= {"attempt 2", "warning: Gradient norm 14.", "checkpoint"}
    # Where stars say the same there are no marks of evaluations.
    assert {mark.kind for mark in plot_of("loss", state).markers} == {"checkpoint", "restart", "alert"}
    state.x = "tokens"
    tokens = [mark.x for mark in plot_of("mfu", state).markers if mark.kind == "checkpoint"]
    per_step = load_config("llama2-tiny", PINNED).tokens_per_step
    assert tokens == pytest.approx([step * per_step for step in (100, 200, 300, 400)])


def test_many_evaluations_do_not_fill_a_chart_with_marks() -> None:
    said = [*records(), *(Eval(time=2000.0 + n, step=300 + n, loss=3.0) for n in range(100))]
    marks = plot_of("mfu", ViewState([view(said)])).markers
    assert [mark.x for mark in marks if mark.kind == "eval"] == [399]


def test_a_loss_that_leapt_once_is_an_outlier() -> None:
    said = records()
    next(record for record in said if isinstance(record, Step) and record.step == 200).loss = 250.0
    state = ViewState([view(said)])
    for panel in ("loss", "perplexity"):
        assert "1 above" in text_of(panel_of(panel), state)
    state.clip = False
    assert "above" not in text_of(panel_of("loss"), state)


def test_an_infinite_loss_is_not_also_marked_as_not_a_number() -> None:
    said = records()
    next(record for record in said if isinstance(record, Step) and record.step == 200).loss = math.inf
    for several in ((), (view(records(), index=1),)):
        text = text_of(panel_of("loss"), ViewState([view(said), *several]))
        assert "↑" in text
        assert "×" not in text


def test_a_machine_without_an_accelerator_has_no_memory_of_one() -> None:
    config = load_config("llama2-tiny", PINNED)
    said = [run_record(config, "a", at=0.0), step_record(config, 1, at=1.0)]
    assert "capacity" not in text_of(panel_of("gpu_memory"), ViewState([view(said)]), columns=90)


@pytest.mark.parametrize(("value", "text"), [(8.89e-3, "0.00889"), (2.47e-2, "0.0247"), (3.21e-4, "3.21e-4"), (0, "0")])
def test_a_mean_is_written_as_its_axis_is(value: float, text: str) -> None:
    assert short(value) == text


# The heat map.


def heat(values: list[list[float]]) -> HeatMap:
    x = np.arange(1.0, len(values) + 1)
    return HeatMap("map", x, np.array(values), tuple(f"r{row}" for row in range(len(values[0]))))


def cells_of(found: HeatMap, columns: int = 40, rows: int = 10, options: ChartOptions | None = None) -> list[str]:
    lines = draw(found, columns, rows, options=options).lines
    assert {width(line) for line in lines} == {columns}
    return [plain(line) for line in lines]


def test_larger_values_are_darker() -> None:
    rows = cells_of(heat([[1e-4, 1e-2, 1.0]] * 20))[1:-1]
    named = {row[1:4].strip(): row[4:-2] for row in rows if row[1:4].strip()}
    assert set(named["r0"].strip()) == {"·"}
    assert set(named["r2"].strip()) == {"█"}
    assert set(named["r1"].strip()) <= set("░▒▓")


def test_a_value_that_is_not_finite_is_seen() -> None:
    values = [[0.1, 1.0]] * 10 + [[math.nan, 1.0]] + [[0.1, 1.0]] * 10
    assert sum("×" in row for row in cells_of(heat(values), rows=4)) == 1


def test_every_block_is_in_sight_also_where_there_are_more_than_rows() -> None:
    values = [[0.01] * 50 for _ in range(20)]
    for at in range(20):
        values[at][33] = 5.0
    assert sum("█" in row for row in cells_of(heat(values), rows=8)[1:-1]) == 1


def test_the_crosshair_names_the_largest_block() -> None:
    top = cells_of(heat([[0.1, 2.5, 1.0]] * 20), columns=60, options=ChartOptions(crosshair=10.0))[0]
    assert "largest 2.5" in top
    assert "in r1" in top


@pytest.mark.parametrize("columns", [30, 40, 50, 66, 100])
def test_both_ends_of_the_scale_can_be_read(columns: int) -> None:
    found = replace(heat([[0.01, 1.0, 0.3]] * 20), title="gradient norm by block", value="largest 0.3 in 11")
    top = cells_of(found, columns=columns)[0]
    assert "0.01 ··░░▒▒▓█ 1 ╮" in top
    assert ("largest" in top) == (columns >= 66)


@pytest.mark.parametrize("size", [(8, 3), (9, 4), (20, 5), (200, 50), (1, 1), (0, 0)])
def test_a_heat_map_survives_every_size(size: tuple[int, int], state: ViewState) -> None:
    found = panel_of("layers").build(state)
    assert isinstance(found, HeatMap)
    for options in (
        ChartOptions(),
        ChartOptions(zoom=Range(100, 200)),
        ChartOptions(zoom=Range(5000, 6000)),
        ChartOptions(crosshair=5.0),
    ):
        lines = draw(found, *size, options=options).lines
        assert len(lines) == size[1]
