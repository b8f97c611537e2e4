"""A table of texts as part of a figure."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes

from tuitrain.export.draw_notes import write_reason
from tuitrain.export.style import font, grey, ink, pale, thick
from tuitrain.plots.model import NO_DATA, TextTable

_LEADING = 1.35
"""The distance of lines, in sizes of the font."""
_CHARACTER = 0.6021
"""The width of a character of DejaVu Sans Mono, in sizes of the font."""
_SIZE, _HEAD = 7.5, 2.2
"""The size of the text, and the height of the head in lines."""
_MARGINS, _ABOVE = 0.25, 0.5
"""Inches to the left and the right together, and of the title with the margins above and below."""
_MOST_LINES = 6
"""Of one text."""
_WIDEST = 18
"""Characters of a column other than the last."""


def draw_texts(axes: Axes, table: TextTable) -> None:
    """The newest rows that fit a figure of their own, with rules above, below and under the head."""
    axes.axis("off")
    if not table.rows:
        reason = table.empty if table.empty != NO_DATA else f"n/a: the log has no {table.title}"
        write_reason(axes, reason)
        return
    width, height = (float(side) for side in axes.figure.get_figure(root=True).get_size_inches())
    columns, widths, rows = _laid_out(table, width)
    room = (height - _ABOVE * font(1)) * 72 / font(_SIZE) / _LEADING
    while len(rows) > 1 and _HEAD + sum(map(_height, rows)) > room:
        rows = rows[1:]
    starts = [sum(widths[:number]) / columns for number in range(len(widths))]
    end = _HEAD + sum(map(_height, rows))
    axes.set_xlim(0, 1)
    axes.set_ylim(max(end, room), 0)
    mono: dict[str, Any] = {"family": "monospace", "fontsize": font(_SIZE), "va": "top", "linespacing": _LEADING / 1.2}
    for start, heading in zip(starts, table.headings, strict=True):
        axes.text(start, 0.35, heading, fontsize=font(8), color=grey(), va="top")
    for y, weight in ((0.0, 1.0), (_HEAD - 0.3, 0.6), (end, 1.0)):
        axes.axhline(y, color=ink() if weight == 1.0 else pale(), linewidth=thick(weight), clip_on=False)
    at = _HEAD
    for row in rows:
        for number, (start, lines) in enumerate(zip(starts, row, strict=True)):
            axes.text(start, at, "\n".join(lines), color=ink() if number else grey(), **mono)
        at += _height(row)


def height_of(table: TextTable, inches: float) -> float:
    """The height in inches of a table of this width, with its title."""
    _, _, rows = _laid_out(table, inches)
    lines = _HEAD + sum(map(_height, rows)) if rows else 8
    return lines * _LEADING * font(_SIZE) / 72 + _ABOVE * font(1)


def _laid_out(table: TextTable, inches: float) -> tuple[int, list[int], list[list[list[str]]]]:
    """How many characters fit side by side, the widths of the columns, and of each row the lines of its texts."""
    columns = int((inches - _MARGINS) * 72 / font(_SIZE) / _CHARACTER)
    widths = [
        min(max(len(line) for text in texts for line in text.split("\n")), _WIDEST) + 2
        for texts in zip(table.headings[:-1], *(row[:-1] for row in table.rows), strict=True)
    ]
    widths.append(max(columns - sum(widths), 10))
    rows = [[_wrapped(text, width) for text, width in zip(row, widths, strict=True)] for row in table.rows]
    return columns, widths, rows


def _height(row: list[list[str]]) -> float:
    return max(map(len, row)) + 0.6


def _wrapped(text: str, columns: int) -> list[str]:
    """The lines of a text, cut to so many columns and _MOST_LINES lines."""
    lines = [
        piece
        for line in text.expandtabs(4).rstrip().split("\n")
        for piece in (textwrap.wrap(line, columns, drop_whitespace=False, replace_whitespace=False) or [""])
    ]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1][: columns - 1]}…"]
    return lines
