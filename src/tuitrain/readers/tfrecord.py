"""TFRecord files, the frames of TensorBoard's events: length, CRC of it, data, CRC of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tuitrain.readers.crc32c import masked_crc32c, masked_crc32c_of

HEADER_BYTES = 12
_FRAME_BYTES = HEADER_BYTES + 4
LONGEST_RECORD = 64 << 20
"""Bytes; a longer one, such as a film, is passed over."""
_MOST_HEADERS = 100_000
_SEARCHED_BYTES = 4096


def length_of(header: bytes) -> int | None:
    """The length of the data that follow a header; None where its checksum is wrong."""
    right = masked_crc32c_of(header[:8]) == int.from_bytes(header[8:], "little")
    return int.from_bytes(header[:8], "little") if right else None


@dataclass
class Records:
    """Whole records of one piece of a file.

    data: the bytes they are in; starts: where each one begins, in its order; lost: the indices before which one was
    lost. broken: number in the file, from 1, and reason of those that cannot be read.
    """

    data: bytes
    first: int
    """The number of the first."""
    starts: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)

    def number(self, index: int) -> int:
        """The number of a record in its file."""
        return self.first + index + bisect_right(self.lost, index)

    def groups(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
        """For each length that occurs, the indices of its records and a matrix with the data of each in a row.

        Those whose checksum is wrong become `broken`.
        """
        if not self.starts:
            return
        view = np.frombuffer(self.data, np.uint8)
        starts = np.array(self.starts, np.intp)
        lengths = np.ascontiguousarray(sliding_window_view(view, 8)[starts]).view("<u8")[:, 0].astype(np.intp)
        starts += HEADER_BYTES
        order = np.argsort(lengths, kind="stable")
        different, firsts = np.unique(lengths[order], return_index=True)
        for length, which in zip(different.tolist(), np.split(order, firsts[1:]), strict=True):
            rows = sliding_window_view(view, length + 4)[starts[which]]
            stored = np.ascontiguousarray(rows[:, length:]).view("<u4")[:, 0]
            rows = rows[:, :length]
            right = masked_crc32c(rows) == stored
            if not right.all():
                self.broken += [(self.number(index), "its checksum is wrong") for index in which[~right].tolist()]
                which, rows = which[right], rows[right]
            if len(which):
                yield which, rows


class RecordSplitter:
    """Turns pieces of any size into whole records; the last one waits for its end.

    After a length that is wrong, reading goes on at the next offset that looks like the beginning of a record.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._number = 0
        self._skip = 0
        self._searches = False
        self._known: dict[bytes, int | None] = {}
        """The length that a header says."""

    def split(self, data: bytes) -> Records:
        """The records that these further bytes complete."""
        passed = min(self._skip, len(data))
        self._skip -= passed
        records = Records(self._partial + data[passed:], self._number + 1)
        at, size = 0, len(records.data)
        while True:
            if self._searches:
                header = _next_header(records.data, at)
                self._searches = header is None
                at = max(at, size - HEADER_BYTES + 1) if header is None else header
            if not self._searches:
                at = self._whole_records(records, at)
            if at + HEADER_BYTES > size or not self._searches:
                break
        self._number = records.number(len(records.starts)) - 1
        self._partial = records.data[at:]
        return records

    def _whole_records(self, records: Records, at: int) -> int:
        """Add the records from an offset on, up to an incomplete one or an invalid length; returns where that is."""
        data, size = records.data, len(records.data)
        known, append = self._known, records.starts.append
        while at + HEADER_BYTES <= size:
            header = data[at : at + HEADER_BYTES]
            length = known[header] if header in known else self._length_of(header)
            if length is None:
                self._searches = True
                if header.strip(b"\0"):
                    # Zeros are what a file system shows before what was written has arrived.
                    self._lose(records, "its length is wrong")
                return at + 1
            after = at + _FRAME_BYTES + length
            if after > size:
                if length > LONGEST_RECORD:
                    records.lost.append(len(records.starts))
                    self._skip, at = after - size, size
                break
            append(at)
            at = after
        return at

    def _lose(self, records: Records, reason: str) -> None:
        records.broken.append((records.number(len(records.starts)), reason))
        records.lost.append(len(records.starts))

    def _length_of(self, header: bytes) -> int | None:
        if len(self._known) > _MOST_HEADERS:
            self._known.clear()
        length = self._known[header] = length_of(header)
        return length


def _next_header(data: bytes, at: int) -> int | None:
    """The first offset from `at` on with a valid header, of a record that is not empty."""
    for begin in range(at, len(data) - HEADER_BYTES + 1, _SEARCHED_BYTES):
        view = np.frombuffer(data[begin : begin + _SEARCHED_BYTES + HEADER_BYTES - 1], np.uint8)
        headers = sliding_window_view(view, HEADER_BYTES)
        places = np.flatnonzero((headers[:, 4:8] == 0).all(axis=1) & (headers[:, :4] != 0).any(axis=1))
        likely = headers[places]
        stored = np.ascontiguousarray(likely[:, 8:]).view("<u4")[:, 0]
        valid = places[masked_crc32c(likely[:, :8]) == stored]
        if len(valid):
            return begin + int(valid[0])
    return None
