"""Following a log that grows: by polling its size, since network file systems send no notifications."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tuitrain.events import AnyRecord, BrokenLine, BrokenLineError, decode, decode_lines
from tuitrain.readers.blocks import Steps
from tuitrain.readers.model import Ending
from tuitrain.readers.tail import CHUNK_BYTES, FileTail
from tuitrain.readers.text import LONGEST_LINE, TOO_LONG

_BREAK, _OPENS, _CLOSES = b"\n{}"


@dataclass(frozen=True)
class Batch:
    """What one poll read. reset: the file was replaced or cut short, so earlier records are void.

    more: the chunk limit was reached and the next poll has further records at once. end: where
    the bytes that were read end; size: how large the file was. ending: what the log of another tool says about the end.
    """

    records: tuple[AnyRecord | Steps, ...] = ()
    broken: tuple[BrokenLine, ...] = ()
    reset: bool = False
    more: bool = False
    end: int = 0
    size: int = 0
    ending: Ending | None = None

    def __bool__(self) -> bool:
        return bool(self.records or self.broken or self.reset)


class Follower(Protocol):
    """Anything that yields batches of new records."""

    def poll(self) -> Batch:
        """The records that came since the last call; an empty batch when there are none."""


class LineParser:
    """Turns bytes into records, keeping a partial last line until its newline comes.

    A line longer than LONGEST_LINE is a broken one, and not kept.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._too_long = False
        self._line = 0

    def feed(self, data: bytes) -> tuple[tuple[AnyRecord, ...], tuple[BrokenLine, ...]]:
        """Records and broken lines in these bytes, in their order."""
        end = data.rfind(b"\n")
        if end < 0:
            self._keep(data)
            return (), ()
        whole = bytes(self._partial) + data[:end] if self._partial else data[:end]
        too_long, self._too_long, self._partial = self._too_long, False, bytearray()
        self._keep(data[end + 1 :])
        lines = _plain_lines(whole) if not too_long and len(whole) <= LONGEST_LINE else 0
        quickly = decode_lines(whole, lines) if lines else None
        if quickly is not None:
            self._line += len(quickly)
            return tuple(quickly), ()
        return self._one_by_one(whole.split(b"\n"), too_long)

    def _keep(self, partial: bytes) -> None:
        """Keep the beginning of a line, or more of it."""
        if not self._too_long:
            self._partial += partial
        if len(self._partial) > LONGEST_LINE:
            self._too_long, self._partial = True, bytearray()

    def _one_by_one(self, lines: list[bytes], too_long: bool) -> tuple[tuple[AnyRecord, ...], tuple[BrokenLine, ...]]:
        """The same line by line. too_long: of the first one only the end is there."""
        records: list[AnyRecord] = []
        broken: list[BrokenLine] = []
        for line in lines:
            self._line += 1
            if too_long or len(line) > LONGEST_LINE:
                broken.append(BrokenLine(self._line, TOO_LONG))
                too_long = False
                continue
            if not line.strip():
                continue
            try:
                record = decode(line)
            except BrokenLineError as error:
                broken.append(BrokenLine(self._line, str(error)))
                continue
            if record is not None:
                records.append(record)
        return tuple(records), tuple(broken)


def _plain_lines(data: bytes) -> int:
    """How many lines these are, where each begins and ends as an object does; 0 where one does not, or is blank."""
    signs = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(signs == _BREAK)
    if not len(breaks):
        return 1
    if not breaks[0] or breaks[-1] == len(signs) - 1:
        return 0
    between = (signs[breaks - 1] == _CLOSES) & (signs[breaks + 1] == _OPENS)
    return len(breaks) + 1 if between.all() else 0


class LogFollower:
    """Follows one file from byte `start`. A file that is missing, or vanishes, is waited for.

    first_bytes: the most that the first poll reads.
    """

    def __init__(self, path: Path, first_bytes: int = CHUNK_BYTES, start: int = 0) -> None:
        self._tail = FileTail(path, start)
        self._limit = first_bytes
        self._parser = LineParser()
        self.end_of_lines = start
        """Where the last whole line that was read ends, in bytes."""

    def poll(self) -> Batch:
        """Read what was appended since the last call, at most one chunk. Raises PermissionError and the like."""
        limit, self._limit = self._limit, CHUNK_BYTES
        piece = self._tail.read(limit)
        if piece.reset:
            self._parser, self.end_of_lines = LineParser(), 0
        if newline := piece.data.rfind(b"\n") + 1:
            self.end_of_lines = piece.end - len(piece.data) + newline
        records, broken = self._parser.feed(piece.data)
        return Batch(records, broken, piece.reset, piece.more, piece.end, piece.size)

    def remember(self, file: int) -> None:
        """Take this open file, up to the byte that was read last, for the one that is followed."""
        self._tail.remember(file)
