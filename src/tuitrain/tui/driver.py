"""The terminal driver, which writes only the cells that change, as curses does.

Textual writes each changed part of a line from the left edge of its widget on, with both colours at every piece of
text: over a slow link those are most of the bytes. Tests compare the result with a terminal emulator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import repeat

from rich.cells import cell_len
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

_TOKEN = re.compile(
    r"\x1b\[(?P<style>[0-9;]*)m"
    r"|\x1b\[(?P<row>\d+);(?P<column>\d+)H"
    r"|(?P<mode>\x1b\[\?(?:25|2026)[hl])"  # the cursor is shown or not, synchronised output
    r"|(?P<feed>\n)"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<other>\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_^X].*?(?:\x07|\x1b\\)|.)?|.)",
    re.S,
)
_GAP = 4
"""Cells that stayed the same and are written again, since moving past them takes as many bytes."""

Cell = tuple[str, str]
"""A character and the codes of its style (SGR: ECMA-48 8.3.117)."""
_RIGHT_HALF: Cell = "", ""
"""The second cell of a wide character."""
_width = cache(cell_len)
"""Cells of a character."""


class TerminalCells:
    """The cells that a terminal shows. Called with text and escape sequences it returns what changes the cells.

    A sequence that is not known here is written as it is; all cells are written again after it.
    """

    def __init__(self) -> None:
        self._rows: dict[int, list[Cell | None]] = {}
        self._position: tuple[int, int] | None = None
        """Row and column of what is written next; None: not known."""
        self._cursor: tuple[int, int] | None = None
        """Where the cursor of the terminal is."""
        self._style = self._terminal_style = ""

    def forget(self) -> None:
        """Write every cell again that is drawn from now on, as after a change of the terminal's size."""
        self._rows.clear()
        self._cursor = None

    def __call__(self, data: str) -> str:
        out: list[str] = []
        for token in _TOKEN.finditer(data):
            kind = token.lastgroup
            if kind == "style":
                codes = token[1]
                self._style = "" if codes in ("", "0") else f"{self._style};{codes}" if self._style else codes
            elif kind == "column":
                self._position = int(token["row"]), int(token["column"])
            elif kind == "text" and self._position is not None and (token[0].isascii() or all(map(_width, token[0]))):
                self._put(*self._position, token[0], out)
            elif kind == "mode":
                out.append(token[0])
            else:
                self._prepare(out)
                out.append(token[0])
                self._position = None
                if kind != "feed":
                    self.forget()
        if out and self._position is not None:
            self._prepare(out)
        return "".join(out)

    def _put(self, row: int, column: int, text: str, out: list[str]) -> None:
        """Write those cells of a text that the terminal does not show yet."""
        new: list[Cell] = list(zip(text, repeat(self._style)))
        if not text.isascii():
            new = [cell for each in new for cell in (each, _RIGHT_HALF)[: _width(each[0])]]
        end = column + len(new)
        self._position = row, end
        shown = self._rows.setdefault(row, [])
        if len(shown) < end:
            shown += [None] * (end - len(shown))
        old = shown[column:end]
        if new == old:
            return
        shown[column:end] = new
        for start, stop in _differences(new, old):
            self._position = row, column + start
            self._prepare(out)
            out += [character for character, _ in new[start:stop]]
            self._cursor = row, column + stop
            if old[start] == _RIGHT_HALF:
                # Half of a wide character is overwritten: a terminal clears the other half.
                shown[column + start - 1] = None
        self._position = row, end

    def _prepare(self, out: list[str]) -> None:
        """Move the cursor of the terminal to the position and give it the style."""
        if self._position is not None and self._position != self._cursor:
            row, column = self._cursor = self._position
            out.append(f"\x1b[{row};{column}H")
        if self._style != self._terminal_style:
            self._terminal_style = self._style
            out.append(f"\x1b[0;{self._style}m" if self._style else "\x1b[m")


def _differences(new: list[Cell], old: list[Cell | None]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of cells that differ; short gaps are taken in, wide characters not cut."""
    if not any(old):
        yield 0, len(new)
        return
    start = end = -1
    for index, (one, other) in enumerate(zip(new, old, strict=True)):
        if one == other:
            continue
        if start >= 0 and index - end > _GAP:
            yield start, end
            start = -1
        if start < 0:
            start = index - (one == _RIGHT_HALF)
        end = index + 1
        if end < len(new) and new[end] == _RIGHT_HALF:
            end += 1
    yield start, end


def changed_cells_only(driver: type[Driver], cells: TerminalCells) -> type[Driver]:
    """The driver for terminals, writing through `cells`; any other, as for a browser or a test, as it is."""
    if driver is not LinuxDriver:
        return driver

    class ChangedCellsDriver(LinuxDriver):
        def write(self, data: str) -> None:
            if written := cells(data):
                super().write(written)

    return ChangedCellsDriver
