"""Lines of text with roles, laid out: aligned, spread, joined and wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

from tuitrain.events.text import clean
from tuitrain.plots.terminal import Line, Span, crop, fit, line, plain, width

__all__ = ["Line", "Span", "align", "crop", "fit", "join", "line", "plain", "spread", "width", "wrap"]


def align(text: str, cells: int, right: bool = False) -> str:
    """Text at exactly this width, at the left or at the right of it."""
    text = clean(text)
    missing = cells - cell_len(text)
    if missing < 0:
        return set_cell_size(text, cells - 1) + "…" if cells > 0 else ""
    return " " * missing + text if right else text + " " * missing


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


def join(groups: Iterable[Line], between: Line) -> Line:
    """The groups that are not empty, with `between` between them."""
    result: list[Span] = []
    for group in groups:
        if group:
            result += [*between, *group] if result else group
    return tuple(result)


def wrap(text: str, cells: int) -> list[str]:
    """One paragraph in rows of at most `cells` cells, broken at spaces where there are any."""
    rows: list[str] = []
    for word in re.findall(r"\s*\S+|\s+$", clean(text)) or [""]:
        if rows and cell_len(rows[-1]) + cell_len(word) <= cells:
            rows[-1] += word
            continue
        word = word.lstrip() if rows else word
        rows += chop_cells(word, max(cells, 2)) or [""]
    return rows
