"""A curve in one row of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuitrain.tui.text import Line, Span

LEVELS = "▁▂▃▄▅▆▇"
"""Without the full block, with which the curves of rows below each other would touch."""
ASCII_LEVELS = "_.-=+*#"
BROKEN = "×"
_SHOWN_SHARE = 0.9
"""The highest values, the steep beginning of a loss, are cut off: they would press the rest flat."""


def sparkline(values: Sequence[float | None], role: str, *, ascii_only: bool = False) -> Line:
    """One cell a value; None is empty, nan and inf are crosses.

    Heights are logarithmic where all values are positive, and relative to the values of this curve alone.
    """
    levels = ASCII_LEVELS if ascii_only else LEVELS
    finite = sorted(value for value in values if value is not None and math.isfinite(value))
    scale = math.log if finite and finite[0] > 0 else float
    low = scale(finite[0]) if finite else 0.0
    high = scale(finite[math.ceil(_SHOWN_SHARE * (len(finite) - 1))]) if finite else 0.0
    spans: list[Span] = []
    for value in values:
        if value is None:
            text, style = " ", role
        elif not math.isfinite(value):
            text, style = "x" if ascii_only else BROKEN, "bad"
        else:
            share = (scale(value) - low) / (high - low) if high > low else 0.5
            text, style = levels[max(0, min(int(share * len(levels)), len(levels) - 1))], role
        if spans and spans[-1].role == style:
            spans[-1] = Span(spans[-1].text + text, style)
        else:
            spans.append(Span(text, style))
    return tuple(spans)
