"""Smoothing of a noisy series."""

from __future__ import annotations

import numpy as np

from tuitrain.analysis.limits import LARGEST
from tuitrain.runs import FloatArray

CENTRED = 1.0
"""In place of a weight: the centred average of `smooth_centred`."""

# Below this the oldest points no longer reach the last bit of a float64 mean.
_NEGLIGIBLE = 1e-20
# What stays in the processor's cache through all rounds.
_AT_ONCE = 1 << 14


def smooth(values: FloatArray, weight: float) -> FloatArray:
    """Debiased exponential moving average, s_i = sum_j w^(i-j) x_j / sum_j w^(i-j) over the finite x_j, j <= i.

    weight w lies in [0, 1); 0 returns the values. nan and inf enter no average, and the result is nan where they
    stand, so that a gap stays a gap. Raises ValueError for another weight.
    """
    smoother = Smoother(weight)
    return values if weight == 0 or not len(values) else smoother.extend(values)


def centred_window(points: int) -> int:
    """How many of so many points the centred average spans: 1 %, at most 1,000; 1 leaves them as they are."""
    return min(max(points // 100, 1 if points < 20 else 3), 1000)


def smooth_centred(values: FloatArray) -> FloatArray:
    """A moving average run forwards and then backwards, which does not lag behind its points. nan and inf become nan.

    The weight of each run is that of a window of `centred_window` points.
    """
    weight = 1 - 1 / centred_window(int(np.isfinite(values).sum()))
    backwards: FloatArray = smooth(smooth(values, weight)[::-1], weight)[::-1]
    return backwards


def mean_of_last(steps: FloatArray, values: FloatArray, count: int) -> FloatArray:
    """At each step the mean of the finite values of the last `count` steps up to it; nan where its own is not finite.

    steps never decrease; a log that records every tenth step has fewer values in the same window.
    """
    if not len(values):
        return np.empty(0)
    finite = np.abs(values) <= LARGEST
    ends = np.arange(1, len(values) + 1)
    starts = np.searchsorted(steps, steps - count, "right")
    # Sums of each window by itself: differences of running sums would lose digits after a spike.
    bounds = np.stack((starts, ends), axis=1).ravel()
    padded = np.append(np.where(finite, values, 0.0), 0.0)
    sums = np.add.reduceat(padded, bounds)[::2]
    counts = np.add.reduceat(np.append(finite, False).astype(np.intp), bounds)[::2]
    return np.where(finite, sums / np.maximum(counts, 1), np.nan)


class Smoother:
    """The same for a series that grows: further values are smoothed without the earlier ones."""

    def __init__(self, weight: float) -> None:
        if not 0 <= weight < 1:
            raise ValueError(f"A smoothing weight lies in [0, 1), not {weight}.")
        self.weight = weight
        self._origin = 0.0
        self._total = 0.0
        self._count = 0

    def extend(self, values: FloatArray) -> FloatArray:
        """The averages at these further values.

        The recurrence t_i = w t_(i-1) + x_i is solved by recursive doubling: after k rounds every element holds the
        sum over its last 2^k points, so log2(n) additions of whole arrays do it.
        """
        if len(values) > _AT_ONCE:
            starts = range(0, len(values), _AT_ONCE)
            return np.concatenate([self.extend(values[start : start + _AT_ONCE]) for start in starts])
        # A value beyond what charts hold would dominate every later sum.
        finite = np.abs(values) <= LARGEST
        if not finite.all():
            smoothed = np.full(len(values), np.nan)
            smoothed[finite] = self.extend(values[finite])
            return smoothed
        if not len(values):
            return values
        if not self._count:
            # Around the first value, so that a constant stays exactly constant.
            self._origin = float(values[0])
        total = values - self._origin
        total[0] += self.weight * self._total
        shift, decay = 1, self.weight
        while shift < len(values) and decay > _NEGLIGIBLE:
            total[shift:] += decay * total[:-shift]
            shift, decay = 2 * shift, decay * decay
        counts = np.arange(self._count + 1, self._count + len(values) + 1, dtype=np.float64)
        self._total, self._count = float(total[-1]), self._count + len(values)
        weights = (1 - self.weight**counts) / (1 - self.weight)
        result: FloatArray = self._origin + total / weights
        return result
