"""Power laws of the loss: over the steps of one run, to project its end, and over the compute of several runs.

L(t) = a + b · t^(-c) with a, b, c >= 0 and t in optimizer steps: the form in which Kaplan et al. 2020 (arXiv
2001.08361, section 5) and Hoffmann et al. 2022 (arXiv 2203.15556, equation 2) write the loss over training. It knows
nothing of the schedule: where the learning rate falls to zero at the end, the loss usually ends a little lower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tuitrain.analysis.student import quantile
from tuitrain.runs import FloatArray

BINS = 64
"""Means the fit sees, equally far apart in log t: a run of any length costs the same, and noise averages out."""
LEAST_RECORDS, LEAST_BINS = 60, 16
LEAST_SPAN, MOST_AHEAD = 4.0, 20.0
"""The last step is at least this many times the first, and the end at most this many times the last."""
LEAST_EXPLAINED = 0.85
"""Share of the variance of the means that a fit must explain."""
MOST_UNCERTAIN = 0.05
"""Widest half interval, as a share of the projected value."""
LEAST_COMPUTE_SPAN, SAME_COMPUTE = 2.0, 0.01
"""Of a law over several runs: the largest compute by the smallest at least, and the relative difference up to which two
are the same."""
_EXPONENTS = np.geomspace(0.02, 2.0, 96)
_HUBER = 1.5
_SPIKE = 4.0
"""Standard deviations beyond which single losses do not count in full."""
_LATER_STARTS = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Shares of the bins, from the first on, that refits leave out."""
_RESAMPLES = 24
_INTERVAL = (0.1, 0.5, 0.9)
"""Quantiles of the refits: low, value and high."""


@dataclass(frozen=True)
class Projection:
    """A fitted law, the loss it gives at step `end`, and the interval of that (low, high)."""

    a: float
    b: float
    c: float
    end: float
    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the interval."""
        return (self.high - self.low) / 2

    def at(self, steps: FloatArray) -> FloatArray:
        """The law's loss at steps."""
        values: FloatArray = self.a + self.b * np.maximum(steps, 1.0) ** -self.c
        return values


def project_loss(steps: FloatArray, losses: FloatArray, end: float, warmup: float = 0.0) -> Projection | None:
    """The loss expected at step `end` from records past the warmup; None where they do not say.

    The fit is by least squares with Huber weights on means of log-spaced bins; for each exponent a and b follow
    linearly. It is repeated with up to 60 % of the early bins left out and with residuals resampled: the law is the
    refit in the middle, and the interval holds 80 % of them, so it covers the noise as well as how far the law changes
    along the run. Too few points, too short a span, an end too far away, a poor fit, or an interval wider than 5 %
    each way give None.
    """
    keep = np.isfinite(losses) & (steps > max(warmup, 0.0))
    steps, losses = steps[keep], losses[keep]
    if len(steps) < LEAST_RECORDS:
        return None
    first, last = float(steps[0]), float(steps[-1])
    if not (last >= LEAST_SPAN * first and last < end <= MOST_AHEAD * last):
        return None
    t, means, counts = _binned(steps, losses)
    if len(t) < LEAST_BINS or np.ptp(means) <= 1e-6 * abs(means[-1]):
        return None
    # Scaled so that t^(-c) is 1 at the last step: both coefficients then have the size of a loss.
    scaled = t / last
    weights, fitted = _robust_fit(scaled, means, np.sqrt(counts))
    explained = 1 - np.average((means - fitted[0]) ** 2, weights=weights) / _variance(means, weights)
    if not explained >= LEAST_EXPLAINED:
        return None
    a, b, c = _refits(scaled, means, weights)
    ends = a + b * (end / last) ** -c
    order = np.argsort(ends)
    low, value, high = (order[round(part * (len(ends) - 1))] for part in _INTERVAL)
    if (ends[high] - ends[low]) / 2 > MOST_UNCERTAIN * ends[value] or not b[value] > 0:
        return None
    middle = float(a[value]), float(b[value] * last ** c[value]), float(c[value])
    return Projection(*middle, end, float(ends[value]), float(ends[low]), float(ends[high]))


@dataclass(frozen=True)
class Scaling:
    """loss = k · compute^(-exponent), the form of Kaplan et al. 2020 (arXiv 2001.08361, equation 1.3) without a floor.

    low, high: the 95 % interval of the exponent; r2: the share of the variance of the log loss that it explains;
    from_flops, to_flops: the compute of the smallest and of the largest run.
    """

    k: float
    exponent: float
    low: float
    high: float
    r2: float
    from_flops: float
    to_flops: float
    runs: int


def fit_scaling(flops: FloatArray, losses: FloatArray) -> Scaling:
    """The law through one point for each run, by least squares of the logarithms; its interval is Student's.

    Raises ValueError with the reason for which there is none: fewer than three runs of different compute, a span of
    compute below LEAST_COMPUTE_SPAN, a loss that is not positive.
    """
    if len(flops) < 3:
        raise ValueError(f"it takes three runs whose loss and compute are known, and there are {len(flops)}")
    if not ((flops > 0) & (losses > 0) & np.isfinite(flops) & np.isfinite(losses)).all():
        raise ValueError("a loss or the compute of a run is not a positive number")
    x, y = np.log(flops), np.log(losses)
    # Runs of equal compute are one point of the axis; in a fixed order, so that the sums are the same for any.
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    if x[-1] - x[0] < math.log(LEAST_COMPUTE_SPAN):
        span = math.exp(x[-1] - x[0])
        raise ValueError(f"their compute spans a factor of {span:.3g}, and it takes {LEAST_COMPUTE_SPAN:g}")
    if int((np.diff(x) > SAME_COMPUTE).sum()) < 2:
        raise ValueError("they have only two different amounts of compute, and it takes three")
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    squares = float(((dy - slope * dx) ** 2).sum())
    df = len(x) - 2
    half = quantile(df) * math.sqrt(squares / df / float(dx @ dx))
    total = float(dy @ dy)
    r2 = 1 - squares / total if total > 0 else 0.0
    k = math.exp(float(y.mean()) - slope * float(x.mean()))
    bounds = math.exp(x[0]), math.exp(x[-1])
    return Scaling(k, -slope, -slope - half, -slope + half, r2, *bounds, len(x))


def _binned(steps: FloatArray, losses: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Geometric mean of the steps, mean of the losses without spikes, and count, of each bin that has records."""
    edges = np.searchsorted(steps, np.geomspace(steps[0], steps[-1], BINS + 1)[1:-1])
    parts = [part for part in np.split(np.arange(len(steps)), edges) if len(part)]
    centres = [np.exp(np.log(steps[part]).mean()) for part in parts]
    means = [_without_spikes(losses[part]).mean() for part in parts]
    return np.array(centres), np.array(means), np.array([len(part) for part in parts], dtype=np.float64)


def _without_spikes(values: FloatArray) -> FloatArray:
    """Values clipped to some standard deviations around their median: a spike of the loss is no part of the law."""
    median = np.median(values)
    limit = _SPIKE * 1.4826 * np.median(np.abs(values - median))
    return np.clip(values, median - limit, median + limit) if limit > 0 else values


def _variance(values: FloatArray, weights: FloatArray) -> float:
    mean = np.average(values, weights=weights)
    return float(np.average((values - mean) ** 2, weights=weights))


def _robust_fit(
    t: FloatArray, y: FloatArray, weights: FloatArray
) -> tuple[FloatArray, tuple[FloatArray, float, float, float]]:
    """Weights with outliers made light, and what they give: (values at t, a, b, c)."""
    robust = weights
    for _ in range(5):
        a, b, c = (float(value[0]) for value in _fit(t, y[None], robust[None]))
        fitted = a + b * t**-c
        residuals = np.abs(y - fitted)
        limit = _HUBER * 1.4826 * float(np.median(residuals))
        if limit <= 0:
            break
        robust = weights * np.minimum(1.0, limit / np.maximum(residuals, 1e-300))
    return robust, (fitted, a, b, c)


def _fit(t: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """a, b and c of each row of y and weights (rows × points) by least squares; a and b are never negative."""
    x = t ** -_EXPONENTS[:, None]
    w = weights.sum(1, keepdims=True)
    wx, wxx = weights @ x.T, weights @ (x * x).T
    wy, wxy = (weights * y).sum(1, keepdims=True), (weights * y) @ x.T
    spread = np.maximum(w * wxx - wx * wx, 1e-300)
    b = np.maximum((w * wxy - wx * wy) / spread, 0.0)
    a = (wy - b * wx) / w
    without = a < 0
    b = np.where(without, np.maximum(wxy / wxx, 0.0), b)
    a = np.where(without, 0.0, a)
    # The sum of squares but for the part that is the same for every exponent.
    loss = a * a * w + b * b * wxx + 2 * a * b * wx - 2 * a * wy - 2 * b * wxy
    best, rows = loss.argmin(1), np.arange(len(y))
    return a[rows, best], b[rows, best], _EXPONENTS[best]


def _refits(t: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """a, b and c of many fits: later starts of the data, each with residuals resampled."""
    random = np.random.default_rng(0)
    fits = []
    for share in _LATER_STARTS:
        first = min(int(share * len(t)), len(t) - LEAST_BINS // 2)
        part, values, weight = t[first:], y[first:], weights[first:]
        a, b, c = (float(value[0]) for value in _fit(part, values[None], weight[None]))
        fitted = a + b * part**-c
        # Three parameters take their share of the scatter.
        residuals = (values - fitted) * np.sqrt(len(part) / (len(part) - 3))
        drawn = random.choice(residuals, (_RESAMPLES, len(part)))
        fits.append(_fit(part, fitted + drawn, np.broadcast_to(weight, drawn.shape)))
    a_s, b_s, c_s = (np.concatenate(parts) for parts in zip(*fits, strict=True))
    return a_s, b_s, c_s
