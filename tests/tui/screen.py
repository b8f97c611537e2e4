"""The screen as text, for tests that state what a user sees whichever widgets show it."""

from __future__ import annotations

import html
import re

from rich.cells import cell_len
from textual.app import App

_TEXT = re.compile(r'<text[^>]*? x="([0-9.]+)"[^>]*?clip-path="url\(#[^"]*?-line-(\d+)\)"[^>]*>([^<]*)</text>')
_CELL = 12.2
"""Width of a terminal cell in the pictures that Textual exports, in their unit."""


def screen_lines(app: App[None]) -> list[str]:
    """The rows of the terminal from the top, each without the blanks at its end."""
    rows: list[dict[int, str]] = [{} for _ in range(app.size.height)]
    for x, row, text in _TEXT.findall(app.export_screenshot(title="")):
        rows[int(row)][round(float(x) / _CELL)] = html.unescape(text).replace("\xa0", " ")
    return [_row(pieces) for pieces in rows]


def _row(pieces: dict[int, str]) -> str:
    line = ""
    for column in sorted(pieces):
        line += " " * (column - cell_len(line)) + pieces[column]
    return line.rstrip()


def screen_text(app: App[None]) -> str:
    """All that a user sees, a row a line."""
    return "\n".join(screen_lines(app))
