"""Blocks of lines side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tuitrain.tui.text import Line, Span, fit

Row = TypeVar("Row")


def side_by_side(blocks: Sequence[Sequence[Line]], cells: int, count: int) -> list[Line]:
    """Blocks in `count` columns of equal width, filled from the top in their order."""
    size = cells // count
    columns = distribute(blocks, count)
    height = max((len(column) for column in columns), default=0)
    lines: list[Line] = []
    for row in range(height):
        spans: list[Span] = []
        for column in columns:
            spans += fit(column[row] if row < len(column) else (), size)
        lines.append(tuple(spans))
    return lines


def distribute(blocks: Sequence[Sequence[Row]], count: int) -> list[list[Row]]:
    """The rows of blocks over at most `count` columns, no block cut, the longest column as short as that allows."""
    least = max((len(block) for block in blocks), default=0)
    for height in range(least, sum(map(len, blocks)) + 1):
        columns: list[list[Row]] = [[]]
        for block in blocks:
            if columns[-1] and len(columns[-1]) + len(block) > height:
                columns.append([])
            columns[-1].extend(block)
        if len(columns) <= count:
            return columns
    return [[]]
