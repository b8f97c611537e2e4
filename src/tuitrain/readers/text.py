"""Lines, numbers and times in other tools' text."""

from __future__ import annotations

import math
import re
from datetime import datetime

LONGEST_LINE = 16 << 20
"""Bytes; a record of a thousand layers has a hundredth of that."""
TOO_LONG = f"longer than {LONGEST_LINE >> 20} MiB"
"""What is wrong with a longer line."""

_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_GROUPED_BY_POINTS = re.compile(r"[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_WORDS = {
    "nan": math.nan, "+nan": math.nan, "-nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf,
    "infinity": math.inf, "+infinity": math.inf, "-infinity": -math.inf,
}  # fmt: skip


class LineSplitter:
    """Turns pieces of any size into whole lines with their numbers, from 1; the last one waits for its end.

    ends: which bytes end a line; a progress bar ends its own with a carriage return. A line that is longer than
    LONGEST_LINE is cut to nothing and counted in `too_long`.
    """

    def __init__(self, carriage_return: bool = False) -> None:
        self._ends = re.compile(rb"\r\n|\n|\r(?!$)") if carriage_return else re.compile(rb"\r?\n")
        self._end_bytes = (b"\n", b"\r") if carriage_return else (b"\n",)
        self._partial = bytearray()
        self._dropping = False
        self.number = 0
        """The number of the last line that was returned."""

    def split(self, data: bytes) -> list[tuple[int, bytes | None]]:
        """The lines that these bytes complete, without their ends; None of one that is too long."""
        if self._partial and not self._partial.endswith(b"\r") and not any(end in data for end in self._end_bytes):
            # A long line that comes in small pieces is not searched again with each of them.
            self._keep(data)
            return []
        *lines, rest = self._ends.split(bytes(self._partial) + data) if self._partial else self._ends.split(data)
        result: list[tuple[int, bytes | None]] = []
        for line in lines:
            self.number += 1
            result.append((self.number, None if self._dropping or len(line) > LONGEST_LINE else line))
            self._dropping = False
        self._partial = bytearray()
        self._keep(rest)
        return result

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of a line, or more of it, unless it is too long."""
        self._partial += rest
        if len(self._partial) > LONGEST_LINE:
            self._partial, self._dropping = bytearray(), True

    @property
    def partial(self) -> bytes:
        """The beginning of the line that has no end yet."""
        return bytes(self._partial)


def as_float(value: float) -> float:
    """A number as a float; a whole one that is too large for it is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def position(value: float) -> float:
    """A number as a position on an axis. Raises ValueError for one that is none."""
    at = as_float(value)
    if not math.isfinite(at):
        raise ValueError("its step is not a finite number")
    return at


def number(text: str) -> float | None:
    """The number that a text is, in any of the spellings that logs use: 1e-4, 1_000, 1,234.5, 12.5%, nan, -Infinity.

    None where it is none. A decimal comma counts only where `decimal_comma` is asked for.
    """
    text = text.strip()
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        pass
    word = _WORDS.get(text.lower())
    if word is not None:
        return word
    if text.endswith("%"):
        return _hundredth(number(text[:-1])) if text[-2:] != "%%" else None
    return float(text.replace(",", "")) if _GROUPED.fullmatch(text) else None


def decimal_comma(text: str) -> float | None:
    """As `number`, where a comma separates the decimals, and points the thousands: 1.234,5."""
    text = text.strip()
    if _GROUPED_BY_POINTS.fullmatch(text):
        text = text.replace(".", "")
        return float(text.replace(",", "."))
    if text.endswith("%"):
        return _hundredth(decimal_comma(text[:-1])) if text[-2:] != "%%" else None
    return float(text.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(text) else number(text)


def _hundredth(value: float | None) -> float | None:
    return None if value is None else value / 100


def unix_time(text: str) -> float | None:
    """Unix seconds of a time as logs write it: ISO 8601, or a number of seconds or milliseconds; None otherwise.

    A time without a zone is one of this machine.
    """
    value = number(text)
    if value is not None:
        return seconds(value)
    try:
        moment = datetime.fromisoformat(text.strip().replace(",", "."))
    except ValueError:
        return None
    return moment.timestamp()


def seconds(value: float) -> float | None:
    """A number as Unix seconds, where it can be one, from 2001 on: in seconds, milliseconds, micro- or nanoseconds."""
    for factor in (1.0, 1e3, 1e6, 1e9):
        if 1e9 <= value / factor < 1e10:
            return value / factor
    return None
