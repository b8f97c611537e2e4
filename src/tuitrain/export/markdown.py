"""Markdown in which nothing that a log says is markup: GitHub's and Pandoc's tables, CommonMark for the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tuitrain.export.blocks import Block, Heading, Picture, Sentences, Table, Verbatim
from tuitrain.export.grids import Cell, Grid
from tuitrain.text import clean, clean_lines

_MARKUP = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])|^#|^[-+](?=\s|$)|^-(?=[-\s]*$)|^\d+(?=[.)](?:\s|$))")
"""Signs that mean something; an underscore within a word and a dash within a line mean nothing."""


def text(value: str) -> str:
    """One line of text that is shown as it is."""
    return _MARKUP.sub(_escaped, clean(value).strip())


def _escaped(match: re.Match[str]) -> str:
    sign = match[0]
    # A number is no markup, the point or bracket after it is.
    return f"{sign}\\" if sign[-1].isdigit() else f"\\{sign}"


def code(value: str) -> str:
    """One line of text as code, between more backticks than it has in a row."""
    value = clean(value).replace("|", "\\|")
    fence = "`" * (_longest_run(value, "`") + 1)
    blank = " " if value.startswith("`") or value.endswith("`") or not value.strip() else ""
    return f"{fence}{blank}{value}{blank}{fence}"


def verbatim(value: str) -> str:
    """Lines of text as a block of code."""
    value = clean_lines(value)
    fence = "`" * max(3, _longest_run(value, "`") + 1)
    return f"{fence}text\n{value}\n{fence}"


def _longest_run(value: str, sign: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(sign)}+", value)), default=0)


def table(grid: Grid) -> str:
    """A table; all columns but the first are aligned to the right."""
    head, *rows = ([_cell(cell) for cell in row] for row in grid)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _cell(cell: Cell) -> str:
    shown = code(cell.text) if cell.is_key else text(cell.text)
    shown = f"**{shown}**" if cell.best else shown
    return f"{shown} ({text(cell.delta)})" if cell.delta else shown


def sentences(texts: Sequence[str]) -> str:
    """A list."""
    return "\n".join(f"- {text(each)}" for each in texts)


def markdown(blocks: Sequence[Block], folder: Path) -> str:
    """A report as Markdown whose pictures lie in or below this folder."""
    return "\n\n".join(_block(block, folder) for block in blocks) + "\n"


def _block(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {text(block.text)}"
        case Sentences():
            return sentences(block.texts)
        case Table():
            return table(block.grid)
        case Picture():
            return f"![{text(block.text)}]({block.path.relative_to(folder).as_posix()})"
        case Verbatim():
            return verbatim(block.text)
