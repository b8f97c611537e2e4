"""Finding text: what is typed after `/` as a pattern, and a search through a console that stops when nobody waits."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import neg

from tuitrain.events.text import clean
from tuitrain.runs.console import ConsoleFile
from tuitrain.tui.text import Line, Span

BLOCK = 256 << 10
"""Bytes searched at once: the screen can draw between two blocks."""
MOST_MATCHES = 1_000_000
"""More lines than this nobody goes through; the count says so."""


@dataclass(frozen=True)
class Query:
    """What is searched for. literal: whether it is no valid regular expression, and taken as it stands."""

    text: str
    pattern: re.Pattern[str]
    literal: bool

    def found_in(self, text: str) -> bool:
        """Whether a line holds it."""
        return self.pattern.search(text) is not None

    def marked(self, text: str, role: str, match_role: str = "match") -> Line:
        """A line with what was found set off."""
        spans: list[Span] = []
        at = 0
        for match in self.pattern.finditer(text):
            if match.end() == match.start():
                continue
            if match.start() > at:
                spans.append(Span(text[at : match.start()], role))
            spans.append(Span(match.group(), match_role))
            at = match.end()
        return (*spans, Span(text[at:], role)) if at < len(text) else tuple(spans)


def query_of(text: str) -> Query | None:
    """The query for what was typed; None for nothing. Upper and lower case count only where capitals were typed."""
    if not text:
        return None
    flags = re.MULTILINE if any(letter.isupper() for letter in text) else re.MULTILINE | re.IGNORECASE
    try:
        return Query(text, re.compile(text, flags), literal=False)
    except (re.error, OverflowError, RecursionError):
        return Query(text, re.compile(re.escape(text), flags), literal=True)


class Search:
    """Lines of a console that hold a query: first the newest part of it, then back to the beginning.

    `run` works in a thread of its own, block by block, and can be called again when the file has grown; the rest may
    be asked from anywhere at any time. A line is named by the byte it starts at.
    """

    def __init__(self, file: ConsoleFile, query: Query, size: int) -> None:
        self.file, self.query = file, query
        self.problem = ""
        """Why the search ended early."""
        self._lock = threading.Lock()
        self._low = self._high = file.last_line_start(size)
        self._newer: list[int] = []
        """Found at or after where the search began, in the order of the file."""
        self._older: list[int] = []
        """Found before it, the newest first."""
        self._cancelled = threading.Event()

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    @property
    def full(self) -> bool:
        """Whether there are more than are kept."""
        return len(self) >= MOST_MATCHES

    @property
    def done(self) -> bool:
        """Whether there is nothing left to search, but for what is written from now on."""
        return self._low == 0 or self.full or bool(self.problem) or self._cancelled.is_set()

    @property
    def reached(self) -> int:
        """The byte up to which whole lines have been searched, towards the end of the file."""
        return self._high

    def cancel(self) -> None:
        """Nobody waits any more: the thread ends after the block it is in."""
        self._cancelled.set()

    def before(self, place: int) -> int | None:
        """The nearest line found above the one at this byte."""
        with self._lock:
            index = bisect_left(self._newer, place)
            if index:
                return self._newer[index - 1]
            index = bisect_right(self._older, -place, key=neg)
            return self._older[index] if index < len(self._older) else None

    def after(self, place: int) -> int | None:
        """The nearest line found below the one at this byte."""
        with self._lock:
            index = bisect_left(self._older, -place, key=neg)
            if index:
                return self._older[index - 1]
            index = bisect_right(self._newer, place)
            return self._newer[index] if index < len(self._newer) else None

    def from_the_end(self, place: int) -> int:
        """How many lines were found from this byte on."""
        with self._lock:
            newer = len(self._newer) - bisect_left(self._newer, place)
            return newer + bisect_right(self._older, -place, key=neg)

    def run(self) -> None:
        """Search what has not been searched. A file that cannot be read ends it with a `problem`."""
        try:
            while not self._cancelled.is_set() and self._search_newer():
                pass
            while not self._cancelled.is_set() and not self.done:
                start, data = self.file.block_before(self._low, BLOCK)
                found = matching_lines(data, start, self.query)
                with self._lock:
                    self._older += reversed(found)
                    self._low = start if data else 0
        except OSError as error:
            self.problem = f"cannot read the console: {error.strerror or error}"

    def _search_newer(self) -> bool:
        """One block towards the end of the file; returns whether there is more. The unended last line stays open."""
        data = self.file.bytes_from(self._high, BLOCK)
        whole = data[: data.rfind(b"\n") + 1] if len(data) < BLOCK or b"\n" in data else data
        found = matching_lines(whole or data, self._high, self.query)
        with self._lock:
            while self._newer and self._newer[-1] >= self._high:
                self._newer.pop()
            self._newer += found
            self._high += len(whole)
        return bool(whole)


def matching_lines(data: bytes, start: int, query: Query) -> list[int]:
    """Where the lines of these bytes start that hold the query; the bytes lie at `start` in their file."""
    text = data.decode("utf-8", "surrogateescape")
    if "\x1b" in text or "\r" in text:
        return _line_by_line(text, start, query)
    found: list[int] = []
    at, counted, offset = 0, 0, start
    while at < len(text) and (match := query.pattern.search(text, at)) is not None:
        line_start = text.rfind("\n", 0, match.start()) + 1
        line_end = text.find("\n", match.start())
        line_end = len(text) if line_end < 0 else line_end
        if line_start >= len(text):
            break  # An empty match after the last line end.
        # A pattern that runs over the end of a line has found nothing that a line holds.
        if match.end() <= line_end or query.found_in(text[line_start:line_end]):
            offset, counted = offset + _bytes(text, counted, line_start), line_start
            found.append(offset)
        at = line_end + 1
    return found


def _line_by_line(text: str, start: int, query: Query) -> list[int]:
    """As a person sees the lines: without escape sequences, and what overwrote itself only as it stands last."""
    found: list[int] = []
    for each in text.split("\n"):
        if query.found_in(clean(each.rstrip("\r").rpartition("\r")[2])):
            found.append(start)
        start += _bytes(each, 0, len(each)) + 1
    # What follows the last line end is no line.
    return found[:-1] if found and text.endswith("\n") and found[-1] == start - 1 else found


def _bytes(text: str, begin: int, end: int) -> int:
    piece = text[begin:end]
    return len(piece) if piece.isascii() else len(piece.encode("utf-8", "surrogateescape"))
