"""Tables as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.tui.text import Line, Span, fit, line, width

GAP = 2


@dataclass(frozen=True)
class Column:
    """rank: the higher ones are left out first where the table is too wide; 0 always stays.

    sort: what rows are ordered by where this column is chosen for it; action: what a click on its heading does.
    """

    title: str
    right: bool = False
    rank: int = 0
    longest: int = 60
    sort: str = ""
    action: str = ""
    role: str = "quiet"


@dataclass(frozen=True)
class Fitted:
    """Which columns are shown, by their index, and the cells of every column."""

    kept: tuple[int, ...]
    sizes: tuple[int, ...]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Line]], cells: int) -> tuple[Line, list[Line]]:
    """The heading and the rows of a table at most `cells` wide, each row as wide as its columns need."""
    widths = [widths_of(row) for row in rows]
    fitted = fit_columns(columns, widths, cells)
    body = [row_line(row, found, columns, fitted) for row, found in zip(rows, widths, strict=True)]
    return heading_line(columns, fitted), body


def widths_of(row: Sequence[Line]) -> tuple[int, ...]:
    """The cells that each value of a row takes."""
    return tuple(width(value) for value in row)


def fit_columns(columns: Sequence[Column], widths: Sequence[Sequence[int]], cells: int) -> Fitted:
    """Columns as wide as their values in rows of these widths, as many of them as fit."""
    sizes = [
        min(max([width(line(column.title)), *(row[index] for row in widths)]), column.longest)
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
    return Fitted(tuple(kept), tuple(sizes))


def heading_line(columns: Sequence[Column], fitted: Fitted) -> Line:
    """The titles of the columns."""
    titles = [line(Span(column.title, column.role, column.action)) for column in columns]
    return row_line(titles, widths_of(titles), columns, fitted)


def row_line(row: Sequence[Line], widths: Sequence[int], columns: Sequence[Column], fitted: Fitted) -> Line:
    """A row whose values have these widths."""
    spans: list[Span] = []
    for position, index in enumerate(fitted.kept):
        if position:
            spans.append(Span(" " * GAP))
        missing = fitted.sizes[index] - widths[index]
        if missing < 0:
            spans += fit(row[index], fitted.sizes[index])
        elif columns[index].right:
            spans += (Span(" " * missing), *row[index]) if missing else row[index]
        else:
            spans += (*row[index], Span(" " * missing)) if missing else row[index]
    return tuple(spans)
