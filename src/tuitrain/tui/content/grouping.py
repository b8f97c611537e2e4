"""Groups of runs on the charts: their mean, and one standard deviation to either side of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tuitrain.analysis.metrics import Metric, metric
from tuitrain.runs import FloatArray
from tuitrain.tui.charts.heat_map import HeatMap
from tuitrain.tui.charts.plot import Curve, Plot
from tuitrain.tui.content.comparison import grouped
from tuitrain.tui.panels import COMPARE_PANELS
from tuitrain.tui.panels.parts import Panel, plot, track_of
from tuitrain.tui.state import Board, names
from tuitrain.tui.theme import glyph, run_role
from tuitrain.tui.tracks import Track

_PLACES = 512
"""Places on the horizontal axis at which the runs of a group are averaged."""


def _build(panel: Panel, board: Board) -> Plot | HeatMap:
    """The panel, of groups where there are any."""
    compared = grouped(board)
    if compared is None:
        return panel.build(board)
    about = panel.metrics[0] if panel.id != "throughput" else metric("tokens_per_sec")
    views = dict(zip(names(board.views), board.views, strict=True))
    curves: list[Curve] = []
    for number, (label, members) in enumerate(zip(compared.names, compared.groups, strict=True)):
        tracks = [track_of(views[name], about, board, board.smoothing) for name in members]
        curves += _band([track for track in tracks if len(track.x)], about, number, label, board.log_x)
    found = plot(board, about, curves=tuple(curves), marks=(), clip=True, starts=panel.id == "loss")
    return replace(found, title=f"{about.label}, mean ± std", value="")


def _band(tracks: list[Track], about: Metric, number: int, label: str, log_x: bool) -> list[Curve]:
    """The curves of one group over the part of the axis that all its runs cover."""
    role, mark = run_role(number), glyph(number)
    if len(tracks) < 2:
        return [Curve(track.x, track.y * about.factor, role, label, mark) for track in tracks]
    low, high = max(track.x[0] for track in tracks), min(track.x[-1] for track in tracks)
    if not low <= high:
        return []
    x: FloatArray = np.geomspace(low, high, _PLACES) if log_x and low > 0 else np.linspace(low, high, _PLACES)
    values = np.stack([np.interp(x, track.x, track.y) for track in tracks]) * about.factor
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    return [
        Curve(x, mean - spread, f"{role}.faint", edge=True),
        Curve(x, mean + spread, f"{role}.faint", edge=True),
        Curve(x, mean, role, label, mark),
    ]


GROUPABLE_PANELS: tuple[Panel, ...] = tuple(replace(panel, special=partial(_build, panel)) for panel in COMPARE_PANELS)
"""The panels of the compare screen."""
