"""Smoothing of a noisy series."""

from __future__ import annotations

import numpy as np

from tuitrain.runs import FloatArray

# Below this the oldest points no longer reach the last bit of a float64 mean.
_NEGLIGIBLE = 1e-20


def smooth(values: FloatArray, weight: float) -> FloatArray:
    """Debiased exponential moving average, s_i = sum_j w^(i-j) x_j / sum_j w^(i-j) over the finite x_j, j <= i.

    weight w lies in [0, 1); 0 returns the values. nan and inf enter no average, and the result is nan where they
    stand, so that a gap stays a gap. Raises ValueError for another weight.

    The recurrence s_i = w s_(i-1) + x_i is solved by recursive doubling: after k rounds every element holds the sum
    over its last 2^k points, so log2(n) additions of whole arrays do it.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"A smoothing weight lies in [0, 1), not {weight}.")
    if weight == 0 or not len(values):
        return values
    finite = np.isfinite(values)
    if not finite.all():
        smoothed = np.full(len(values), np.nan)
        smoothed[finite] = smooth(values[finite], weight)
        return smoothed
    # Around the first value, so that a constant stays exactly constant.
    total = values - values[0]
    shift, decay = 1, weight
    while shift < len(values) and decay > _NEGLIGIBLE:
        total[shift:] += decay * total[:-shift]
        shift, decay = 2 * shift, decay * decay
    weights = (1 - weight ** np.arange(1, len(values) + 1, dtype=np.float64)) / (1 - weight)
    result: FloatArray = values[0] + total / weights
    return result
