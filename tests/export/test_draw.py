"""A plot on matplotlib's axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from tests.support import PINNED, run_record, step_record
from tuitrain.analysis.smoothing import CENTRED, centred_window, smooth_centred
from tuitrain.config import load_config
from tuitrain.events import Eval, Step
from tuitrain.export.draw import PIXEL_COLUMNS, draw
from tuitrain.export.figures import panel_figure
from tuitrain.export.style import BLUE, VERMILLION, figure_style, tick_label
from tuitrain.plots.axes import X_AXES, Range
from tuitrain.plots.charts.drawing import draw as draw_in_terminal
from tuitrain.plots.limits import limits
from tuitrain.plots.model import ChartOptions, Curve, HeatMap, Level, Marker, Plot, Points
from tuitrain.plots.panels import panel_of
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.runs import RunHistory
from tuitrain.tui.text import plain

STEPS = np.arange(1.0, 101.0)
LOSS = Plot(
    "loss",
    curves=(
        Curve(STEPS, 10 / STEPS, "run0.faint", "raw"),
        Curve(STEPS, 9 / STEPS, "run0", "smooth 0.9", smoothing=0.9),
    ),
    points=(Points(np.array([25.0, 50.0]), np.array([2.0, 1.5]), "val", "validation"),),
    levels=(Level(1.0, "level", "target"),),
    markers=(Marker(60.0, "restart", ""), Marker(70.0, "alert", ""), Marker(500.0, "eval", "")),
    metric="loss",
    growing=False,
)


@pytest.fixture(autouse=True)
def _our_style() -> Iterator[None]:
    with figure_style():
        yield


def drawn(plot: Plot | HeatMap, options: ChartOptions | None = None) -> Axes:
    return panel_figure(plot, (7.6, 4.4), options).axes[0]


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def one_curve(y: np.ndarray, **more: object) -> Plot:
    curve = Curve(np.arange(1.0, len(y) + 1), y, "run0")
    return Plot("loss", curves=(curve,), metric="loss", growing=False, **more)  # type: ignore[arg-type]


def test_curves_stars_levels_and_events_are_shown() -> None:
    axes = drawn(LOSS)
    faint, strong = axes.get_lines()[:2]
    assert (faint.get_alpha(), strong.get_alpha()) == (0.35, None)
    assert to_rgb(strong.get_color()) == to_rgb(BLUE)
    assert np.array_equal(strong.get_ydata(), 9 / STEPS)
    assert to_rgb(axes.collections[0].get_facecolor()[0]) == pytest.approx(to_rgb(VERMILLION))
    assert legend_of(axes) == ["raw", "smooth 0.9", "validation", "target", "resumed", "alert"]


def request_of(count: int, **options: object) -> PlotRequest:
    config = load_config("llama2-tiny", PINNED)
    runs = []
    for index in range(count):
        history = RunHistory()
        history.absorb([run_record(config, f"run{index}", at=0.0)])
        records = [step_record(config, step, at=float(step), floor=2.0 + index) for step in range(1, 301)]
        records[150].loss, records[200].tokens_per_sec = 90.0, 1e4
        history.absorb(records)
        history.absorb([Eval(time=300.0, step=300, loss=2.5 + index)])
        runs.append(PlotRun(index, history=history))
    return PlotRequest(runs, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("panel", ["loss", "mfu", "throughput", "memory", "grad_norm", "tokens", "val_loss"])
@pytest.mark.parametrize(
    ("count", "options"),
    [
        (1, {}),
        (1, {"smoothing": CENTRED, "for_figure": True}),
        (2, {"clip": False}),
        (2, {"log": True}),
        (1, {"zoom": Range(100.0, 250.0)}),
    ],
)
def test_the_limits_equal_those_of_the_terminal_chart(panel: str, count: int, options: dict[str, object]) -> None:
    request = request_of(count, **options)
    plot, look = panel_of(panel).build(request), ChartOptions(zoom=request.zoom)
    assert isinstance(plot, Plot)
    shown = limits(plot, look)
    # A line at the end of the range is not cut in half.
    room = 0.015 * shown.y.span
    bounds = Range(shown.y.low - room, shown.y.high + room).values(plot.log)
    axes = drawn(plot, look)
    assert axes.get_ylim() == pytest.approx((bounds.low, bounds.high))
    # Both state the same number of outliers.
    chart = "\n".join(map(plain, draw_in_terminal(plot, 120, 20, options=look).lines))
    figure = "\n".join(text.get_text() for text in axes.texts)
    for side, points in (("above", shown.above), ("below", shown.below)):
        assert (f"{points} {side}" in chart) == bool(points)
        assert (f"{side} the range" in figure) == bool(points)


def test_zoom_and_logarithms() -> None:
    axes = drawn(replace(LOSS, log=True), ChartOptions(zoom=Range(20.0, 60.0), log_x=True))
    assert axes.get_xlim() == pytest.approx((20.0, 60.0))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    # The visible points, and the next one, to which the line continues.
    assert len(axes.get_lines()[0].get_xdata()) == 42


def test_outliers_are_left_out_and_counted() -> None:
    axes = drawn(one_curve(np.where(np.arange(1000) == 500, 1e6, 5.0), clip=True))
    assert axes.get_ylim()[1] < 10
    assert [text.get_text() for text in axes.texts] == ["1 point above the range"]


def test_values_that_are_not_finite_are_marked_once() -> None:
    bad = np.where(STEPS > 90, np.inf, 1.0)
    plot = replace(LOSS, curves=tuple(replace(curve, y=bad) for curve in LOSS.curves))
    assert "nan or inf (10)" in legend_of(drawn(plot))


@pytest.mark.parametrize("axis", X_AXES)
def test_every_axis_has_ticks_and_a_title(axis: str) -> None:
    x = {"time": STEPS * 3600, "clock": 1.7e9 + STEPS * 60, "flops": STEPS * 1e18, "tokens": STEPS * 1e9}
    plot = Plot("loss", curves=(Curve(x.get(axis, STEPS), STEPS, "run0"),), x_axis=axis)  # type: ignore[arg-type]
    axes = drawn(plot)
    assert axes.get_xlabel().startswith({"time": "training time", "flops": "compute, FLOP"}.get(axis, axis))
    assert len([tick for tick in axes.get_xticklabels() if tick.get_text()]) >= 3


NUMBERS = st.integers(-1000, 1000).map(float) | st.just(math.nan) | st.just(math.inf)


@given(arrays(np.float64, st.integers(1, 300), elements=NUMBERS))
def test_a_short_curve_keeps_its_points_and_a_gap_stays_a_gap(y: np.ndarray) -> None:
    finite = np.isfinite(y)
    if not finite.any():
        return
    x, drawn_y = drawn(one_curve(y)).get_lines()[0].get_data()
    assert np.array_equal(drawn_y[np.isfinite(drawn_y)], y[finite])
    for left, right in itertools.pairwise(np.flatnonzero(finite) + 1.0):
        between = (np.asarray(x) > left) & (np.asarray(x) < right)
        assert between.any() == (right - left > 1)


def test_a_long_curve_is_decimated_and_keeps_its_extremes() -> None:
    y = np.random.default_rng(0).standard_normal(500_000)
    y[100_000:200_000] = np.nan
    x, drawn_y = drawn(one_curve(y)).get_lines()[0].get_data()
    assert len(x) <= 4 * PIXEL_COLUMNS + 1
    assert np.isnan(drawn_y).sum() == 1
    for start in (0, 50_000, *range(200_000, 500_000, 50_000)):
        part = drawn_y[(x > start) & (x <= start + 50_000)]
        inside = y[start : start + 50_000]
        assert (np.nanmin(part), np.nanmax(part)) == (inside.min(), inside.max())


def test_a_mean_has_a_band_that_lies_within_the_limits() -> None:
    mean = Curve(STEPS, 10 / STEPS, "run1", "lr=0.1 (2 runs)", "●", std=1 / STEPS, smoothing=0.9)
    plot = replace(LOSS, title="loss, mean ± std", curves=(mean,), points=(), markers=())
    axes = drawn(plot)
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(0.09), pytest.approx(11))
    assert axes.get_ylim()[1] >= 11
    assert axes.get_title(loc="left") == "Loss, mean ± std"
    assert axes.get_ylabel() == "loss, nats per token"
    assert [text.get_text() for text in axes.texts] == ["smoothed: EMA 0.9"]


def test_runs_differ_in_grey_and_are_ordered_in_the_legend() -> None:
    # The run in focus, here the first one, is drawn last and lies on top.
    curves = tuple(Curve(STEPS, STEPS * run, f"run{run}", f"run {run}", "●", order=run) for run in (1, 2, 0))
    axes = drawn(Plot("loss", curves=curves))
    assert legend_of(axes) == ["run 0", "run 1", "run 2"]
    plain_one, *dashed = sorted(axes.lines[:3], key=lambda line: str(line.get_label()))
    assert (plain_one.get_linestyle(), [line.get_linestyle() for line in dashed]) == ("-", ["--", "--"])
    assert all(plain_one.get_zorder() > line.get_zorder() for line in dashed)


def test_the_dashes_of_a_later_run_lie_on_the_line_of_an_equal_earlier_one() -> None:
    plot = panel_of("throughput").build(request_of(2, smoothing=CENTRED, for_figure=True))
    assert isinstance(plot, Plot)
    lines = {str(line.get_label()): line for line in drawn(plot).lines if not str(line.get_label()).startswith("_")}
    assert [line.get_linestyle() for line in lines.values()] == ["-", "--"]
    below, above = lines.values()
    assert above.get_zorder() > below.get_zorder()


def test_the_seventh_run_differs_from_the_first() -> None:
    curves = tuple(Curve(STEPS, STEPS, f"run{run % 6}", f"{run}", "●", order=run) for run in (0, 6))
    first, seventh = drawn(Plot("loss", curves=curves)).lines[:2]
    assert first.get_color() != seventh.get_color()


def test_a_heat_map_is_drawn() -> None:
    values = STEPS[:, None] * np.array([1.0, 2.0, 3.0])
    heat = HeatMap("blocks", STEPS, values, ("block 0", "block 1", "block 2"))
    axes = drawn(heat, ChartOptions(zoom=Range(1.0, 50.0)))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["block 0", "block 1", "block 2"]
    assert axes.collections[0].get_array().shape == (3, 50)
    empty = drawn(replace(heat, x=np.empty(0), values=np.empty((0, 3)), empty="n/a: no blocks"))
    assert [text.get_text() for text in empty.texts] == ["n/a: no blocks"]


def test_the_second_axis_is_left_out_where_its_values_are_useless() -> None:
    for loss, title in ((3.0, ["perplexity"]), (600.0, [])):
        history = RunHistory()
        history.absorb(Step(step=step, loss=loss) for step in range(1, 40))
        plot = panel_of("loss").build(PlotRequest([PlotRun(0, history=history)]))
        assert [axis.get_ylabel() for axis in drawn(plot).child_axes] == title


def test_the_centred_average_does_not_lag_behind_a_slope() -> None:
    line = np.arange(1000.0)
    assert np.abs(smooth_centred(line) - line)[200:800].max() < 0.01
    assert centred_window(19) == 1
    assert smooth_centred(np.array([1.0, 5.0])).tolist() == [1.0, 5.0]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("2.5k", "2.5 k"),
        ("400M", "400 M"),
        ("3e-4", r"$3\cdot10^{-4}$"),
        ("1e18", "$10^{18}$"),
        ("2s", "2 s"),
        ("1h 30m", "1h 30m"),
        ("14:00", "14:00"),
        ("0.25", "0.25"),
    ],
)
def test_labels_of_ticks_are_printed_as_in_a_paper(text: str, printed: str) -> None:
    assert tick_label(text) == printed


def test_the_legend_can_be_left_to_the_figure() -> None:
    figure = panel_figure(LOSS, (7.6, 4.4))
    axes = figure.add_subplot()
    draw(axes, LOSS, legend=False)
    assert axes.get_legend() is None


def test_a_zoom_names_only_visible_curves() -> None:
    later = Curve(STEPS + 100, STEPS, "level", "ends at 2", forecast=True)
    plot = replace(LOSS, curves=(*LOSS.curves, later), levels=(), markers=())
    assert legend_of(drawn(plot, ChartOptions(zoom=Range(60.0, 90.0)))) == ["raw", "smooth 0.9"]


def test_a_rounded_limit_hides_no_point() -> None:
    axes = drawn(one_curve(np.full(50, np.float32(0.003), dtype=np.float32), from_zero=True))
    assert not axes.texts
