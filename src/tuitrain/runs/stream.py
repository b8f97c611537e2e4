"""Following what is recognised only while it comes: a pipe such as standard input, a file that is still empty."""

from __future__ import annotations

import os
import select
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tuitrain.events import BrokenLineError, decode
from tuitrain.readers.model import Ending
from tuitrain.readers.tail import CHUNK_BYTES, FileTail
from tuitrain.runs.console import split
from tuitrain.runs.follow import Batch, LineParser

if TYPE_CHECKING:
    from tuitrain.runs.foreign import Given

_HEAD_BYTES = 64 << 10
"""In which a record of ours shows that the stream is a log of ours."""
_TAIL_BYTES = 64 << 10
_CONSOLE_LINES = 1000
NAME = "standard input"


class StreamRecords:
    """Turns the bytes of a log of ours, of any console, of JSON Lines or of separated values into records.

    given: names and facts that the user supplied; None: those of the settings. name: what the run is called unless the
    log says it.
    """

    def __init__(self, given: Given | None = None, name: str = NAME) -> None:
        # The readers of all formats are imported only for a log that may be of another tool.
        from tuitrain.readers.mapping import NameMapping
        from tuitrain.readers.records import RecordReader
        from tuitrain.readers.stream_reader import StreamReader
        from tuitrain.readers.supplied import supplied_of
        from tuitrain.runs.foreign import names_in_settings

        names = given.names if given is not None else {}
        facts = given.facts if given is not None else {}
        self._stream = StreamReader(name)
        self._others = RecordReader(
            self._stream, name, NameMapping(names, names_in_settings()), supplied=supplied_of(facts)
        )
        self._own: LineParser | None = None
        """Of a log of ours."""
        self._head: bytearray | None = bytearray()
        """What came so far, as long as it may be a log of ours."""
        self._searched = 0
        """Where the first line of the head starts that was not looked at."""
        self._empty = True
        """Whether no record has come."""
        self._tail = b""
        self._console: tuple[str, ...] | None = ()

    @property
    def console(self) -> tuple[str, ...]:
        """The last lines of a console; empty for a log of ours."""
        if self._console is None:
            self._console = tuple(line.text for line in split(self._tail, 0, last=True)[-_CONSOLE_LINES:])
        return self._console

    @property
    def ending(self) -> Ending | None:
        """What a log of another tool says about the end of the run."""
        return self._stream.info.ending

    def feed(self, data: bytes) -> Batch:
        """The records that these bytes complete. reset: earlier ones are void, as the format showed only now."""
        if self._own is not None:
            return Batch(*self._own.feed(data))
        if self._head is not None:
            self._head += data
            if self._holds_own_record(self._head):
                self._own, self._console = LineParser(), ()
                records, broken = self._own.feed(bytes(self._head))
                self._head = None
                return Batch(records, broken, reset=not self._empty)
            if len(self._head) > _HEAD_BYTES:
                self._head = None
        self._keep(data)
        self._stream.add(data)
        read = self._others.poll()
        self._empty = self._empty and not read.records
        return Batch(tuple(read.records), tuple(read.broken), read.reset, ending=self.ending)

    def _holds_own_record(self, head: bytearray) -> bool:
        """Whether one of the new whole lines of the head is a record of ours."""
        end = head.rfind(b"\n") + 1
        lines, self._searched = bytes(head[self._searched : end]).split(b"\n"), max(end, self._searched)
        return any(line.lstrip()[:1] == b"{" and _is_record(line) for line in lines)

    def _keep(self, data: bytes) -> None:
        """Keep the last lines."""
        self._console = None if data else self._console
        tail = (self._tail + data)[-_TAIL_BYTES:]
        # What is cut off at the beginning is no whole line.
        self._tail = tail if len(tail) < _TAIL_BYTES else tail[tail.find(b"\n") + 1 :]


def _is_record(line: bytes) -> bool:
    try:
        return decode(line) is not None
    except BrokenLineError:
        return False


class StreamFollower:
    """Follows a pipe such as standard input, without blocking for longer than `wait_s` seconds."""

    def __init__(self, file: int, given: Given | None = None, wait_s: float = 0.05) -> None:
        self._file = file
        self._wait_s = wait_s
        self._records = StreamRecords(given)
        self.ended = False

    @property
    def console(self) -> tuple[str, ...]:
        """The last lines that came, of another tool's output."""
        return self._records.console

    @property
    def ending(self) -> Ending | None:
        """What a log of another tool says about the end of the run."""
        return self._records.ending

    def poll(self) -> Batch:
        """Whatever the pipe holds now; nothing more once it has ended."""
        if self.ended or not select.select([self._file], [], [], self._wait_s)[0]:
            return Batch()
        data = os.read(self._file, CHUNK_BYTES)
        self.ended = not data
        batch = self._records.feed(data or b"\n")
        return batch if self.ended else replace(batch, more=True)


class NewFileFollower:
    """Follows a file that was empty when it was opened, so that its format shows only while it is written."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._tail = FileTail(path)
        self._records = StreamRecords(name=self._name)

    @property
    def console(self) -> tuple[str, ...]:
        """The last lines of another tool's output."""
        return self._records.console

    def poll(self) -> Batch:
        """The records that came since the last call. Raises PermissionError and the like."""
        piece = self._tail.read()
        if piece.reset:
            self._records = StreamRecords(name=self._name)
        batch = self._records.feed(piece.data)
        return replace(batch, reset=batch.reset or piece.reset, more=piece.more, end=piece.end, size=piece.size)
