"""Means, percentiles and integrals of columns of a log; None where nothing is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tuitrain.accounting.step_time import FloatArray, steps_covered

FINAL_SHARE = 0.05
FINAL_RECORDS = 50
"""The end of a run is its last 5 % of `step` records, at least one and at most 50."""
LONGEST_GAP = 3.0
"""Readings of the power further apart than so many times their median distance have a gap between them."""
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Percentiles:
    """Of the values that the log has of a metric, each counted once: 5 %, 50 % and 95 % of them lie below."""

    p5: float
    p50: float
    p95: float


def mean_over_time(values: FloatArray, seconds: FloatArray) -> float | None:
    """Mean of the finite values, weighted by the seconds that each stands for where these are known."""
    if len(values) and seconds.min() > 0 and math.isfinite(mean := float(np.average(values, weights=seconds))):
        # All are finite and have a weight: this needs fewer passes over them.
        return mean
    finite = np.isfinite(values)
    if not finite.any():
        return None
    both = finite & np.isfinite(seconds) & (seconds > 0)
    if not both.any():
        return float(values[finite].mean())
    return float(np.average(values[both], weights=seconds[both]))


def rate_over_time(tokens: FloatArray, seconds: FloatArray, rates: FloatArray) -> float | None:
    """All tokens by all seconds, of the records that know both; else the mean of the recorded rates."""
    counted, total = float(tokens.sum()), float(seconds.sum())
    if not math.isfinite(counted + total):
        both = np.isfinite(tokens) & np.isfinite(seconds)
        counted, total = float(tokens[both].sum()), float(seconds[both].sum())
    return counted / total if total > 0 else mean_over_time(rates, seconds)


def energy_kwh(times: FloatArray, watts: FloatArray) -> float | None:
    """Energy of GPUs from readings of their power, kWh; None where that was not logged.

    The integral by the trapezoidal rule. A gap between the readings, as between two attempts, adds nothing. Those of
    `system` records are of the machine of rank 0 and of all its GPUs.
    """
    usable = (times >= 0) & (watts >= 0) & np.isfinite(watts)
    times, watts = times[usable], watts[usable]
    if len(times) < 2:
        return None
    seconds = np.diff(times)
    forward = seconds > 0
    usual = float(np.median(seconds[forward])) if forward.any() else 0.0
    seconds[~(forward & (seconds <= LONGEST_GAP * usual))] = 0
    with np.errstate(all="ignore"):
        joules = float(np.sum(seconds * (watts[1:] / 2 + watts[:-1] / 2)))
    return joules / JOULES_PER_KWH if math.isfinite(joules) else None


def mean_of_end(values: FloatArray) -> float | None:
    """The mean of the end of these recorded values."""
    if not len(values):
        return None
    end = values[-min(FINAL_RECORDS, math.ceil(FINAL_SHARE * len(values))) :]
    finite = end[np.isfinite(end)]
    return float(finite.mean()) if len(finite) else float(end[-1])


def last(values: FloatArray) -> float | None:
    """The last finite value."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None


def last_whole(values: FloatArray) -> int | None:
    """The same as a whole number."""
    return None if (value := last(values)) is None else int(value)


def highest(values: FloatArray) -> float | None:
    """The highest finite value."""
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else None


def mean_step_seconds(steps: FloatArray, seconds: FloatArray) -> float | None:
    """Seconds of an optimizer step, of records that stand for so many seconds."""
    finite = np.isfinite(seconds)
    covered = float(steps_covered(steps)[finite].sum())
    return float(seconds[finite].sum()) / covered if covered > 0 else None


def scatter(values: FloatArray) -> float | None:
    """Half the range of the middle 68 %, relative to the median; None for fewer than two values."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return None
    low, middle, high = np.quantile(finite, (0.16, 0.5, 0.84))
    return float((high - low) / (2 * middle)) if middle > 0 else None


def percentiles(values: FloatArray) -> Percentiles | None:
    """Those of the finite values."""
    finite = values[np.isfinite(values)]
    return Percentiles(*map(float, np.percentile(finite, (5, 50, 95)))) if len(finite) else None
