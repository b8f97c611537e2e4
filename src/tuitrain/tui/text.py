"""Lines of text with roles: what every widget draws and what `watch --once` prints.

A role names what a piece of text means (`quiet`, `warn`, `run0`); the palette of the theme turns it into a colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size

from tuitrain.events.text import clean


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line, inert whatever it is made of. action: what a click on it does, as an action of the screen."""

    text: str
    role: str = "text"
    action: str = ""

    def __post_init__(self) -> None:
        if not self.text.isprintable():
            object.__setattr__(self, "text", clean(self.text))


Line = tuple[Span, ...]


def line(*parts: Span | str) -> Line:
    """A line of spans; a plain string has the role `text`."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def width(of: Line) -> int:
    """Terminal cells of a line."""
    return sum(cell_len(span.text) for span in of)


def plain(of: Line) -> str:
    """The text of a line without its roles."""
    return "".join(span.text for span in of)


def crop(of: Line, cells: int) -> Line:
    """At most `cells` cells of a line; what was cut ends in an ellipsis."""
    if width(of) <= cells:
        return of
    kept: list[Span] = []
    room = cells
    for span in of:
        size = cell_len(span.text)
        if size < room:
            kept.append(span)
            room -= size
            continue
        if room > 0:
            kept.append(Span(set_cell_size(span.text, room - 1) + "…", span.role, span.action))
        break
    return tuple(kept)


def fit(of: Line, cells: int) -> Line:
    """The line at exactly this width: cropped, or filled with spaces."""
    missing = cells - width(of)
    return (*of, Span(" " * missing)) if missing > 0 else crop(of, cells)


def align(text: str, cells: int, right: bool = False) -> str:
    """Text at exactly this width, at the left or at the right of it."""
    text = clean(text)
    missing = cells - cell_len(text)
    if missing < 0:
        return set_cell_size(text, cells - 1) + "…" if cells > 0 else ""
    return " " * missing + text if right else text + " " * missing


def spread(groups: Sequence[Line], cells: int, gap: int = 2) -> Line | None:
    """Groups over a whole line with equal room between them; None when they do not fit with `gap` cells each."""
    groups = [group for group in groups if group]
    room = cells - sum(width(group) for group in groups)
    if len(groups) < 2:
        return groups[0] if groups and room >= 0 else (() if room >= 0 else None)
    if room < gap * (len(groups) - 1):
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
