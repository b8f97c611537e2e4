"""Blocks of lines side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from tuitrain.tui.text import Line, fit


def side_by_side(blocks: Sequence[Sequence[Line]], cells: int, count: int) -> list[Line]:
    """Blocks in `count` columns of equal width, filled from the top in their order."""
    rows = zip_longest(*_distribute(blocks, count), fillvalue=())
    return [tuple(span for part in parts for span in fit(part, cells // count)) for parts in rows]


def _distribute(blocks: Sequence[Sequence[Line]], count: int) -> list[list[Line]]:
    """The lines of blocks over at most `count` columns, no block cut, the longest column as short as that allows."""
    least = max((len(block) for block in blocks), default=0)
    for height in range(least, sum(map(len, blocks)) + 1):
        columns: list[list[Line]] = [[]]
        for block in blocks:
            if columns[-1] and len(columns[-1]) + len(block) > height:
                columns.append([])
            columns[-1].extend(block)
        if len(columns) <= count:
            return columns
    return [[]]
