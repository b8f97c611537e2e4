"""A curve in one row of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from tuitrain.plots.terminal import Line, Span

LEVELS = "▁▂▃▄▅▆▇"
"""Without the full block, with which the curves of rows below each other would touch."""
BROKEN = "×"
_SHOWN_SHARE = 0.9
"""The highest values, the steep beginning of a loss, are cut off: they would press the rest flat."""


def sparkline(values: Sequence[float | None], role: str) -> Line:
    """One cell a value; None is empty, nan and inf are crosses.

    Heights are logarithmic where all values are positive, and relative to the values of this curve alone.
    """
    finite = sorted(value for value in values if value is not None and math.isfinite(value))
    scale = math.log if finite and finite[0] > 0 else float
    low = scale(finite[0]) if finite else 0.0
    high = scale(finite[math.ceil(_SHOWN_SHARE * (len(finite) - 1))]) if finite else 0.0

    def cell(value: float | None) -> tuple[str, str]:
        if value is None or not math.isfinite(value):
            return (" ", role) if value is None else (BROKEN, "bad")
        share = (scale(value) - low) / (high - low) if high > low else 0.5
        return LEVELS[max(0, min(int(share * len(LEVELS)), len(LEVELS) - 1))], role

    parts = groupby(map(cell, values), key=itemgetter(1))
    return tuple(Span("".join(text for text, _ in cells), of) for of, cells in parts)
