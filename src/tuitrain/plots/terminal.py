"""Lines of text with roles: what every widget draws and what commands print, and a terminal's colours for the roles.

A role names what a piece of text means (`quiet`, `warn`, `run0`); a palette turns it into a colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.color import ColorSystem
from rich.style import Style

from tuitrain.plots.roles import RUN_COLOURS, run_role
from tuitrain.text import clean

_HUES = ("cyan", "green", "magenta", "blue", "bright_cyan", "bright_magenta")
_HEAT = ("dim blue", "blue", "cyan", "green", "bright_green", "yellow", "bright_yellow", "bright_red")
STYLES: dict[str, str] = {
    "text": "", "value": "", "title": "bold", "run.name": "bold", "key": "bold", "on": "bold underline",
    "cursor": "reverse", "quiet": "dim", "axis": "dim", "frame": "dim", "frame.focus": "", "grid": "dim",
    "series": "dim", "accent": "cyan", "val": "magenta", "level": "dim", "good": "green", "warn": "yellow",
    "bad": "red", "clip": "yellow", "superseded": "dim", "marker.checkpoint": "green", "marker.eval": "magenta",
    "marker.restart": "yellow", "marker.alert": "red", "crosshair": "dim", "match": "reverse",
    **{f"heat{level}": word for level, word in enumerate(_HEAT)},
    **{run_role(index): hue for index, hue in zip(range(RUN_COLOURS), _HUES, strict=True)},
    **{f"{run_role(index)}.faint": f"dim {hue}" for index, hue in zip(range(RUN_COLOURS), _HUES, strict=True)},
}  # fmt: skip
"""The rich style of each role on a terminal whose background is not known."""


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


def join(groups: Iterable[Line], between: Line) -> Line:
    """The groups that are not empty, with `between` between them."""
    result: list[Span] = []
    for group in groups:
        if group:
            result += [*between, *group] if result else group
    return tuple(result)


def align(text: str, cells: int, right: bool = False) -> str:
    """Text at exactly this width, at the left or at the right of it."""
    text = clean(text)
    missing = cells - cell_len(text)
    if missing < 0:
        return set_cell_size(text, cells - 1) + "…" if cells > 0 else ""
    return " " * missing + text if right else text + " " * missing


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


def render(lines: Iterable[Line], color: bool) -> str:
    """The lines as text without blanks at their ends, each ending in a newline.

    color: with the escape sequences of sixteen colours; without, the text holds no control codes but the newlines.
    """
    rows = []
    for spans in lines:
        length = len(plain(spans).rstrip())
        row = ""
        for span in spans:
            text = span.text[: max(length, 0)]
            length -= len(span.text)
            row += _style(span.role).render(text, color_system=ColorSystem.STANDARD) if color and text else text
        rows.append(f"{row}\n")
    return "".join(rows)


@cache
def _style(role: str) -> Style:
    return Style.parse(STYLES[role])
