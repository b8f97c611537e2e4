"""Bars and graphs of readings in block characters, and the headings of the sections that hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuitrain.tui.text import Line, Span, line, width

_BLOCKS = " ▁▂▃▄▅▆▇█"
# Bits of a braille cell, from the top: its left column and its right one.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

Readings = Sequence[float | None]


def section(title: str, cells: int, note: str = "") -> Line:
    """A heading with a rule to the right edge."""
    head = line(" ", Span(title, "title"), Span(f"  {note}" if note else "", "quiet"), " ")
    return (*head, Span("─" * max(cells - width(head) - 1, 0), "frame"))


def meter(share: float | None, cells: int, role: str = "accent") -> Line:
    """A bar of exactly `cells` cells for a share of 0 to 1, blank where that is unknown: an empty bar would mean 0.

    It is lower than a cell, so that bars in successive rows stay apart.
    """
    if share is None:
        return line(" " * cells)
    done = round(min(max(share, 0.0), 1.0) * cells) if math.isfinite(share) else 0
    return line(Span("▇" * done, role), Span("▁" * (cells - done), "series"))


def spark(values: Readings, cells: int, top: float, role: str = "run0.faint") -> Line:
    """The newest readings as columns, the newest at the right, between 0 and `top`; a gap is unknown."""
    shares = (_share(value, top) for value in _stretched(values, cells))
    return line(Span("".join(" " if share is None else _BLOCKS[max(1, round(share * 8))] for share in shares), role))


def graph(values: Readings, cells: int, rows: int, top: float, role: str = "run0") -> list[Line]:
    """The newest readings as a braille curve, the newest at the right, between 0 and `top`; two columns a cell."""
    dots = [[0] * cells for _ in range(rows)]
    before: int | None = None
    for column, value in enumerate(_stretched(values, 2 * cells)):
        share = _share(value, top)
        height = None if share is None else round(share * (4 * rows - 1))
        if height is not None:
            low, high = sorted((height, height if before is None else before))
            # The vertical stroke from one reading to the next; its end at `before` is drawn in the column before.
            for level in range(low, high + 1):
                if level != before or level == height:
                    row, dot = divmod(4 * rows - 1 - level, 4)
                    dots[row][column // 2] |= _DOTS[column % 2][dot]
        before = height
    return [line(Span("".join(chr(0x2800 + bits) if bits else " " for bits in row), role)) for row in dots]


def _stretched(values: Readings, columns: int) -> Readings:
    """One reading a column, at most the newest `columns`; fewer are spread over all columns, each held to the next."""
    newest = values[-columns:]
    return [newest[column * len(newest) // columns] for column in range(columns)] if newest else [None] * columns


def _share(value: float | None, top: float) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return min(max(value / top, 0.0), 1.0) if top > 0 else 0.0
