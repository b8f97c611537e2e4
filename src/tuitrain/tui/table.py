"""Tables as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.tui.text import Line, Span, fit, line, width

GAP = 2


@dataclass(frozen=True)
class Column:
    """rank: the higher ones are left out first where the table is too wide; 0 always stays."""

    title: str
    right: bool = False
    rank: int = 0
    longest: int = 60


def table(columns: Sequence[Column], rows: Sequence[Sequence[Line]], cells: int) -> tuple[Line, list[Line]]:
    """The heading and the rows of a table at most `cells` wide, each row as wide as its columns need."""
    sizes = [
        min(max([len(column.title), *(width(row[index]) for row in rows)]), column.longest)
        for index, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while sum(sizes[index] + GAP for index in kept) > cells + GAP:
        droppable = [index for index in kept if columns[index].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: (columns[index].rank, index)))
    over = sum(sizes[index] + GAP for index in kept) - GAP - cells
    if over > 0 and kept:
        widest = max(kept, key=lambda index: sizes[index])
        sizes[widest] = max(4, sizes[widest] - over)
    heading = _row([line(Span(column.title, "quiet")) for column in columns], columns, sizes, kept)
    return heading, [_row(row, columns, sizes, kept) for row in rows]


def _row(row: Sequence[Line], columns: Sequence[Column], sizes: list[int], kept: list[int]) -> Line:
    spans: list[Span] = []
    for position, index in enumerate(kept):
        if position:
            spans.append(Span(" " * GAP))
        cell = row[index]
        if columns[index].right and width(cell) < sizes[index]:
            spans.append(Span(" " * (sizes[index] - width(cell))))
            spans += cell
        else:
            spans += fit(cell, sizes[index])
    return tuple(spans)
