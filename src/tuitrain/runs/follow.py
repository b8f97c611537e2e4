"""Following a log that grows: by polling its size, since network file systems send no notifications."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuitrain.events import AnyRecord, BrokenLine, BrokenLineError, decode, decode_lines
from tuitrain.files import open_regular
from tuitrain.runs.history import RunHistory
from tuitrain.runs.layout import RunDirectory

CHUNK_BYTES = 4 << 20
LONGEST_LINE = 16 << 20
"""Bytes; a record of a thousand layers has a hundredth of that."""
_MEMORY_BYTES = 64


@dataclass(frozen=True)
class Batch:
    """What one poll read. reset: the file was replaced or cut short, so earlier records are void.

    more: the chunk limit was reached and the next poll has further records at once. end: where
    the bytes that were read end; size: how large the file was.
    """

    records: tuple[AnyRecord, ...] = ()
    broken: tuple[BrokenLine, ...] = ()
    reset: bool = False
    more: bool = False
    end: int = 0
    size: int = 0

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
        quickly = decode_lines(whole) if not too_long and len(whole) <= LONGEST_LINE else None
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
                broken.append(BrokenLine(self._line, f"longer than {LONGEST_LINE >> 20} MiB"))
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


class LogFollower:
    """Follows one file from byte `start`. A file that is missing, or vanishes, is waited for.

    first_bytes: the most that the first poll reads.
    """

    def __init__(self, path: Path, first_bytes: int = CHUNK_BYTES, start: int = 0) -> None:
        self.path = path
        self._limit = first_bytes
        self._parser = LineParser()
        self._inode: int | None = None
        self._offset = start
        self._tail = b""
        self.end_of_lines = start
        """Where the last whole line that was read ends, in bytes."""

    def poll(self) -> Batch:
        """Read what was appended since the last call, at most one chunk. Raises PermissionError and the like."""
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            return Batch()
        with file:
            status = os.fstat(file.fileno())
            reset = self._was_replaced(file.fileno(), status)
            if reset:
                self._parser, self._offset, self._tail, self.end_of_lines = LineParser(), 0, b"", 0
            start = self._offset
            limit, self._limit = self._limit, CHUNK_BYTES
            data = os.pread(file.fileno(), limit, start)
            self._offset += len(data)
            self.remember(file.fileno())
        if newline := data.rfind(b"\n") + 1:
            self.end_of_lines = start + newline
        records, broken = self._parser.feed(data)
        more = len(data) == limit
        return Batch(records, broken, reset, more, self._offset, status.st_size)

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


class StreamFollower:
    """Follows a pipe such as standard input, without blocking for longer than `wait_s` seconds."""

    def __init__(self, file: int, wait_s: float = 0.05) -> None:
        self._file = file
        self._wait_s = wait_s
        self._parser = LineParser()
        self.ended = False

    def poll(self) -> Batch:
        """Whatever the pipe holds now; nothing more once it has ended."""
        if self.ended or not select.select([self._file], [], [], self._wait_s)[0]:
            return Batch()
        data = os.read(self._file, CHUNK_BYTES)
        self.ended = not data
        records, broken = self._parser.feed(data or b"\n")
        return Batch(records, broken, more=not self.ended)


def drain(follower: Follower, history: RunHistory) -> RunHistory:
    """Read all there is now into the history; a replaced file starts a new one. Returns the history."""
    while True:
        batch = follower.poll()
        if batch.reset:
            history = RunHistory()
        history.absorb(batch.records, batch.broken)
        if not batch.more:
            return history


def load_history(run: RunDirectory) -> RunHistory:
    """The whole log of a run. Raises FileNotFoundError when there is none."""
    run.metrics.stat()
    return drain(LogFollower(run.metrics), RunHistory())


def load_histories(runs: Iterable[RunDirectory]) -> list[RunHistory]:
    """The logs of several runs, in their order."""
    return [load_history(run) for run in runs]
