"""Panels of speed: utilisation, throughput, where the time of a step goes, and which process is slow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tuitrain.analysis.metrics import metric_of
from tuitrain.events import Run
from tuitrain.plots.model import NO_DATA, Plot
from tuitrain.plots.panels.builders import curve_beside, declared, mean_level, plot, recorded
from tuitrain.plots.request import PlotRequest, PlotRun
from tuitrain.plots.roles import run_role
from tuitrain.plots.series import NO_SERIES, Series
from tuitrain.runs import FloatArray

NO_PEAK = "n/a: peak of this device is unknown; set hardware.peak_tflops"
NO_MFU = "no MFU: peak unknown; set hardware.peak_tflops"
ONE_PROCESS = "n/a: this run has one process, which waits for no other"


def mfu(request: PlotRequest) -> Plot:
    """MFU; where the peak of the device is not known, the achieved TFLOP/s."""
    record = request.run.history.run if request.run else None
    has_peak = record is None or record.hardware is None or record.hardware.peak_tflops is not None
    reason = why_no_mfu(record)
    if (not has_peak or request.for_figure) and not recorded(request, "mfu") and recorded(request, "tflops"):
        return plot(request, "tflops", levels=mean_level(request, "tflops"), clip=True, note=NO_MFU, notes=(reason,))
    empty = reason if request.for_figure else NO_DATA if has_peak else NO_PEAK
    return plot(request, "mfu", levels=mean_level(request, "mfu"), clip=True, empty=empty)


def why_no_mfu(run: Run | None) -> str:
    """The reason why a log of steps without MFU has none."""
    if run is None or run.hardware is None:
        return "MFU n/a: the log does not say on what it ran"
    if run.hardware.peak_tflops is None:
        return f"MFU n/a: the peak of {run.hardware.device} is not known; hardware.peak_tflops sets it"
    if run.flops_per_token is None:
        return "MFU n/a: the FLOPs per token are not known"
    return "MFU n/a: no step records it"


def throughput(request: PlotRequest) -> Plot:
    """Tokens per second of all processes, and their mean."""
    return plot(request, "tokens_per_sec", levels=mean_level(request, "tokens_per_sec"), clip=True)


def step_time(request: PlotRequest) -> Plot:
    """The time of a step; of a run alone split into computing, waiting for data and waiting for other processes.

    Computing is the rest; the wait for the slowest process is the part of communication that logs record.
    """
    if len(request.runs) != 1:
        return plot(request, "step_time_ms", clip=True)
    run = request.runs[0]
    step, data, wait = (
        run.series.of(name, request.x, request.smoothing) for name in ("step_time_ms", "data_time_ms", "rank_skew_ms")
    )
    split = {
        "step_time_ms": step, "compute_time_ms": _compute_time(step, data, wait), "data_time_ms": data,
        "rank_skew_ms": wait,
    }  # fmt: skip
    beside = [curve_beside(run, number, name, series) for number, (name, series) in enumerate(split.items())]
    shown = tuple(replace(each, name="wait") if each.name == "skew" else each for each in beside if len(each.x))
    levels = mean_level(request, "step_time_ms") if request.for_figure else ()
    chart = plot(request, "step_time_ms", curves=shown, levels=levels, from_zero=True, clip=True)
    return _stacked(chart) if request.for_figure and len(split["compute_time_ms"].x) else chart


def _stacked(chart: Plot) -> Plot:
    """The parts of a step time as sums from the lowest, in the order computing, data, wait, without the step itself."""
    parts = [curve for name in ("compute", "data", "wait") for curve in chart.curves if curve.name == name]
    x, total = parts[0].x, np.zeros(len(parts[0].x))
    sums = []
    for number, part in enumerate(parts):
        total = total + _at(Series(part.x, part.y), x)
        sums.append(replace(part, x=x, y=total, role=run_role(number), order=number))
    return replace(chart, curves=tuple(sums), stacked=True)


def _compute_time(step: Series, data: Series, wait: Series) -> Series:
    """The rest of the step time, at the x of the wait where it is recorded; empty without step or data times."""
    if not len(step.x) or not len(data.x):
        return NO_SERIES
    x = wait.x if len(wait.x) else step.x
    with np.errstate(invalid="ignore"):  # inf - inf is nan.
        return Series(x, _at(step, x) - _at(data, x) - (wait.y if len(wait.x) else 0.0))


def _at(series: Series, x: FloatArray) -> FloatArray:
    """The newest value of a series at each x."""
    if len(series.x) == len(x):
        return series.y
    return series.y[np.maximum(np.searchsorted(series.x, x, "right") - 1, 0)]


def ranks(request: PlotRequest) -> Plot:
    """The slowest process: its step time, and how long the fastest waits for it."""
    empty = ONE_PROCESS if _alone(request) else NO_DATA
    chart = declared(request, ("rank_skew_ms", "step_time_max_ms"), empty=empty)
    if len(request.runs) != 1:
        return chart
    return replace(chart, title="ranks" if chart.has_data else "ranks, ms", value=_slowest(request.runs[0]))


def _slowest(run: PlotRun) -> str:
    rank, skew = run.history.steps.last("slowest_rank"), run.history.steps.last("rank_skew_ms")
    if rank is None or skew is None:
        return ""
    return f"slowest {rank:.0f}, +{metric_of('rank_skew_ms').text(skew)}"


def _alone(request: PlotRequest) -> bool:
    """Whether no run on the screen has more than one process."""
    runs = [run.history.run for run in request.runs]
    return bool(runs) and all(run and run.parallel and run.parallel.world_size == 1 for run in runs)
