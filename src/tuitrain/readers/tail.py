"""Following a file that grows, by polling: network file systems send no notifications."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuitrain.events import BrokenLine
from tuitrain.files import open_regular
from tuitrain.readers.encoding import Decoding
from tuitrain.readers.model import Parser, Reading, RunInfo

CHUNK_BYTES = 4 << 20
_MEMORY_BYTES = 64


@dataclass(frozen=True)
class Piece:
    """Bytes that were appended. reset: the file was replaced, cut or rewritten, so the bytes before are void.

    more: the limit of one read was reached. end: where the bytes end in the file; size: how large it was.
    """

    data: bytes = b""
    reset: bool = False
    more: bool = False
    end: int = 0
    size: int = 0


class FileTail:
    """Reads what is appended to a file, from byte `start` on. A missing file is waited for."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path = path
        self._offset = start
        self._inode: int | None = None
        self._tail = b""

    def read(self, limit: int = CHUNK_BYTES) -> Piece:
        """At most `limit` further bytes. Raises PermissionError and the like."""
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            return Piece()
        with file:
            status = os.fstat(file.fileno())
            reset = self._was_replaced(file.fileno(), status)
            if reset:
                self._offset, self._tail = 0, b""
            data = os.pread(file.fileno(), limit, self._offset)
            self._offset += len(data)
            self.remember(file.fileno())
        return Piece(data, reset, len(data) == limit, self._offset, status.st_size)

    def remember(self, file: int) -> None:
        """Take this open file, up to the byte that was read last, for the one that is followed."""
        self._inode = os.fstat(file).st_ino
        self._tail = os.pread(file, min(_MEMORY_BYTES, self._offset), max(0, self._offset - _MEMORY_BYTES))

    def _was_replaced(self, file: int, status: os.stat_result) -> bool:
        """Whether this is not the file that was read before: another inode, shorter, or rewritten in place."""
        if self._inode is None or not self._offset:
            return False
        if status.st_ino != self._inode or status.st_size < self._offset:
            return True
        return os.pread(file, len(self._tail), self._offset - len(self._tail)) != self._tail


class TailReader:
    """A reader of one file that only grows, with the parser of its format."""

    def __init__(self, path: Path, parser: Callable[[], Parser]) -> None:
        self._tail = FileTail(path)
        self._make = parser
        self._parser = parser()
        self._decoding = Decoding()

    @property
    def info(self) -> RunInfo:
        """What the parser knows of the run."""
        return self._parser.info

    def poll(self) -> Reading:
        """The items of what was appended."""
        piece = self._tail.read(0 if self._decoding.more else CHUNK_BYTES)
        if piece.reset:
            self._parser, self._decoding = self._make(), Decoding()
        try:
            data = self._decoding.feed(piece.data)
        except ValueError as error:
            return Reading(broken=[BrokenLine(1, str(error))], reset=piece.reset)
        reading = self._parser.feed(data)
        reading.reset, reading.more = reading.reset or piece.reset, piece.more or self._decoding.more
        return reading
