"""When two numbers of a log agree, and how their difference is put in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from tuitrain.analysis import units
from tuitrain.runs import FloatArray

MOST_ROUNDING = 0.05
"""The largest relative error that is taken for rounding."""
_DIGITS_LOOKED_AT = 7
"""Values of a column from which the number of its digits is taken."""


def rounding(value: float) -> float:
    """The relative error that writing a number with its digits can make: half of its last one, at most MOST_ROUNDING.

    Of 27.6 it is 0.05 / 27.6, of 7,000 it is MOST_ROUNDING.
    """
    if not math.isfinite(value) or value == 0:
        return 0.0
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return min(0.5 * 10.0 ** int(exponent) / abs(value), MOST_ROUNDING)


def rounding_of(values: FloatArray) -> float:
    """The same for a column: that of its most exact value among a few."""
    finite = values[np.isfinite(values) & (values != 0)]
    if not len(finite):
        return 0.0
    chosen = finite[np.linspace(0, len(finite) - 1, _DIGITS_LOOKED_AT).astype(int)]
    return min(rounding(float(value)) for value in chosen)


def middle(values: FloatArray) -> float:
    """The median of the positive values of a column; nan without any."""
    positive = values[np.isfinite(values) & (values > 0)]
    return float(np.median(positive)) if len(positive) else math.nan


def differ(stated: float, expected: float, tolerance: float) -> bool:
    """Whether two positive numbers differ by more than a relative tolerance, whichever is larger."""
    return max(stated, expected) > min(stated, expected) * (1 + tolerance)


def nearest(value: float, candidates: Iterable[float]) -> float:
    """The candidate with the smallest ratio to a value; all are positive and finite."""
    return min(candidates, key=lambda each: abs(math.log(each) - math.log(value)))


def comparison(stated: float, expected: float) -> str:
    """How much more or less the first of two positive numbers is: `4.01 times as much`, `2.0 % less`."""
    ratio = stated / expected
    if ratio >= 1.5:
        return f"{units.exact(ratio, 3)} times as much"
    if ratio <= 1 / 1.5:
        return f"1/{units.exact(1 / ratio, 3)} of that"
    return f"{units.percent(abs(ratio - 1))} {'more' if ratio > 1 else 'less'}"


def steps_text(steps: tuple[int, int]) -> str:
    """`step 5`, or `steps 5 to 90`."""
    first, last = steps
    return f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"


@dataclass(frozen=True)
class Mismatch:
    """Rows of a column that differ from what they should be. stated, expected: of one of them."""

    rows: int
    of: int
    steps: tuple[int, int]
    stated: float
    expected: float

    @property
    def where(self) -> str:
        """Which rows, as the beginning of a sentence."""
        if self.rows == self.of:
            return f"At {steps_text(self.steps)}"
        return f"In {self.rows:,} of {self.of:,} records ({steps_text(self.steps)})"


def mismatch(
    steps: FloatArray, stated: FloatArray, expected: FloatArray, tolerance: float, *, each: bool
) -> Mismatch | None:
    """Compare two columns of positive values; None where they agree.

    each: every row has to agree; else the row in the middle, by their ratios, has to, since tools mix means over some
    steps with values of one. Rows without two positive values do not count.
    """
    ratios = stated / expected
    rows = np.flatnonzero(np.isfinite(ratios) & (stated > 0) & (ratios > 0))
    if not len(rows):
        return None
    ratios = ratios[rows]
    outside = rows[(ratios > 1 + tolerance) | (ratios < 1 / (1 + tolerance))]
    middle = rows[np.argsort(ratios)[len(rows) // 2]]
    if not len(outside) or (not each and middle not in outside):
        return None
    shown = middle if middle in outside else outside[0]
    return Mismatch(
        len(outside), len(rows), (int(steps[outside[0]]), int(steps[outside[-1]])),
        float(stated[shown]), float(expected[shown]),
    )  # fmt: skip
