"""Appends records to a log: one write a line, so that a reader never meets half of two records."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

from tuitrain.events.codec import encode
from tuitrain.events.records import Record


class EventWriter:
    """Append-only writer of `metrics.jsonl`; safe to use from several threads of one process.

    An existing log is continued. If its last line was torn by a crash, that line is ended first, so that the
    first new record is not lost with it. OSError (disk full, no permission) is the caller's to handle.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._torn = False
        self.written = 0
        """Bytes that were appended here."""
        self.whole_lines = 0
        """How many lines of the newest `append` were written whole."""
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self.written += os.write(self._file, b"\n")

    def write(self, record: Record) -> None:
        """Append one record as one line."""
        self.append(encode(record))

    def append(self, lines: bytes) -> None:
        """Append whole lines in one write; what an earlier one left of a line, as on a full disk, is ended first."""
        with self._lock:
            data, written = b"\n" + lines if self._torn else lines, 0
            try:
                while written < len(data):
                    written += os.write(self._file, data[written:])
            finally:
                self.written += written
                self.whole_lines = data.count(b"\n", self._torn, written)
                if written:
                    self._torn = data[written - 1 : written] != b"\n"

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
