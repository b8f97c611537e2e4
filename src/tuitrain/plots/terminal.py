"""Lines of text whose pieces have roles, and the terminal's own sixteen colours for these roles."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.style import Style

from tuitrain.plots.roles import RUN_COLOURS, run_role

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


class Piece(NamedTuple):
    """A piece of a line. The role says what it means; a palette turns it into a colour."""

    text: str
    role: str = "text"


TextLine = tuple[Piece, ...]


def line_width(line: TextLine) -> int:
    """Terminal cells of a line."""
    return sum(cell_len(piece.text) for piece in line)


def fit_line(line: TextLine, cells: int) -> TextLine:
    """The line at exactly this width: filled with blanks, or cropped with an ellipsis at its end."""
    missing = cells - line_width(line)
    if missing >= 0:
        return (*line, Piece(" " * missing)) if missing else line
    kept: list[Piece] = []
    room = cells
    for piece in line:
        size = cell_len(piece.text)
        if size >= room:
            return (*kept, Piece(set_cell_size(piece.text, room - 1) + "…", piece.role)) if room > 0 else tuple(kept)
        kept.append(piece)
        room -= size
    return tuple(kept)


def render(lines: Iterable[TextLine], color: bool) -> str:
    """The lines as text without blanks at their ends, each ending in a newline.

    color: with the escape sequences of sixteen colours; without, the text holds no control codes but the newlines.
    """
    rows = []
    for line in lines:
        pieces = list(line)
        while pieces and not pieces[-1].text.strip():
            pieces.pop()
        if pieces:
            pieces[-1] = Piece(pieces[-1].text.rstrip(), pieces[-1].role)
        rows.append("".join(_painted(piece) if color else piece.text for piece in pieces))
    return "".join(f"{row}\n" for row in rows)


def _painted(piece: Piece) -> str:
    return _style(piece.role).render(piece.text, color_system=ColorSystem.STANDARD)


@cache
def _style(role: str) -> Style:
    return Style.parse(STYLES[role])
