"""LevelDB's log format, the frames of W&B's files: records in chunks that do not cross blocks of 32 KiB.

A chunk: CRC-32 of what follows but the length (W&B's is plain, as zlib's), length, kind, data; less than a header at
the end of a block is padding. See LevelDB's `doc/log_format.md`.
"""

from __future__ import annotations

import struct
import zlib

BLOCK_BYTES = 32 << 10
LONGEST_RECORD = 64 << 20
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class LogSplitter:
    """Turns pieces of any size into whole records with their numbers, from 1; the last one waits for its end.

    start: how many bytes of the file, of something else, come before the first chunk.
    """

    def __init__(self, start: int) -> None:
        self._skip = start
        self._offset = 0
        """Where in the file `_partial` begins."""
        self._partial = b""
        self._parts: list[bytes] | None = None
        """What there is of a record in several chunks; None: nothing, or a part was lost."""
        self._number = 0
        self.broken: list[tuple[int, str]] = []
        """Number and reason of records that could not be read; whoever reads it empties it."""

    def split(self, data: bytes) -> list[tuple[int, bytes]]:
        """The records that these further bytes complete."""
        data = self._partial + data
        at, size, offset = 0, len(data), self._offset
        records: list[tuple[int, bytes]] = []
        if self._skip:
            at = min(self._skip, size)
            self._skip -= at
        while True:
            room = BLOCK_BYTES - (offset + at) % BLOCK_BYTES
            if room >= _HEADER.size:
                if at + _HEADER.size > size:
                    break
                crc, length, kind = _HEADER.unpack_from(data, at)
                end = at + _HEADER.size + length
                if 1 <= kind <= _LAST and end <= at + room:
                    if end > size:
                        break
                    if zlib.crc32(data[at + 6 : end]) == crc:
                        self._add(kind, data[at + _HEADER.size : end], records)
                    else:
                        self._lose("its checksum is wrong")
                    at = end
                    continue
                if kind or length or crc:
                    # Zeros are what is not written yet, or the padding of a writer that goes on in the next block.
                    self._lose("it is not a record: the rest of its block of 32 KiB is not read")
            if at + room > size:
                break
            at += room
        self._partial, self._offset = data[at:], offset + at
        return records

    def _add(self, kind: int, data: bytes, records: list[tuple[int, bytes]]) -> None:
        """Add a chunk to its record."""
        if kind in (_FULL, _FIRST):
            if self._parts is not None:
                self._lose("its end is missing")
            self._number += 1
        elif self._parts is None:
            # The record was counted with the part of it that was lost.
            return
        if kind == _FULL:
            records.append((self._number, data))
            return
        parts = [*(self._parts or ()), data]
        self._parts = parts if kind != _LAST else None
        if kind == _LAST:
            records.append((self._number, b"".join(parts)))
        elif sum(map(len, parts)) > LONGEST_RECORD:
            self._lose(f"it has more than {LONGEST_RECORD >> 20} MiB")

    def _lose(self, reason: str) -> None:
        """Count a record that cannot be read: the one whose parts are collected, else one that begins here."""
        if self._parts is None:
            self._number += 1
        self._parts = None
        self.broken.append((self._number, reason))
