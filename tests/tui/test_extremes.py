"""Charts of any numbers: values that cannot be drawn are marked at the edge, or left out and counted."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.extremes import extreme_history
from tuitrain.events import Eval, Step
from tuitrain.plots.axes import X_AXES, Range
from tuitrain.plots.charts.border import Drawing
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import ChartOptions, Curve, HeatMap, Plot
from tuitrain.plots.panels.catalog import PANELS, panel_of
from tuitrain.runs import RunHistory
from tuitrain.tui.content.headline import header
from tuitrain.tui.frame import view_of
from tuitrain.tui.text import plain
from tuitrain.tui.view_state import ViewState


def zoomed(plot: Plot, options: ChartOptions, drawn: Drawing, times: int) -> Drawing:
    """The chart after a number of zooms into its middle, each with a crosshair."""
    for _ in range(times):
        if not drawn.areas:
            break
        scale = drawn.areas[0].scale
        zoom = Range(scale.value_at(scale.columns // 3), scale.value_at(scale.columns // 2))
        if not zoom.low < zoom.high:
            break
        drawn = draw(plot, 100, 12, options=replace(options, zoom=zoom, crosshair=zoom.low))
    return drawn


@pytest.mark.parametrize("seed", range(12))
def test_every_panel_is_drawn_over_every_axis(seed: int) -> None:
    """Of one run with every second log, of two runs with the others."""
    of = random.Random(seed)
    views = [view_of(extreme_history(seed), 0), view_of(extreme_history(seed + 100), 1)]
    for x in X_AXES:
        state = ViewState(views[: 1 + seed % 2], x=x, log=of.random() < 0.5)
        assert header(state, 120)
        for panel in PANELS:
            plot = panel.build(state)
            if isinstance(plot, HeatMap):
                draw(plot, 60, 12)
                continue
            options = ChartOptions(log_x=of.random() < 0.5, recent=of.random() < 0.3)
            drawn = draw(plot, 100, 12, options=options)
            assert {len(plain(line)) for line in drawn.lines} == {100}
            zoomed(plot, options, drawn, 3)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [(5e-324, 1e-323), (1e308, -1e308), (1.0, 1e308), (1e308, 1e308), (1e16, 1e16 + 2)])
def test_drawable_values_are_drawn_and_others_are_marked(values: tuple[float, float], log: bool) -> None:
    x, y = np.arange(20.0), np.array([*values] * 10)
    drawn = draw(Plot("loss", curves=(Curve(x, y, "run0"),), log=log), 60, 12)
    text = "\n".join(plain(line) for line in drawn.lines)
    assert ("↑" in text) == (max(values) > 1e150)
    assert any(0x2800 < ord(character) < 0x2900 for character in text) == (min(np.abs(values)) < 1e150) or log


def test_steps_near_the_limit_of_integers_can_be_zoomed_to_the_limit_of_floats() -> None:
    history = RunHistory()
    history.absorb([Step(time=1.0, step=2**60 + 500 * n, loss=1.0 + n % 7) for n in range(300)])
    plot = panel_of("loss").build(ViewState([view_of(history, 0)], smoothing=0.0))
    assert isinstance(plot, Plot)
    drawn = zoomed(plot, ChartOptions(), draw(plot, 100, 12), 40)
    assert drawn.areas[0].scale.low < drawn.areas[0].scale.high


@pytest.mark.parametrize("time", [1e13, 1e18, 1e300, -1.0])
def test_without_usable_times_the_clock_axis_has_a_note_and_other_axes_work(time: float) -> None:
    history = RunHistory()
    history.absorb([Step(time=time, step=n + 1, loss=1.0, tokens=n, step_time_ms=10.0) for n in range(30)])
    history.absorb([Eval(time=time, step=30, loss=1.0)])
    for x in X_AXES:
        plot = panel_of("lr" if x == "clock" else "loss").build(ViewState([view_of(history, 0)], x=x, smoothing=0.0))
        assert isinstance(plot, Plot)
        if x in ("step", "tokens", "time"):
            assert len(plot.curves[-1].x) == 30
    plot = panel_of("loss").build(ViewState([view_of(history, 0)], x="clock"))
    text = "\n".join(plain(line) for line in draw(plot, 80, 12).lines) if isinstance(plot, Plot) else ""
    assert "30 records have no usable time" in text
