"""The panels of charts: which metric each shows, and how a run's history becomes its plot."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuitrain.analysis.metrics import Metric, metric
from tuitrain.analysis.series import eval_x_values, x_at_steps
from tuitrain.analysis.smoothing import smooth
from tuitrain.analysis.summary import Summary, summarize
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.tui.axes import XAxis, label
from tuitrain.tui.plot import NO_DATA, Curve, Level, Plot, Points
from tuitrain.tui.state import Board, names
from tuitrain.tui.theme import glyph, run_role

NO_PEAK = "n/a: peak of this device is unknown; set hardware.peak_tflops"
NO_MFU = "no MFU: peak unknown; set hardware.peak_tflops"


@dataclass(frozen=True)
class Panel:
    """One chart of a screen. short: its name in the line of tabs."""

    id: str
    short: str
    build: Callable[[Board], Plot]


def points(history: RunHistory, key: str, axis: XAxis) -> tuple[FloatArray, FloatArray]:
    """The points of a metric of the steps over steps, tokens or seconds of training."""
    steps, values = history.steps.series(key)
    return _known(x_at_steps(history, axis, steps), values)


def _known(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points whose place on the axis is known."""
    known = np.isfinite(x)
    return (x, y) if known.all() else (x[known], y[known])


def _plot(board: Board, about: Metric, **more: Any) -> Plot:
    """A plot with the settings of the board, and the newest value of the run in focus in its title."""
    view = board.view
    value = view.history.steps.last(about.key) if view else None
    return Plot(
        about.label if value is None else about.title,
        "" if value is None else about.text(value),
        x_axis=board.x,
        growing=any(each.status.live for each in board.views),
        **{"log": board.log, **more},
    )


def _curves(board: Board, about: Metric, smoothed: bool = True) -> tuple[Curve, ...]:
    """The metric of every run: alone raw and smoothed, several only smoothed, each with its glyph."""
    weight = board.smoothing if smoothed else 0.0
    several = len(board.views) > 1
    labels = names(board.views)
    curves: list[Curve] = []
    # The run in focus lies on top.
    for view, name in sorted(zip(board.views, labels, strict=True), key=lambda pair: pair[0] is board.view):
        x, y = points(view.history, about.key, board.x)
        if not len(x):
            continue
        y = y * about.factor
        role = run_role(view.index)
        if several:
            curves.append(Curve(x, smooth(y, weight), role, name, glyph(view.index)))
        elif weight:
            curves.append(Curve(x, y, f"{role}.faint", "raw"))
            curves.append(Curve(x, smooth(y, weight), role, f"smooth {weight:g}"))
        else:
            curves.append(Curve(x, y, role))
    return tuple(curves)


def _mean(board: Board, about: Metric, of: Callable[[Summary], float | None]) -> tuple[Level, ...]:
    """The mean over the whole run, of one run alone; the same as in every table."""
    mean = of(summarize(board.views[0].history)) if len(board.views) == 1 else None
    if mean is None:
        return ()
    mean *= about.factor
    return (Level(mean, "level", f"mean {_short(mean)}"),)


def _short(value: float) -> str:
    """Three digits, as an axis writes them."""
    return label(value, 10.0 ** (math.floor(math.log10(abs(value))) - 2)) if value else "0"


def _loss(board: Board) -> Plot:
    about = metric("loss")
    stars = []
    for view in board.views:
        x, y = _known(eval_x_values(view.history, board.x), view.history.evals["loss"])
        several = len(board.views) > 1
        stars.append(Points(x, y, run_role(view.index) if several else "val", "" if several else "validation"))
    return _plot(board, about, curves=_curves(board, about), points=tuple(stars))


def _mfu(board: Board) -> Plot:
    """MFU; where no peak is known to relate it to, the achieved TFLOP/s."""
    about = metric("mfu")
    run = board.view.history.run if board.view else None
    known = run is None or run.hardware is None or run.hardware.peak_tflops is not None
    if not known and not _recorded(board, "mfu") and _recorded(board, "tflops"):
        about = metric("tflops")
        mean = _mean(board, about, lambda summary: summary.mean_tflops)
        return _plot(board, about, curves=_curves(board, about), levels=mean, clip=True, note=NO_MFU)
    mean = _mean(board, about, lambda summary: summary.mean_mfu)
    empty = NO_DATA if known else NO_PEAK
    return _plot(board, about, curves=_curves(board, about), levels=mean, clip=True, empty=empty)


def _recorded(board: Board, key: str) -> bool:
    return any(view.history.steps.last(key) is not None for view in board.views)


def _throughput(board: Board) -> Plot:
    about = metric("tokens_per_sec")
    mean = _mean(board, about, lambda summary: summary.mean_tokens_per_sec)
    return _plot(board, about, curves=_curves(board, about), levels=mean, clip=True)


def _memory(board: Board) -> Plot:
    peak, allocated = metric("mem_peak_gb"), metric("mem_allocated_gb")
    capacity = capacity_gb(board.view.history) if board.view else None
    levels = () if capacity is None else (Level(capacity, "clip", f"capacity {capacity:.3g}"),)
    if len(board.views) > 1:
        return _plot(board, peak, curves=_curves(board, peak, smoothed=False), levels=levels, from_zero=True)
    curves = [
        Curve(curve.x, curve.y, curve.role + faint, name)
        for about, faint, name in ((peak, "", "peak"), (allocated, ".faint", "allocated"))
        for curve in _curves(board, about, smoothed=False)
    ]
    plot = _plot(board, peak, curves=tuple(curves), levels=levels, from_zero=True)
    empty = "n/a: this run has no accelerator memory to report" if _has_steps(board) else NO_DATA
    return replace(plot, title="memory", empty=empty)


def _grad_norm(board: Board) -> Plot:
    about = metric("grad_norm")
    clip = clip_level(board.view.history) if board.view else None
    # The level shows only where the norms come near it: far above them it would press the curve flat.
    levels = () if not clip else (Level(clip, "clip", f"clip {clip:g}", in_range=False),)
    return _plot(board, about, curves=_curves(board, about), levels=levels)


def _lr(board: Board) -> Plot:
    about = metric("lr")
    curves = _curves(board, about, smoothed=False)
    if len(board.views) == 1:
        curves = tuple(Curve(each.x, each.y, each.role, "now", "●") for each in curves)
    return _plot(board, about, curves=curves, from_zero=True)


PANELS: tuple[Panel, ...] = (
    Panel("loss", "Loss", _loss),
    Panel("mfu", "MFU", _mfu),
    Panel("throughput", "Speed", _throughput),
    Panel("memory", "Memory", _memory),
    Panel("grad_norm", "Gradient", _grad_norm),
    Panel("lr", "LR", _lr),
)
COMPARE_PANELS: tuple[Panel, ...] = tuple(panel for panel in PANELS if panel.id in ("loss", "throughput", "mfu"))


def capacity_gb(history: RunHistory) -> float | None:
    """Memory of one device, GB."""
    return history.run.hardware.memory_gb if history.run and history.run.hardware else None


def clip_level(history: RunHistory) -> float | None:
    """The gradient norm above which the run clips; None when it does not clip or does not say."""
    train = history.run.config.get("train") if history.run else None
    level = train.get("grad_clip") if isinstance(train, dict) else None
    return float(level) if isinstance(level, int | float) and 0 < level < math.inf else None


def _has_steps(board: Board) -> bool:
    return any(len(view.history.steps) for view in board.views)
