"""What panels are made of: curves of metrics, means, and the plot around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuitrain.analysis.limits import LARGEST, SMALLEST
from tuitrain.analysis.metrics import METRICS, Metric
from tuitrain.analysis.progress import preparation
from tuitrain.runs import FloatArray
from tuitrain.tui.charts.axes import Range, label
from tuitrain.tui.charts.heat_map import HeatMap
from tuitrain.tui.charts.plot import NO_DATA, SUPERSEDED, Curve, Level, Plot, Points
from tuitrain.tui.panels.happenings import marks_of
from tuitrain.tui.state import Board, RunView, names
from tuitrain.tui.theme import RUN_COLOURS, glyph, hollow_glyph, run_role
from tuitrain.tui.tracks import Track


@dataclass(frozen=True)
class Panel:
    """One chart of a screen. short: its name in the line of tabs; about: what it shows, in the list of panels.

    A panel shows the metrics that name it in the registry. Without a function of its own, `build`, it draws them as
    their declarations say.
    """

    id: str
    short: str
    about: str
    special: Callable[[Board], Plot | HeatMap] | None = None
    empty: Callable[[Board], str] = lambda board: NO_DATA
    """Why there is nothing to show, for a panel without a function of its own."""
    is_map: bool = False
    """Whether it is a heat map and not a plot."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the registry assigns to this panel."""
        return tuple(metric for metric in METRICS if metric.panel == self.id)

    def build(self, board: Board) -> Plot | HeatMap:
        """What there is to draw now."""
        built = self.special(board) if self.special else declared(board, self.metrics, self.empty(board))
        doing = preparation(board.view.history, board.view.status) if board.view else None
        return replace(built, empty=doing) if doing and built.empty == NO_DATA else built


def declared(board: Board, metrics: Sequence[Metric], empty: str = NO_DATA, **more: Any) -> Plot:
    """The plot of metrics by their declarations alone: one of every run, or of a run alone each with a glyph."""
    first = metrics[0]
    if first.source == "system":
        # What a machine does is seen against all that it could do.
        more = {"from_zero": True, "levels": (Level(100.0, "grid"),) if first.unit == "%" else (), **more}
    if len(metrics) == 1 or len(board.views) != 1:
        return plot(board, first, curves=curves(board, first), empty=empty, **more)
    view = board.views[0]
    parts = [
        part(view, number, about, track_of(view, about, board, board.smoothing)) for number, about in enumerate(metrics)
    ]
    return plot(board, first, curves=tuple(curve for curve in parts if len(curve.x)), empty=empty, **more)


def part(view: RunView, number: int, about: Metric, track: Track) -> Curve:
    """One of several metrics of a run alone: each has its own hue and glyph, as runs have where there are several."""
    role = run_role((view.index + number) % RUN_COLOURS)
    return Curve(
        track.x, track.y * about.factor, role, about.part or about.title, glyph(number), track.identity, number
    )


def track_of(view: RunView, about: Metric, board: Board, weight: float = 0.0) -> Track:
    """The metric of one run over the axis of the board, smoothed where it is one of the steps."""
    if about.source == "system":
        return view.tracks.system(about.key, board.x)
    return view.tracks.of(about.key, board.x, weight)


def newest(view: RunView, about: Metric) -> float | None:
    """The newest value of a metric of one run."""
    if about.source == "system":
        return view.history.system_columns.last(about.key)
    if about.source == "eval":
        return getattr(view.history.evaluation, about.column, None)
    return view.history.steps.last(about.key)


def plot(board: Board, about: Metric, **more: Any) -> Plot:
    """A plot with the settings of the board, and the newest value of the run in focus in its title."""
    value = newest(board.view, about) if board.view else None
    settings: dict[str, Any] = {"log": board.log or about.scale == "log", "marks": marks_of(board), **more}
    if "points" in settings:
        # Stars say where the evaluations were.
        settings["marks"] = tuple(mark for mark in settings["marks"] if mark.kind != "eval")
    settings["clip"] = settings.get("clip", False) and board.clip
    lost = sum(view.tracks.without_clock() for view in board.views) if board.x == "clock" else 0
    if lost:
        sentence = f"{lost:,} records have no usable time and are left out"
        settings["note"], settings["empty"] = settings.get("note") or sentence, sentence
    return Plot(
        about.label if value is None else about.title,
        "" if value is None else about.text(value),
        x_axis=board.x,
        x_range=shared_range(board),
        metric=about.key,
        growing=any(each.status.live for each in board.views),
        **settings,
    )


def shared_range(board: Board) -> Range | None:
    """What the charts of several runs all reach over, also where some runs have no values; None of a run alone."""
    if len(board.views) < 2:
        return None
    ends = [
        view.tracks.place(board.x, view.history.steps["step"][[0, -1]])
        for view in board.views
        if len(view.history.steps)
    ]
    if board.x == "clock":
        ends += [view.tracks.system_clock()[[0, -1]] for view in board.views if view.history.system]
    known = [float(end) for pair in ends for end in pair if math.isfinite(end)]
    return Range(min(known), max(known)) if known else None


Derive = Callable[[RunView, Track], Track]


def curves(board: Board, about: Metric, smooth: bool = True, derive: Derive | None = None) -> tuple[Curve, ...]:
    """The metric of every run: alone raw and smoothed, several only smoothed, each with its glyph.

    What earlier attempts did of a run alone lies below. derive: makes what is shown of the metric of a run.
    """
    weight = board.smoothing if smooth and about.source == "step" else 0.0
    several = len(board.views) > 1
    found = [] if several or not board.views else _superseded(board.views[0], about, board, derive)
    # The run in focus lies on top.
    pairs = zip(board.views, names(board.views), strict=True)
    for view, name in sorted(pairs, key=lambda pair: pair[0] is board.view):
        role = run_role(view.index)
        tracks = _pieces(view, about, board, weight, derive)
        if several:
            drawn = _drawn(tracks, about, role, name, glyph(view.index))
            found += [replace(curve, order=view.index) for curve in drawn]
        elif weight:
            found += _drawn(_pieces(view, about, board, 0.0, derive), about, f"{role}.faint", "raw")
            found += _drawn(tracks, about, role, f"smooth {weight:g}")
        else:
            found += _drawn(tracks, about, role)
    return tuple(found)


def _drawn(tracks: Sequence[Track], about: Metric, role: str, name: str = "", mark: str = "") -> list[Curve]:
    """Pieces of one curve, the last with its name and its glyph."""
    rest, last = tracks[:-1], tracks[-1:]
    return [*(scaled(track, about, role) for track in rest), *(scaled(t, about, role, name, mark) for t in last)]


def _pieces(view: RunView, about: Metric, board: Board, weight: float, derive: Derive | None) -> list[Track]:
    """The metric of one run: one track, or two while its log is still being read."""
    tracks = [track_of(view, about, board)]
    if about.source == "step":
        tracks = view.tracks.pieces(about.key, board.x, weight)
    derived = [derive(view, track) for track in tracks] if derive else tracks
    return [track for track in derived if len(track.x)]


def scaled(track: Track, about: Metric, role: str, name: str = "", mark: str = "") -> Curve:
    """A curve in the unit of its metric."""
    y = track.y if about.factor == 1 else track.y * about.factor
    return Curve(track.x, y, role, name, mark, track.identity, whole=track.whole)


def _superseded(view: RunView, about: Metric, board: Board, derive: Derive | None) -> list[Curve]:
    """What earlier attempts did of the steps that a later one did again."""
    if about.source != "step":
        return []
    tracks, name = view.tracks.superseded(about.key, board.x)
    derived = [derive(view, track) for track in tracks] if derive else tracks
    return _drawn([track for track in derived if len(track.x)], about, SUPERSEDED, name)


def stars(board: Board, column: str, factor: float = 1.0) -> tuple[Points, ...]:
    """A column of the evaluations, one point for each: a star of a run alone, of several the hollow mark of each."""
    several = len(board.views) > 1
    found = []
    for view in board.views:
        evals = view.history.evals
        x, y = view.tracks.place(board.x, evals["step"]), evals[column] * factor
        known = np.isfinite(x) & evals.present(column)
        if several:
            found.append(Points(x[known], y[known], run_role(view.index), glyph=hollow_glyph(view.index)))
        else:
            found.append(Points(x[known], y[known], "val", "validation"))
    return tuple(found)


def mean_level(board: Board, about: Metric) -> tuple[Level, ...]:
    """The mean over the whole run, of one run alone; the same as in every table."""
    mean = board.views[0].tracks.mean(about.key) if len(board.views) == 1 else None
    if mean is None:
        return ()
    mean *= about.factor
    if not math.isfinite(mean):
        return ()
    return (Level(mean, "level", f"mean {short(mean)}"),)


def short(value: float) -> str:
    """Three digits, as an axis writes them: with a power of ten only below a thousandth."""
    if not SMALLEST <= abs(value) <= LARGEST or 1e-3 <= abs(value) < 0.01:
        return f"{value:.3g}"
    return label(value, 10.0 ** (math.floor(math.log10(abs(value))) - 2))


def ahead(view: RunView, board: Board, steps: FloatArray) -> FloatArray:
    """Where steps lie on the axis, those still to come at the pace of the newest records; nan where that is unknown."""
    x = view.tracks.place(board.x, steps)
    done = view.history.steps["step"]
    if board.x == "step" or len(done) < 2:
        return x
    last, before = float(done[-1]), float(done[max(len(done) - _PACE_RECORDS, 0)])
    at_last, at_before = view.tracks.place(board.x, np.array([last, before]))
    pace = (at_last - at_before) / (last - before)
    return np.where(steps > last, at_last + (steps - last) * pace, x)


_PACE_RECORDS = 200


def has_steps(board: Board) -> bool:
    """Whether any run has done a step."""
    return any(len(view.history.steps) for view in board.views)


def recorded(board: Board, key: str) -> bool:
    """Whether any run has a value of this metric of the steps."""
    return any(view.history.steps.last(key) is not None for view in board.views)
