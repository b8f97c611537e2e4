"""Student's t: Welch's test between two groups, and the quantile of an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEVEL = 0.05
"""A difference with a smaller p is called more than chance."""
_TERMS = 500
_TINY = 1e-300


@dataclass(frozen=True)
class Sample:
    """A group of measurements: how many, their mean, their sample standard deviation (None for fewer than two)."""

    count: int
    mean: float
    std: float | None


@dataclass(frozen=True)
class Welch:
    """Welch's t-test of two means. p is two-sided: how often equal means would differ by as much or more."""

    t: float
    df: float
    p: float

    @property
    def is_significant(self) -> bool:
        """Whether the means differ by more than chance explains, at LEVEL."""
        return self.p < LEVEL


def welch(one: Sample, other: Sample) -> Welch | None:
    """Welch's test, which does not assume equal variances (Welch 1947, Biometrika 34, with Satterthwaite's df).

    None where a group has fewer than two measurements, a mean is not finite, or neither group scatters.
    """
    if one.std is None or other.std is None or not math.isfinite(one.mean - other.mean):
        return None
    parts = [sample.std * sample.std / sample.count for sample in (one, other) if sample.std is not None]
    squared = math.fsum(parts)
    if not 0 < squared < math.inf:
        return None
    t = (one.mean - other.mean) / math.sqrt(squared)
    # As shares of the sum, whose squares neither overflow nor vanish.
    shares = [part / squared for part in parts]
    df = 1 / sum(share**2 / (sample.count - 1) for share, sample in zip(shares, (one, other), strict=True))
    return Welch(t, df, two_sided_p(t, df))


def two_sided_p(t: float, df: float) -> float:
    """The probability that Student's t with df > 0 degrees of freedom is at least |t| from 0.

    It is I_x(df/2, 1/2) with x = df / (df + t²) (DLMF 8.17).
    """
    if math.isinf(t):
        return 0.0
    scaled = t / math.sqrt(df)
    return _incomplete_beta(df / 2, 0.5, 1 / (1 + scaled * scaled), scaled * scaled / (1 + scaled * scaled))


def quantile(df: float, p: float = LEVEL) -> float:
    """The t that |t| exceeds with probability p: the half width of an interval in standard errors."""
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > p:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, df) > p else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularised incomplete beta function I_x(a, b); rest is 1 - x, given apart so that neither loses digits."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)) / a
    return front / _continued_fraction(a, b, x)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, by Lentz's method: the product of c_n · d_n."""
    value = c = 1.0
    d = 0.0
    for n in range(1, _TERMS):
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _nonzero(1 + term * d)
        c = _nonzero(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
