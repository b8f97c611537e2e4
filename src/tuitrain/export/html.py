"""A report as one HTML file: figures are inside it, nothing is loaded and nothing runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tuitrain.export.blocks import Block, Heading, Picture, Sentences, Table, Verbatim
from tuitrain.export.grids import Cell, Grid
from tuitrain.text import clean, clean_lines

_TYPES = {"png": "image/png", "svg": "image/svg+xml"}
_STYLE = Path(__file__).with_name("report.css")
# A reader's browser refuses scripts, frames and anything from elsewhere, also where the escaping failed.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html(blocks: Sequence[Block], title: str) -> str:
    """The file."""
    style = _STYLE.read_text(encoding="utf-8")
    return (
        "<!doctype html>\n"
        f'<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(map(_block, blocks))
        + "\n</body>\n</html>\n"
    )


def _text(value: str) -> str:
    return escape(clean(value))


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
        case Sentences():
            return "\n".join(["<ul>", *(f"<li>{_text(each)}</li>" for each in block.texts), "</ul>"])
        case Table():
            return _table(block.grid)
        case Picture():
            data = base64.b64encode(block.path.read_bytes()).decode()
            kind = _TYPES[block.path.suffix[1:]]
            return f'<p><img alt="{_text(block.text)}" src="data:{kind};base64,{data}"></p>'
        case Verbatim():
            return f"<pre>{escape(clean_lines(block.text))}</pre>"


def _table(grid: Grid) -> str:
    head, *rows = grid
    names = "".join(f'<th scope="col">{_text(cell.text)}</th>' for cell in head)
    lines = ["<tr>" + "".join(_cell(cell, first=not at) for at, cell in enumerate(row)) + "</tr>" for row in rows]
    opening = f'<div class="table"><table>\n<thead><tr>{names}</tr></thead>\n<tbody>'
    return "\n".join([opening, *lines, "</tbody></table></div>"])


def _cell(cell: Cell, *, first: bool) -> str:
    shown = f"<code>{_text(cell.text)}</code>" if cell.is_key else _text(cell.text)
    shown = f"<strong>{shown}</strong>" if cell.best else shown
    shown += f" <small>{_text(cell.delta)}</small>" if cell.delta else ""
    return f'<th scope="row">{shown}</th>' if first else f"<td>{shown}</td>"
