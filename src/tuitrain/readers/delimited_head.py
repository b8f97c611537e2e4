"""Whether a file begins as a table of separated cells, CSV or TSV, and as one of a training log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from tuitrain.readers.delimited import cells_of, header_of
from tuitrain.readers.model import Probe
from tuitrain.readers.table import axis_among, is_log, is_result
from tuitrain.readers.text import decimal_comma, number

_ROWS_PROBED = 20
_LONGEST_HEADER = 12 << 10
_HEADER_LINES = 5
"""Without blank ones: the first that can be a header is it."""
_NAMES = re.compile(rb"step|iter|epoch|update|batch|loss|(?<![a-z0-9])(?:it|ep)(?![a-z0-9])", re.IGNORECASE)
"""What is in the names of the columns of a log: a word for steps or epochs, else for a loss."""
_COMMENTS = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:(?:#[^\n,;\t|]*|sep=.|[ \t])?\r?\n)*")
"""Lines that can stand before a header."""


@dataclass(frozen=True)
class Head:
    """The beginning of a table: its names, what separates them, and its first rows."""

    names: list[str]
    separator: str | None
    rows: list[list[str]]

    @property
    def numeric(self) -> list[str]:
        """The names of the columns that have a number in one of the rows."""
        read = decimal_comma if self.separator in (";", "\t") else number
        return [
            name
            for at, name in enumerate(self.names)
            if any(at < len(row) and read(row[at]) is not None for row in self.rows)
        ]

    @property
    def is_log(self) -> bool:
        """Whether it looks like a training log rather than like other data."""
        if not self.rows:
            # Of a run that has not logged yet; all names must be such as a log has, so that it is no sentence.
            axis = axis_among(self.names)
            return axis is not None and any(map(is_result, self.names)) and not any(" " in name for name in self.names)
        numeric = self.numeric
        return bool(numeric) and is_log(numeric, 2)

    @property
    def counting(self) -> str:
        """The first column whose rows have whole numbers that count up; empty where there is none, or one row."""
        read = decimal_comma if self.separator in (";", "\t") else number
        for at, name in enumerate(self.names):
            counts = [read(row[at]) if at < len(row) else None for row in self.rows if any(row)]
            whole = [count for count in counts if count is not None and count.is_integer()]
            if name and len(whole) == len(counts) > 1 and all(a < b for a, b in pairwise(whole)):
                return name
        return ""


def head_of(probe: Probe, any_name: bool = False) -> Head | None:
    """The beginning of the table in a file; None where it is none. any_name: also without words for steps or losses."""
    return None if probe.first in (b"{", b"[", b"<", b"") else _head(probe.head, any_name)


def _first_lines(head: bytes, count: int, start: int = 0) -> bytes:
    """The head up to the end of so many lines, counted from a byte on."""
    end = start
    for _ in range(count):
        end = head.find(b"\n", end) + 1
        if not end:
            return head
    return head[:end]


@lru_cache(maxsize=8)
def _head(head: bytes, any_name: bool) -> Head | None:
    comments = _COMMENTS.match(head, 0, _LONGEST_HEADER)
    start = comments.end() if comments is not None else 0
    first = head[start : head.find(b"\n", start) + 1]
    if not any(each in first for each in (b",", b";", b"\t", b"|", b"oss")):
        return None
    if not any_name and _NAMES.search(_first_lines(head, _HEADER_LINES, start)) is None:
        return None
    lines = [line for line in Probe(_first_lines(head, _ROWS_PROBED + 8)).lines if line.strip()]
    at = next((at for at, line in enumerate(lines[:_HEADER_LINES]) if header_of(line) is not None), None)
    header = header_of(lines[at]) if at is not None else None
    if header is None or at is None:
        return None
    names, separator = header
    if any(number(name) is not None or len(name) > 200 for name in names) or not any(names):
        return None
    rows = [cells_of(line, separator) for line in lines[at + 1 : at + 1 + _ROWS_PROBED]]
    fitting = sum(len(row) <= len(names) + 1 and (len(row) > 1 or len(names) == 1) for row in rows)
    return Head(names, separator, rows) if fitting * 2 >= len(rows) else None
