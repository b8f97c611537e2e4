"""Search in a console: the pattern for a text, and a search of the file that can be cancelled."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from tuitrain.runs.console import ConsoleFile
from tuitrain.text import clean

BLOCK = 256 << 10
"""Bytes searched at once: the screen can draw between two blocks."""
MOST_MATCHES = 1_000_000
"""The search ends with this many matching lines."""


@dataclass(frozen=True)
class Query:
    """What is searched for. literal: whether the text is no valid regular expression and is matched as it is."""

    text: str
    pattern: re.Pattern[str]
    literal: bool

    def matches(self, text: str) -> bool:
        """Whether a line has a match."""
        return self.pattern.search(text) is not None


def query_of(text: str) -> Query | None:
    """The query for a text; None for an empty one. Case matters only if the text has a capital letter."""
    if not text:
        return None
    flags = re.MULTILINE if any(letter.isupper() for letter in text) else re.MULTILINE | re.IGNORECASE
    try:
        return Query(text, re.compile(text, flags), literal=False)
    except (re.error, OverflowError, RecursionError):
        return Query(text, re.compile(re.escape(text), flags), literal=True)


class Search:
    """The lines of a console that match a query, from the newest to the first.

    `run` reads the file block by block in a thread, and is called again when the file has grown; everything else may
    be called from other threads meanwhile. A line is identified by the byte at which it starts.
    """

    def __init__(self, file: ConsoleFile, query: Query, size: int) -> None:
        self.file, self.query = file, query
        self.problem = ""
        """Why the search ended early."""
        self._lock = threading.Lock()
        self._low = self._high = file.last_line_start(size)
        self._starts: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def full(self) -> bool:
        """Whether there are more matches than are kept."""
        return len(self) >= MOST_MATCHES

    @property
    def done(self) -> bool:
        """Whether everything is searched that was in the file when `run` read its end."""
        return self._low == 0 or self.full or bool(self.problem)

    @property
    def searched_bytes(self) -> int:
        """The byte up to which whole lines have been searched, towards the end of the file."""
        return self._high

    def before(self, start: int) -> int | None:
        """The nearest match above the line that starts at this byte."""
        with self._lock:
            index = bisect_left(self._starts, start)
            return self._starts[index - 1] if index else None

    def after(self, start: int) -> int | None:
        """The nearest match below the line that starts at this byte."""
        with self._lock:
            index = bisect_right(self._starts, start)
            return self._starts[index] if index < len(self._starts) else None

    def count_from(self, start: int) -> int:
        """How many matches are at this byte or below it."""
        with self._lock:
            return len(self._starts) - bisect_left(self._starts, start)

    def run(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Search what has not been searched. If the file cannot be read, the search ends with a `problem`.

        cancelled: asked before each block; once it is true the method returns.
        """
        try:
            while not cancelled() and self._search_newer():
                pass
            while not cancelled() and not self.done:
                start, data = self.file.block_before(self._low, BLOCK)
                matches = matching_lines(data, start, self.query)
                with self._lock:
                    self._starts[:0] = matches
                    self._low = start if data else 0
        except OSError as error:
            self.problem = f"cannot read the console: {error.strerror or error}"

    def _search_newer(self) -> bool:
        """One block towards the end of the file; returns whether there is more. A last line without end stays open."""
        data = self.file.bytes_from(self._high, BLOCK)
        whole = data[: data.rfind(b"\n") + 1] if len(data) < BLOCK or b"\n" in data else data
        matches = matching_lines(whole or data, self._high, self.query)
        with self._lock:
            self._starts[bisect_left(self._starts, self._high) :] = matches
            self._high += len(whole)
        return bool(whole)


def matching_lines(data: bytes, start: int, query: Query) -> list[int]:
    """The positions at which the matching lines of some bytes start; the bytes are at `start` in their file.

    Lines are matched as they are shown: without escape sequences, and without what a carriage return overwrote.
    """
    text = data.decode("utf-8", "surrogateescape")
    if "\x1b" not in text and "\r" not in text and not query.matches(text):
        return []  # Most blocks hold no match: that is known without looking at their lines.
    starts: list[int] = []
    for line in text.removesuffix("\n").split("\n"):
        if query.matches(clean(line.rstrip("\r").rpartition("\r")[2])):
            starts.append(start)
        start += len(line.encode("utf-8", "surrogateescape")) + 1
    return starts
