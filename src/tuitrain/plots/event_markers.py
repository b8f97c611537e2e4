"""What happened along a run, as places on the x axis: checkpoints, evaluations, restarts, alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from tuitrain.events.text import clean
from tuitrain.plots.model import Marker, MarkerKind
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import RunHistory

SIGNS: dict[MarkerKind, str] = {"checkpoint": "▴", "eval": "▵", "restart": "┊", "alert": "!"}
_RANKS: dict[MarkerKind, int] = {"eval": 0, "checkpoint": 1, "restart": 2, "alert": 3}
_MOST = 16
"""Of evaluations and of checkpoints: where there are more, only the newest is marked."""
_MOST_ALERTS = 200
_Event = tuple[float, MarkerKind, str, str]
"""Step, kind, role and text."""

_kept: WeakKeyDictionary[RunHistory, tuple[tuple[object, ...], tuple[Marker, ...]]] = WeakKeyDictionary()


def event_markers(request: PlotRequest) -> tuple[Marker, ...]:
    """The marks of the run in focus on the axis of the request. They are made anew only when there are more."""
    view = request.run
    if view is None:
        return ()
    history = view.history
    counts = len(history.evals), len(history.checkpoints), len(history.attempts), len(history.alerts)
    # On another axis than the steps the newest ones find their place with the record after them.
    reach = None if request.x == "step" else len(history.steps)
    made_of = (id(view.series), request.x, len(history.steps.cuts), reach, counts)
    known = _kept.get(history)
    if known is None or known[0] != made_of:
        known = _kept[history] = (made_of, _marks(view, request))
    return known[1]


def _marks(view: PlotRun, request: PlotRequest) -> tuple[Marker, ...]:
    events = sorted(_events(view.history), key=lambda event: event[0])
    places = view.series.place(request.x, np.array([step for step, *_ in events], dtype=np.float64))
    return tuple(
        Marker(float(x), kind, role, text)
        for x, (_, kind, role, text) in zip(places, events, strict=True)
        if np.isfinite(x)
    )


def _events(history: RunHistory) -> Iterator[_Event]:
    evals = history.evals
    first = 0 if len(evals) <= _MOST else len(evals) - 1
    for step, loss in zip(evals["step"][first:].tolist(), evals["loss"][first:].tolist(), strict=True):
        yield step, "eval", "marker.eval", f"evaluation {loss:.4f}"
    for saved in history.checkpoints if len(history.checkpoints) <= _MOST else history.checkpoints[-1:]:
        yield saved.step, "checkpoint", "marker.checkpoint", "checkpoint"
    for run, begun in zip(history.attempts[1:], history.attempt_steps[1:], strict=True):
        if begun is not None:
            yield float(begun), "restart", "marker.restart", f"attempt {run.attempt}"
    alerts = zip(history.alerts[-_MOST_ALERTS:], history.alert_steps[-_MOST_ALERTS:], strict=True)
    for alert, at in alerts:
        if at is not None:
            yield float(at), "alert", "marker.alert", f"{alert.level}: {clean(alert.message)}"


def markers_by_column(markers: Sequence[Marker], scale: XScale) -> dict[int, Marker]:
    """The marker to draw in each column of an axis: of several the most important, of equal ones the last."""
    columns = scale.columns_of(np.array([marker.x for marker in markers], dtype=np.float64))
    shown: dict[int, Marker] = {}
    for column, marker in zip(columns.tolist(), markers, strict=True):
        if column >= 0 and (column not in shown or _RANKS[marker.kind] >= _RANKS[shown[column].kind]):
            shown[column] = marker
    return shown
