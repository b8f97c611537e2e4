"""Panels of the machine: memory of the accelerator, its use, power and temperature, and the host."""

from __future__ import annotations

from dataclasses import replace

from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric_of
from tuitrain.plots.model import NO_DATA, Level, Plot
from tuitrain.plots.panels.builders import curve_of, curves, declared, has_steps, plot
from tuitrain.plots.request import PlotRequest
from tuitrain.plots.roles import run_role
from tuitrain.runs import RunHistory

NO_MEMORY = "n/a: this run has no accelerator memory to report"
NO_GPU = "n/a: this run has no accelerator"


def memory(request: PlotRequest) -> Plot:
    """Memory of the process on its device, and what the device has."""
    levels = _capacity(request)
    if len(request.runs) != 1:
        peaks = curves(request, "mem_peak_gb", smooth=False)
        return plot(request, "mem_peak_gb", curves=peaks, levels=levels, from_zero=True)
    run = request.runs[0]
    both = tuple(
        curve_of(series, metric_of(name), run_role(run.index) + faint, metric_of(name).legend)
        for name, faint in (("mem_peak_gb", ""), ("mem_allocated_gb", ".faint"))
        if len((series := run.series.of(name, request.x)).x)
    )
    empty = NO_MEMORY if has_steps(request) else NO_DATA
    return replace(
        plot(request, "mem_peak_gb", curves=both, levels=levels, from_zero=True, empty=empty), title="memory"
    )


def gpu_memory(request: PlotRequest) -> Plot:
    """Memory in use on the fullest GPU, by all processes, and what it has."""
    return declared(request, ("gpu_mem_used_gb",), empty=no_gpu(request), levels=_capacity(request))


def ram(request: PlotRequest) -> Plot:
    """Memory of the host in use, and what it has."""
    system = request.run.history.system if request.run else None
    total = system.ram_total_gb if system else None
    levels = () if total is None else (Level(total, "clip", f"of {total:.4g} GB", in_range=False),)
    return declared(request, ("ram_used_gb",), empty=no_readings(request), levels=levels)


def capacity_gb(history: RunHistory) -> float | None:
    """Memory of one device of a run, GB."""
    return history.run.hardware.memory_gb if history.run and history.run.hardware else None


def _capacity(request: PlotRequest) -> tuple[Level, ...]:
    capacity = capacity_gb(request.run.history) if request.run else None
    if capacity is None:
        return ()
    text = units.gigabytes(capacity) if request.for_figure else f"{capacity:.3g}"
    return (Level(capacity, "clip", f"capacity {text}"),)


def no_gpu(request: PlotRequest) -> str:
    """The reason why no reading of a GPU is there."""
    read = any(len(run.history.system_columns) for run in request.runs)
    return NO_GPU if read or has_steps(request) else NO_DATA


def no_readings(request: PlotRequest) -> str:
    """The reason why no reading of the machine is there."""
    return "n/a: this run has no readings of its machine" if has_steps(request) else NO_DATA
