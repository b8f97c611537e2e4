"""Bars and graphs of readings, in block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuitrain.tui.text import Line, Span, line

_LOWER = " ▁▂▃▄▅▆▇█"
# Bits of a braille cell, from the top: its left column and its right one.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

Readings = Sequence[float | None]


def meter(share: float | None, cells: int, role: str = "accent") -> Line:
    """A bar of exactly `cells` cells; an unknown share is an empty series. The number stands beside it.

    Its cells are not full height, so that bars in rows one below another stay apart.
    """
    known = share is not None and math.isfinite(share)
    done = round(min(max(share, 0.0), 1.0) * cells) if known and share is not None else 0
    return line(Span("▇" * done, role), Span("▁" * (cells - done), "series"))


def spark(values: Readings, cells: int, top: float, role: str = "run0.faint") -> Line:
    """The newest readings as columns, the newest at the right, between 0 and `top`; a gap is unknown."""
    shown = _spread(values, cells)
    heights = [0 if share is None else max(1, round(share * 8)) for share in (_share(value, top) for value in shown)]
    return line(Span("".join(_LOWER[height] for height in heights), role))


def graph(values: Readings, cells: int, rows: int, top: float, role: str = "run0") -> list[Line]:
    """The newest readings as a braille curve, the newest at the right, between 0 and `top`; two columns a cell."""
    shown = _spread(values, 2 * cells)
    dots = [[0] * cells for _ in range(rows)]
    before: int | None = None
    for column, value in enumerate(shown):
        share = _share(value, top)
        height = None if share is None else round(share * (4 * rows - 1))
        if height is not None:
            low, high = (height, height) if before is None else (min(height, before), max(height, before))
            # A step from one reading to the next is drawn as an upright stroke, without the end that stands already.
            for level in range(low, high + 1):
                if level != before or level == height:
                    row, dot = divmod(4 * rows - 1 - level, 4)
                    dots[row][column // 2] |= _DOTS[column % 2][dot]
        before = height
    return [line(Span("".join(chr(0x2800 + bits) if bits else " " for bits in row), role)) for row in dots]


def _spread(values: Readings, columns: int) -> list[float | None]:
    """One reading a column, at most the newest `columns`; fewer are spread over all columns, each held to the next."""
    newest = values[-columns:]
    return [newest[column * len(newest) // columns] for column in range(columns)] if newest else [None] * columns


def _share(value: float | None, top: float) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return min(max(value / top, 0.0), 1.0) if top > 0 else 0.0
