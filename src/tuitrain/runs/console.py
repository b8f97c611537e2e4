"""A console log of any size: only the requested lines are read, forwards or backwards from a position.

A position is a byte offset. Nothing is indexed, so a file of gigabytes opens as fast as an empty one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitrain.files import open_regular

BLOCK = 64 << 10
"""Bytes read at once; a line longer than this is shown as several."""

_ERROR = re.compile(r"^Traceback|\b\w*(Error|Exception)\b|\b(ERROR|CRITICAL|FATAL)\b|^\s*(error|fatal|critical):")
_WARNING = re.compile(r"\b\w*Warning\b|\b(WARN|WARNING)\b|^\s*warn(ing)?:")

Severity = Literal["error", "warning", ""]


@dataclass(frozen=True, slots=True)
class ConsoleLine:
    """One line: where it starts, where the next one starts, and its bytes without the line end."""

    start: int
    end: int
    raw: bytes

    @property
    def ended(self) -> bool:
        """Whether it has a line end: the last one may not yet, and a very long one comes in pieces without."""
        return self.end - self.start > len(self.raw)

    @property
    def text(self) -> str:
        """The line as a terminal shows it: a progress bar overwrites it, so what was written last."""
        return self.raw.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]


@dataclass(frozen=True)
class ConsoleMark:
    """Identifies a state of a file: it differs when the file was replaced or has changed."""

    inode: int
    size: int
    mtime_ns: int


class ConsoleFile:
    """The console of one process. Every method raises OSError when the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> ConsoleMark | None:
        """The file's state now; None when there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return ConsoleMark(status.st_ino, status.st_size, status.st_mtime_ns)

    def lines_from(self, start: int, count: int) -> list[ConsoleLine]:
        """At most `count` lines from the one that starts at this byte on."""
        lines_read: list[ConsoleLine] = []
        rest = b""
        with open_regular(self.path) as file:
            file.seek(start)
            while len(lines_read) < count:
                data = file.read(BLOCK)
                rest += data
                lines = split(rest, start, last=not data)
                lines_read += lines
                if not data:
                    break
                if lines:
                    rest, start = rest[lines[-1].end - start :], lines[-1].end
        return lines_read[:count]

    def lines_before(self, end: int, count: int) -> list[ConsoleLine]:
        """At most `count` lines that end at this byte or before it, in the order of the file."""
        blocks: list[list[ConsoleLine]] = []
        count_read = 0
        with open_regular(self.path) as file:
            while count_read < count and end > 0:
                begin = max(0, end - BLOCK)
                file.seek(begin)
                data = file.read(end - begin)
                if not data:
                    break  # The file is shorter than it was.
                lines = split(data, begin, last=True)
                if begin > 0 and len(lines) > 1:
                    # The first line of a block may have begun before it.
                    lines = lines[1:]
                blocks.append(lines)
                count_read, end = count_read + len(lines), lines[0].start
        return [line for lines in reversed(blocks) for line in lines][-count:]

    def last_lines(self, count: int) -> list[ConsoleLine]:
        """At most the last `count` lines. Raises FileNotFoundError when there is no console."""
        return self.lines_before(self.path.stat().st_size, count)

    def block_before(self, end: int, size: int) -> tuple[int, bytes]:
        """Whole lines before this byte, about `size` bytes of them: where they start, and the bytes."""
        begin = max(0, end - size)
        with open_regular(self.path) as file:
            file.seek(begin)
            data = file.read(end - begin)
        if begin == 0:
            return 0, data
        newline = data.find(b"\n", 0, len(data) - 1)
        return begin + newline + 1, data[newline + 1 :]

    def bytes_from(self, start: int, size: int) -> bytes:
        """At most `size` bytes from this one on."""
        with open_regular(self.path) as file:
            file.seek(start)
            return file.read(size)

    def last_line_start(self, end: int) -> int:
        """Where a line that is not ended yet starts before this byte; the byte itself where all lines are ended."""
        lines = self.lines_before(end, 1)
        return lines[0].start if lines and not lines[0].ended else end


def split(data: bytes, start: int, *, last: bool) -> list[ConsoleLine]:
    """The lines of some bytes that lie at `start`. last: whether what has no line end yet is a line too."""
    lines: list[ConsoleLine] = []
    at = 0
    while at < len(data):
        newline = data.find(b"\n", at, at + BLOCK)
        if newline >= 0:
            lines.append(ConsoleLine(start + at, start + newline + 1, data[at:newline]))
            at = newline + 1
            continue
        if len(data) - at < BLOCK and not last:
            break
        piece = data[at : at + BLOCK]
        lines.append(ConsoleLine(start + at, start + at + len(piece), piece))
        at += len(piece)
    return lines


def severity(text: str) -> Severity:
    """How bad what a line says is, by its words."""
    return "error" if _ERROR.search(text) else "warning" if _WARNING.search(text) else ""
