"""What each record of a step stands for where records are written every so many steps: steps, tokens, seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MAX_STEP_SECONDS = 1e9
"""Thirty years."""
MUCH_LONGER = 1.5
"""A step that includes an evaluation takes this many times as long as others."""
MOST_EVALUATIONS = 0.9
"""Share of the evaluations after which that is so."""
LEAST_EVALUATIONS = 3
LEAST_OF_IT, MOST_OF_IT = 0.7, 1.5
"""What a step takes longer, by the duration of the evaluation: caches that it emptied cost something too."""


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


@dataclass(frozen=True)
class EvaluatedSteps:
    """Records whose step times include evaluations: their rows, and the usual times of these and of the others, ms.

    offset: 0 for the records at evaluations, 1 for the first ones after. longer: how many of them are much longer.
    """

    rows: NDArray[np.intp]
    offset: int
    evaluated_ms: float
    usual_ms: float
    longer: int


def evaluated_steps(
    steps: FloatArray, step_time_ms: FloatArray, durations: Mapping[int, float | None]
) -> list[EvaluatedSteps]:
    """The records whose step times include evaluations; empty where none do, or too few tell.

    durations: of the evaluations in ms, None where unknown, by their steps. The records at evaluations, or right after
    them, are much longer than the others, nearly all of them, and others rarely; by about an evaluation where the log
    has durations.
    """
    usable = np.flatnonzero(np.isfinite(step_time_ms) & (step_time_ms > 0))
    at = np.array(sorted(step for step in durations if step > 0), dtype=float)
    if len(at) < LEAST_EVALUATIONS or len(usable) < 2 * len(at):
        return []
    known = [duration for duration in durations.values() if duration is not None and duration > 0]
    duration = float(np.median(known)) if known else None
    both = (_evaluated(steps[usable], step_time_ms[usable], at, offset, duration) for offset in (0, 1))
    return [replace(each, rows=usable[each.rows]) for each in both if each is not None]


def _evaluated(
    steps: FloatArray, times: FloatArray, at: FloatArray, offset: int, duration: float | None
) -> EvaluatedSteps | None:
    rows = np.searchsorted(steps, at, side="right" if offset else "left")
    inside = rows < len(steps)
    rows, evaluated = np.unique(rows[inside]), at[inside]
    if not offset and not np.isin(steps[rows], evaluated).all():
        return None
    others = np.setdiff1d(np.arange(len(steps)), rows)
    if len(rows) < LEAST_EVALUATIONS or len(others) < len(rows):
        return None
    usual = float(np.median(times[others]))
    longer = times[rows] > MUCH_LONGER * usual
    if longer.mean() < MOST_EVALUATIONS or (times[others] > MUCH_LONGER * usual).mean() > 0.5 * longer.mean():
        return None
    found = EvaluatedSteps(rows, offset, float(np.median(times[rows])), usual, int(longer.sum()))
    excess = found.evaluated_ms - usual
    # A record is a mean over the steps since the one before.
    covered = float(np.median(np.diff(steps)))
    fits = duration is None or any(LEAST_OF_IT < part / duration < MOST_OF_IT for part in (excess, excess * covered))
    return found if fits else None
