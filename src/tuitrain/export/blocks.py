"""The parts of a report, whatever it is written in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuitrain.export.grids import Grid


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is that of the report."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Sentences:
    """A list of sentences."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells below the names of the columns."""

    grid: Grid


@dataclass(frozen=True)
class Picture:
    """A figure in a file; text: what it shows, for who cannot see it."""

    path: Path
    text: str


@dataclass(frozen=True)
class Verbatim:
    """Text whose lines and blanks stay as they are."""

    text: str


Block = Heading | Sentences | Table | Picture | Verbatim
