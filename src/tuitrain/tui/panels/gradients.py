"""Panels about gradients and updates, of the whole model and of each of its blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tuitrain.analysis.metrics import metric
from tuitrain.events import Layers
from tuitrain.tui.charts.heat_map import HeatMap
from tuitrain.tui.charts.plot import NO_DATA, Level, Plot
from tuitrain.tui.panels.limits import clip_level
from tuitrain.tui.panels.parts import curves, has_steps, part, plot
from tuitrain.tui.state import Board, RunView
from tuitrain.tui.tracks import Track

NO_STATS = "n/a: this run measures no gradient statistics; set telemetry.grad_stats_interval"


def grad_norm(board: Board) -> Plot:
    """The norm before clipping, and the level at which it is clipped."""
    about = metric("grad_norm")
    clip = clip_level(board.view.history) if board.view else None
    # The level shows only where the norms come near it: far above them it would press the curve flat.
    levels = () if not clip else (Level(clip, "clip", f"clip {clip:g}", in_range=False),)
    return plot(board, about, curves=curves(board, about), levels=levels, clip=True)


def grad_stats(board: Board) -> Plot:
    """Mean, standard deviation and largest element, by size: they lie decades apart."""
    spread = metric("grad_std")
    if len(board.views) != 1:
        return plot(board, spread, curves=curves(board, spread), empty=_missing(board))
    view = board.views[0]
    parts = []
    for number, key in enumerate(("grad_std", "grad_max", "grad_mean")):
        track = view.tracks.of(key, board.x)
        if len(track.x):
            size = Track(track.x, np.abs(track.y), track.identity)
            parts.append(part(view, number, metric(key), size))
    found = plot(board, spread, curves=tuple(parts), log=True, empty=_missing(board))
    return replace(found, title="gradient elements", value=f"std {found.value}" if found.value else "")


def update_ratio(board: Board) -> Plot:
    """Norm of an update by the norm of the weights; about 1e-3 is usual."""
    about = metric("update_ratio")
    found = curves(board, metric("update_norm"), derive=lambda view, track: _by_weights(view, track, board))
    view = board.view
    update, weight = (view.history.steps.last(key) if view else None for key in ("update_norm", "param_norm"))
    value = about.text(update / weight) if update is not None and weight else ""
    return replace(plot(board, about, curves=found, empty=_missing(board)), value=value)


def _by_weights(view: RunView, updates: Track, board: Board) -> Track:
    """Norms of updates by the norm of the weights at the same places; nothing where that is not known."""
    weights = view.tracks.of("param_norm", board.x)
    if not len(weights.x):
        return Track(np.empty(0), np.empty(0), ())
    return Track(updates.x, updates.y / np.interp(updates.x, weights.x, weights.y), ("ratio", *updates.identity))


def layers(board: Board) -> HeatMap:
    """The gradient norm of each block over time, of the run in focus."""
    view = board.view
    empty = HeatMap("gradient norm by block", x_axis=board.x, empty=_missing(board))
    records = [each for each in view.history.layers if each.grad_norm] if view else []
    if view is None or not records:
        return empty
    # A run continued with another number of blocks cannot share the map.
    count = len(records[-1].grad_norm)
    records = [each for each in records if len(each.grad_norm) == count]
    x = view.tracks.place(board.x, np.array([each.step for each in records], dtype=np.float64))
    known = np.isfinite(x)
    values = np.array([each.grad_norm for each in records], dtype=np.float64)
    newest = records[-1]
    return replace(
        empty,
        x=x[known],
        values=values[known],
        rows=_names(count),
        value=_largest(newest),
        growing=view.status.live,
    )


def _names(count: int) -> tuple[str, ...]:
    """The parts of a model from its input to its output."""
    if count < 3:
        return tuple(str(number) for number in range(count))
    return ("embed", *(str(number) for number in range(count - 2)), "head")


def _largest(newest: Layers) -> str:
    norms = np.array(newest.grad_norm)
    if not np.isfinite(norms).any():
        return ""
    at = int(np.nanargmax(norms))
    return f"largest {norms[at]:.3g} in {_names(len(norms))[at]}"


def _missing(board: Board) -> str:
    return NO_STATS if has_steps(board) else NO_DATA
