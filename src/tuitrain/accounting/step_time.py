"""What each record of a step stands for where records are written every so many steps: steps, tokens, seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MAX_STEP_SECONDS = 1e9
"""Thirty years."""


def steps_covered(steps: FloatArray) -> FloatArray:
    """How many optimizer steps each record stands for, when records are written every so many steps.

    A record covers the steps since the one before it. The first covers what its own number allows, at most as many
    as the second, so that a log that begins in the middle of a run does not count steps before it.
    """
    if not len(steps):
        return np.empty(0)
    gaps = np.diff(steps)
    usual = gaps[0] if len(gaps) else steps[0]
    return np.concatenate(([max(1.0, min(steps[0], usual))], gaps))


def tokens_covered(steps: FloatArray, tokens: FloatArray) -> FloatArray:
    """Tokens that each record stands for, of cumulative ones; nan where they are not recorded."""
    if not len(tokens):
        return np.empty(0)
    first = tokens[0] * steps_covered(steps[:2])[0] / steps[0] if steps[0] > 0 else np.nan
    return np.concatenate(([first], np.diff(tokens)))


def step_seconds(
    steps: FloatArray, step_time_ms: FloatArray, tokens: FloatArray, tokens_per_sec: FloatArray
) -> FloatArray:
    """Seconds of training that each record stands for, nan where the log has no times.

    The step time times the steps covered; a record without it counts its tokens at its throughput. A step with a
    negative time, or more than MAX_STEP_SECONDS, counts as unknown.
    """
    with np.errstate(over="ignore"):
        seconds = step_time_ms / 1000 * steps_covered(steps)
    unknown = ~_plausible(seconds)
    if unknown.any():
        with np.errstate(all="ignore"):
            by_rate = tokens_covered(steps, tokens) / tokens_per_sec
        seconds[unknown] = np.where(_plausible(by_rate), by_rate, np.nan)[unknown]
    return seconds


def _plausible(seconds: FloatArray) -> NDArray[np.bool_]:
    """Which of these durations are plausible for one record."""
    return (seconds >= 0) & (seconds <= MAX_STEP_SECONDS)
