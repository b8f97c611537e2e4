"""Events of a run as markers on the x axis: checkpoints, evaluations, restarts, alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tuitrain.plots.model import Marker, MarkerKind
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.x_scale import XScale
from tuitrain.text import clean

SIGNS: dict[MarkerKind, str] = {"checkpoint": "▴", "eval": "▵", "restart": "┊", "alert": "!"}
_RANKS: dict[MarkerKind, int] = {"eval": 0, "checkpoint": 1, "restart": 2, "alert": 3}
_IN_FIGURES: frozenset[MarkerKind] = frozenset({"restart", "alert"})
_MAX_EVENTS = 16
"""Of evaluations and of checkpoints: where there are more, only the newest is marked."""
_MAX_ALERTS = 200


def event_markers(request: PlotRequest) -> tuple[Marker, ...]:
    """The events of the run in focus on the axis of the request, in the order of their steps.

    Of a figure those that explain its curves, and none where it shows several runs alike.
    """
    if request.run is None or (request.for_figure and len(request.runs) > 1):
        return ()
    events = sorted(_events(request.run), key=lambda event: event[0])
    if request.for_figure:
        events = [event for event in events if event[1] in _IN_FIGURES]
    positions = request.run.series.x_at(request.x, np.array([step for step, *_ in events], dtype=np.float64))
    return tuple(
        Marker(x, kind, f"marker.{kind}", text)
        for x, (_, kind, text) in zip(positions.tolist(), events, strict=True)
        if np.isfinite(x)
    )


def _events(run: PlotRun) -> Iterator[tuple[float, MarkerKind, str]]:
    """Step, kind and description of each."""
    history = run.history
    evals = history.evals
    first = 0 if len(evals) <= _MAX_EVENTS else len(evals) - 1
    for step, loss in zip(evals["step"][first:].tolist(), evals["loss"][first:].tolist(), strict=True):
        yield step, "eval", f"evaluation {loss:.4f}"
    for saved in history.checkpoints if len(history.checkpoints) <= _MAX_EVENTS else history.checkpoints[-1:]:
        yield saved.step, "checkpoint", "checkpoint"
    for attempt, first_step in zip(history.attempts[1:], history.attempt_steps[1:], strict=True):
        if first_step is not None:
            yield float(first_step), "restart", f"attempt {attempt.attempt}"
    for alert, at in run.alerts[-_MAX_ALERTS:]:
        if at is not None:
            yield float(at), "alert", f"{alert.level}: {clean(alert.message)}"


def markers_by_column(markers: Sequence[Marker], scale: XScale) -> dict[int, Marker]:
    """The marker to draw in each column of an axis: the most important of several, the last of equal ones."""
    columns = scale.columns_of(np.array([marker.x for marker in markers], dtype=np.float64))
    shown: dict[int, Marker] = {}
    for column, marker in zip(columns.tolist(), markers, strict=True):
        if column >= 0 and (column not in shown or _RANKS[marker.kind] >= _RANKS[shown[column].kind]):
            shown[column] = marker
    return shown
