"""Panels about the machine: memory of the accelerator, its use, power and temperature, and the host."""

from __future__ import annotations

from dataclasses import replace

from tuitrain.analysis.metrics import metric
from tuitrain.tui.charts.plot import NO_DATA, Level, Plot
from tuitrain.tui.panels.limits import capacity_gb
from tuitrain.tui.panels.parts import curves, declared, has_steps, plot, scaled
from tuitrain.tui.state import Board
from tuitrain.tui.theme import run_role

NO_MEMORY = "n/a: this run has no accelerator memory to report"
NO_GPU = "n/a: this run has no accelerator"


def memory(board: Board) -> Plot:
    """Memory of the process on its device, and what the device has."""
    peak, allocated = metric("mem_peak_gb"), metric("mem_allocated_gb")
    levels = _capacity(board)
    if len(board.views) != 1:
        return plot(board, peak, curves=curves(board, peak, smooth=False), levels=levels, from_zero=True)
    view = board.views[0]
    role = run_role(view.index)
    parts = [
        scaled(track, about, role + faint, "" if number else name)
        for about, faint, name in ((peak, "", "peak"), (allocated, ".faint", "allocated"))
        for number, track in enumerate(view.tracks.pieces(about.key, board.x))
    ]
    found = plot(board, peak, curves=tuple(parts), levels=levels, from_zero=True)
    return replace(found, title="memory", empty=NO_MEMORY if has_steps(board) else NO_DATA)


def gpu_memory(board: Board) -> Plot:
    """Memory in use on the fullest GPU, by all processes, and what it has."""
    about = metric("gpu_mem_used_gb")
    return declared(board, (about,), no_gpu(board), levels=_capacity(board))


def ram(board: Board) -> Plot:
    """Memory of the host in use, and what it has."""
    about = metric("ram_used_gb")
    system = board.view.history.system if board.view else None
    total = system.ram_total_gb if system else None
    levels = () if total is None else (Level(total, "clip", f"of {total:.4g} GB", in_range=False),)
    return declared(board, (about,), no_readings(board), levels=levels)


def _capacity(board: Board) -> tuple[Level, ...]:
    capacity = capacity_gb(board.view.history) if board.view else None
    return () if capacity is None else (Level(capacity, "clip", f"capacity {capacity:.3g}"),)


def no_gpu(board: Board) -> str:
    """Why nothing is known of a GPU."""
    seen = any(len(view.history.system_columns) for view in board.views)
    return NO_GPU if seen or has_steps(board) else NO_DATA


def no_readings(board: Board) -> str:
    """Why nothing is known of the machine."""
    return "n/a: this run has no readings of its machine" if has_steps(board) else NO_DATA
