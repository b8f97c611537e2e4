"""What a run used: devices over time, energy, and the batch that it worked in."""

from __future__ import annotations

import math

import numpy as np

from tuitrain.analysis.description import on_cpu
from tuitrain.runs import FloatArray, RunHistory

LONGEST_GAP = 3.0
"""Readings of the power further apart than so many times their median distance have a gap between them."""
JOULES_PER_KWH = 3.6e6


def device_hours(history: RunHistory, wall_s: float | None, training_s: float | None) -> float | None:
    """Hours times GPUs, over the time of the attempts: a GPU is taken while the run starts, evaluates and saves too.

    Where the log has no clock that covers the training, over the training time. None where it is not known how many
    GPUs there were, or the run trained on the CPU.
    """
    hardware = history.run.hardware if history.run else None
    if hardware is None or (on_cpu(history.run) and (hardware.device_type == "cpu" or hardware.peak_tflops is None)):
        return None
    known = [seconds for seconds in (wall_s, training_s) if seconds is not None]
    return hardware.count * max(known) / 3600 if known else None


def energy_kwh(history: RunHistory, until: float = math.inf) -> float | None:
    """Energy of the GPUs in the `system` records up to a Unix time, kWh; None where no power was logged.

    The integral of their power by the trapezoidal rule. A gap in the log, as between two attempts, adds nothing. The
    records are of the machine of rank 0 and of all its GPUs.
    """
    rows, watts = history.system_columns.points("gpu_power_w")
    times = history.system_columns["time"][rows]
    usable = (times >= 0) & (times <= until) & (watts >= 0)
    times, watts = times[usable], watts[usable]
    if len(times) < 2:
        return None
    seconds = np.diff(times)
    seconds[~_without_gap(seconds)] = 0
    with np.errstate(all="ignore"):
        joules = float(np.sum(seconds * (watts[1:] / 2 + watts[:-1] / 2)))
    return joules / JOULES_PER_KWH if math.isfinite(joules) else None


def _without_gap(seconds: FloatArray) -> np.ndarray:
    forward = seconds > 0
    usual = float(np.median(seconds[forward])) if forward.any() else 0.0
    return forward & (seconds <= LONGEST_GAP * usual)


def tokens_per_step(history: RunHistory) -> int | None:
    """Tokens of an optimizer step: as the run says, else what most steps of the log added."""
    if history.run is not None and history.run.tokens_per_step:
        return history.run.tokens_per_step
    steps, tokens = history.steps["step"], history.steps["tokens"]
    with np.errstate(all="ignore"):
        each = np.diff(tokens) / np.diff(steps)
    each = each[np.isfinite(each) & (each > 0)]
    return round(float(np.median(each))) if len(each) else None


def sequences_per_step(history: RunHistory) -> int | None:
    """Sequences of an optimizer step over all processes: as configured, else the tokens by the length of a sequence."""
    configured = history.section("train").get("global_batch_size")
    if isinstance(configured, int) and not isinstance(configured, bool) and configured > 0:
        return configured
    shape = history.run.architecture if history.run else None
    length, tokens = shape.seq_len if shape else None, tokens_per_step(history)
    return tokens // length if length and tokens and tokens % length == 0 else None
