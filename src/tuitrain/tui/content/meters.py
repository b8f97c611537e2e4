"""Bars and graphs of readings in block characters, as wide as the room they are given. Their styles are roles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_BLOCKS = " ▁▂▃▄▅▆▇█"
# Bits of a braille cell, from the top: its left column and its right one.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

Readings = Sequence[float | None]


@dataclass(frozen=True)
class Meter:
    """A bar for a share of 0 to 1, blank where that is unknown: an empty bar would mean 0.

    until: the share up to which the rest of the bar is drawn. It is lower than a cell, so that rows stay apart.
    """

    share: float | None
    role: str = "accent"
    until: float = 1.0
    rest: str = "series"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.share is not None:
            cells = options.max_width
            done = round(_clamped(self.share) * cells) if math.isfinite(self.share) else 0
            rest = max(round(self.until * cells) - done, 0)
            yield Text.assemble(("▇" * done, self.role), ("▁" * rest, self.rest))


@dataclass(frozen=True)
class Graph:
    """The newest readings between 0 and `top`, the newest at the right: in one row as blocks, else as a curve."""

    readings: Readings
    top: float
    rows: int = 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.rows == 1:
            shares = (self._share(value) for value in _stretched(self.readings, options.max_width))
            blocks = (" " if share is None else _BLOCKS[max(1, round(share * 8))] for share in shares)
            yield Text("".join(blocks), "run0.faint")
        else:
            yield from (Text(row, "run0") for row in self._curve(options.max_width))

    def _curve(self, cells: int) -> list[str]:
        """The rows of a braille curve, two readings a cell."""
        dots = [[0] * cells for _ in range(self.rows)]
        before: int | None = None
        for column, value in enumerate(_stretched(self.readings, 2 * cells)):
            share = self._share(value)
            height = None if share is None else round(share * (4 * self.rows - 1))
            if height is not None:
                low, high = sorted((height, height if before is None else before))
                # The vertical stroke from one reading to the next; its end at `before` is drawn in the column before.
                for level in range(low, high + 1):
                    if level != before or level == height:
                        row, dot = divmod(4 * self.rows - 1 - level, 4)
                        dots[row][column // 2] |= _DOTS[column % 2][dot]
            before = height
        return ["".join(chr(0x2800 + bits) if bits else " " for bits in row) for row in dots]

    def _share(self, value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return _clamped(value / self.top) if self.top > 0 else 0.0


def _clamped(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _stretched(values: Readings, columns: int) -> Readings:
    """One reading a column, at most the newest `columns`; fewer are spread over all columns, each held to the next."""
    newest = values[-columns:]
    return [newest[column * len(newest) // columns] for column in range(columns)] if newest else [None] * columns
