"""What a table consists of: its columns, and the cells of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.tui.text import Line

GAP = 2
"""Terminal cells between two columns: the padding of a cell on both sides."""


@dataclass(frozen=True)
class Column:
    """A column. rank: the higher ones are left out first where the table is too wide; 0 always stays.

    right: whether cells are aligned to the right; longest: the most terminal cells it takes.
    """

    key: str
    title: str = ""
    right: bool = False
    rank: int = 0
    longest: int = 60
    role: str = "quiet"


Cells = Sequence[Line]
"""The cells of a row, one for each column."""
