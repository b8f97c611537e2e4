"""Panels of logs with extreme values."""

from __future__ import annotations

import numpy as np
import pytest

from tuitrain.events import Step
from tuitrain.plots.model import Plot
from tuitrain.plots.panels.catalog import panel_of
from tuitrain.runs import RunHistory
from tuitrain.tui.frame import view_of
from tuitrain.tui.view_state import ViewState


def test_records_with_an_unusable_time_are_left_out_of_the_clock_and_counted() -> None:
    history = RunHistory()
    history.absorb([Step(time=1.7e9 + n if n % 3 else 1e18, step=n + 1, loss=1.0) for n in range(30)])
    plot = panel_of("loss").build(ViewState([view_of(history, 0)], x="clock", smoothing=0.0))
    assert isinstance(plot, Plot)
    assert len(plot.curves[-1].x) == 20
    assert plot.note == "10 records have no usable time and are left out"


@pytest.mark.parametrize("unusable", [2.0**63, 1e308, -5.0])
def test_an_implausible_step_time_does_not_end_the_axis_of_training_time(unusable: float) -> None:
    history = RunHistory()
    history.absorb([Step(time=1.0, step=n, loss=1.0, step_time_ms=unusable if n == 5 else 10.0) for n in range(1, 21)])
    plot = panel_of("loss").build(ViewState([view_of(history, 0)], x="time", smoothing=0.0))
    assert isinstance(plot, Plot)
    assert len(plot.curves[-1].x) == 20
    assert plot.curves[-1].x[-1] == pytest.approx(0.19)


def test_one_extreme_value_is_marked_and_left_out_of_smoothing() -> None:
    history = RunHistory()
    history.absorb([Step(time=1.0, step=n, loss=1e308 if n == 5 else 2.0) for n in range(1, 21)])
    plot = panel_of("loss").build(ViewState([view_of(history, 0)], smoothing=0.9))
    assert isinstance(plot, Plot)
    smooth = plot.curves[-1].y
    assert smooth[4] == float("inf")
    assert np.delete(smooth, 4).tolist() == [2.0] * 19


def test_the_newest_of_thousands_of_superseded_pieces_are_drawn_and_the_rest_is_counted() -> None:
    history = RunHistory()
    history.absorb([Step(time=1.0, step=n, loss=1.0) for n in range(5000, 0, -1)])
    plot = panel_of("loss").build(ViewState([view_of(history, 0)]))
    assert isinstance(plot, Plot)
    assert len(plot.curves) < 40
    assert any(curve.name == "superseded, the newest 24 of 4,999 pieces" for curve in plot.curves)
