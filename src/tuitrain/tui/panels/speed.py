"""Panels about speed: utilisation, throughput, where the time of a step goes, and which process is slow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tuitrain.analysis.metrics import metric
from tuitrain.runs import FloatArray
from tuitrain.tui.charts.plot import NO_DATA, Plot
from tuitrain.tui.panels.parts import curves, declared, mean_level, part, plot, recorded
from tuitrain.tui.state import Board, RunView
from tuitrain.tui.tracks import Track

NO_PEAK = "n/a: peak of this device is unknown; set hardware.peak_tflops"
NO_MFU = "no MFU: peak unknown; set hardware.peak_tflops"
ONE_PROCESS = "n/a: this run has one process, which waits for no other"


def mfu(board: Board) -> Plot:
    """MFU; where no peak is known to relate it to, the achieved TFLOP/s."""
    about = metric("mfu")
    run = board.view.history.run if board.view else None
    known = run is None or run.hardware is None or run.hardware.peak_tflops is not None
    if not known and not recorded(board, "mfu") and recorded(board, "tflops"):
        about = metric("tflops")
        return plot(board, about, curves=curves(board, about), levels=mean_level(board, about), clip=True, note=NO_MFU)
    empty = NO_DATA if known else NO_PEAK
    return plot(board, about, curves=curves(board, about), levels=mean_level(board, about), clip=True, empty=empty)


def throughput(board: Board) -> Plot:
    """Tokens per second of all processes, and their mean."""
    about = metric("tokens_per_sec")
    return plot(board, about, curves=curves(board, about), levels=mean_level(board, about), clip=True)


def step_time(board: Board) -> Plot:
    """The time of a step; of a run alone split into computing, waiting for data and waiting for other processes.

    Computing is what the other two leave; the wait for the slowest process is what is known of communication.
    """
    whole = metric("step_time_ms")
    if len(board.views) != 1:
        return plot(board, whole, curves=curves(board, whole), clip=True)
    view = board.views[0]
    step, data, wait = (
        view.tracks.of(key, board.x, board.smoothing) for key in ("step_time_ms", "data_time_ms", "rank_skew_ms")
    )
    parts = [part(view, 0, whole, step)]
    if len(step.x) and len(data.x):
        parts.append(part(view, 1, metric("compute_time_ms"), _rest(step, data, wait)))
    for number, (key, track) in enumerate((("data_time_ms", data), ("rank_skew_ms", wait)), start=2):
        if len(track.x):
            parts.append(part(view, number, metric(key), track))
    shown = tuple(replace(each, name="wait") if each.name == "skew" else each for each in parts if len(each.x))
    return plot(board, whole, curves=shown, from_zero=True, clip=True)


def _rest(step: Track, data: Track, wait: Track) -> Track:
    """What is left of the step time; with several processes where their wait is known."""
    x = wait.x if len(wait.x) else step.x
    of_step, of_data = (_at(track, x) for track in (step, data))
    rest = of_step - of_data - (wait.y if len(wait.x) else 0.0)
    return Track(x, rest, ("rest", *step.identity, *wait.identity))


def _at(track: Track, x: FloatArray) -> FloatArray:
    """The newest value of a track at each place."""
    if len(track.x) == len(x):
        return track.y
    return track.y[np.maximum(np.searchsorted(track.x, x, "right") - 1, 0)]


def ranks(board: Board) -> Plot:
    """The slowest process: its step time, and how long the fastest waits for it."""
    metrics = metric("rank_skew_ms"), metric("step_time_max_ms")
    found = declared(board, metrics, ONE_PROCESS if _alone(board) else NO_DATA, clip=True)
    if len(board.views) != 1:
        return found
    return replace(found, title="ranks" if found.has_data else "ranks, ms", value=_slowest(board.views[0]))


def _slowest(view: RunView) -> str:
    rank, skew = view.history.steps.last("slowest_rank"), view.history.steps.last("rank_skew_ms")
    if rank is None or skew is None:
        return ""
    return f"slowest {rank:.0f}, +{metric('rank_skew_ms').text(skew)}"


def _alone(board: Board) -> bool:
    """Whether no run on the screen has more than one process."""
    runs = [view.history.run for view in board.views]
    return bool(runs) and all(run and run.parallel and run.parallel.world_size == 1 for run in runs)
