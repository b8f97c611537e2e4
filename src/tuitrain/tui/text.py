"""Lines of text with roles, laid out on a screen: spread over its width, in paragraphs, in blocks side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from tuitrain.plots.terminal import Line, Span, align, crop, fit, join, line, plain, width, wrap

__all__ = [
    "Line", "Span", "align", "crop", "fit", "join", "line", "marked", "paragraphs",
    "plain", "spread", "width", "wrap",
]  # fmt: skip

_LEAST_CELLS = 12
"""Of a wrapped text, however little room there is."""


def spread(groups: Sequence[Line], cells: int) -> Line | None:
    """Groups over a whole line with equal room between them; None when they do not fit with two cells each."""
    groups = [group for group in groups if group]
    room = cells - sum(width(group) for group in groups)
    if len(groups) < 2:
        return groups[0] if groups and room >= 0 else (() if room >= 0 else None)
    if room < 2 * (len(groups) - 1):
        return None
    result: list[Span] = list(groups[0])
    for index, group in enumerate(groups[1:], start=1):
        between = room * index // (len(groups) - 1) - room * (index - 1) // (len(groups) - 1)
        result += [Span(" " * between), *group]
    return tuple(result)


def marked(text: str, role: str, pattern: re.Pattern[str]) -> Line:
    """A text in this role, the matches of a pattern in `match`."""
    spans: list[Span] = []
    end = 0
    for match in pattern.finditer(text):
        if match.end() > match.start():
            spans += [Span(text[end : match.start()], role), Span(match.group(), "match")]
            end = match.end()
    return tuple(span for span in (*spans, Span(text[end:], role)) if span.text)


def paragraphs(text: str, cells: int, role: str = "text", first: Line = ()) -> list[Line]:
    """A text wrapped to `cells` cells, the first row after `first` and the others after as many blanks."""
    indent = line(" " * width(first))
    rows = [row for paragraph in text.split("\n") for row in wrap(paragraph, max(cells - width(first), _LEAST_CELLS))]
    return [(*(indent if number else first), Span(row, role)) for number, row in enumerate(rows)]


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
