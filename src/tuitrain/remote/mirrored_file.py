"""The copy of a file on another machine, byte for byte the same at the same offsets.

A file that grows is here from its beginning to where it was read last. Of a long log the newest part may come first:
until the part between is here too, readers are shown the lines of both ends, and the true bytes lie beside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from tuitrain.remote.connection import Answer, RemoteFile

OVERLAP_BYTES = 64
"""That are read again before new ones, to know that the file is the one of before."""
HEAD_BYTES = 8 << 10
TAIL_BYTES = 32 << 10
FIRST_BYTES = 128 << 10
"""Of a file that is read from its beginning, at first."""
SPLIT_BYTES = 512 << 10
"""Of what is missing; more comes newest part first."""
MOST_WHOLE_BYTES = 256 << 20
"""Of a file that is read anew when it changes."""
_GROWTH = 4
"""Of the newest part, after which readers are shown more of it."""
_REWRITTEN = frozenset(
    {".json", ".zip", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".xml", ".md", ".parquet", ".db", ".sqlite", ".sqlite3"}
)
_REWRITTEN_MAGIC = (b"SQLite format 3\0", b"PAR1")


class FileState(msgspec.Struct):
    """What is here of a file: bytes 0 to `head`, and from `start` to `end` where `end` is not 0.

    inode, size, mtime: of the file there when it was asked for last; inode 0: nothing is known of it.
    """

    inode: int = 0
    size: int = 0
    mtime: int = 0
    head: int = 0
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Want:
    """What is wanted of a file. most: bytes of its beginning; None: all of it.

    newest_first: the newest part may come first. fill: and then what lies between.
    """

    most: int | None = None
    newest_first: bool = False
    fill: bool = True


class MirroredFile:
    """One file: `view` is what readers open; `part` holds true bytes as long as a part between is missing."""

    def __init__(self, view: Path, part: Path, state: FileState | None = None) -> None:
        self.view, self.part = view, part
        self.state = state or FileState()
        self.asked = False
        """Whether anything was received by this process."""
        self._shown_head = 0
        """How many bytes of the beginning readers are shown, while a part is missing."""
        self._shown_from: int | None = None
        """Where the newest part begins that readers are shown; None where they are shown none."""
        self._rewritten = _is_rewritten(view.name)
        self._settle()

    def _settle(self) -> None:
        """Make the files fit the state, which may be older than they are."""
        state = self.state
        try:
            if state.end:
                if self.part.stat().st_size < state.end:
                    raise FileNotFoundError
                self._show()
            elif state.inode:
                size = self.view.stat().st_size
                state.head = min(state.head, size)
                if size > state.head:
                    os.truncate(self.view, state.head)
        except OSError:
            self.discard()

    @property
    def is_here(self) -> int:
        """Where the bytes that are here end."""
        return self.state.end or self.state.head

    @property
    def missing(self) -> int:
        """How many bytes of the file there are not here."""
        state = self.state
        return max(state.size - self.is_here, 0) + (state.start - state.head if self.is_split else 0)

    @property
    def is_split(self) -> bool:
        """Whether a part between the beginning and the newest part is missing."""
        return self.state.end > 0

    def next_ranges(self, want: Want, chunk: int) -> list[tuple[int, int]]:
        """The ranges to ask for next, as offset and length; the first also tells whether anything has changed."""
        state = self.state
        if self._rewritten:
            return (
                [(0, MOST_WHOLE_BYTES if want.most is None else want.most)]
                if state.head < self._wanted(want)
                else [(state.size, 0)]
            )
        if not state.inode:
            return fresh_ranges(self.view.name, want, chunk)
        if want.most is not None:
            return [(state.head, max(want.most - state.head, 0))]
        begin = max(0, self.is_here - OVERLAP_BYTES)
        if want.newest_first and not self.is_split and state.size - state.head > SPLIT_BYTES and self._is_text():
            return [(-TAIL_BYTES, TAIL_BYTES)]
        ranges = [(begin, self.is_here - begin + chunk)]
        if self.is_split and want.fill:
            low = max(state.head, state.start - chunk)
            ranges.append((low, state.start - low))
        return ranges

    def _wanted(self, want: Want) -> int:
        size = self.state.size if self.state.inode else 1
        return min(size, MOST_WHOLE_BYTES if want.most is None else want.most)

    def lacks(self, want: Want) -> bool:
        """Whether more of what is wanted is there, as far as is known."""
        state = self.state
        if want.most is not None or self._rewritten:
            return state.head < self._wanted(want)
        return self.is_here < state.size or (self.is_split and want.fill)

    def has_first_part(self, want: Want) -> bool:
        """Whether what can be shown first is here, as it is now."""
        return self.asked and (self.is_split or not self.lacks(want))

    def receive(self, answer: Answer, want: Want) -> None:
        """Take in the answer for one of the ranges. Raises OSError, and RemoteError with what came until then kept."""
        state, file = self.state, answer.file
        self.asked = True
        if not file.inode:
            self.discard()
        elif self._rewritten:
            return self._receive_whole(answer)
        elif state.inode and (file.inode != state.inode or file.size < self.is_here):
            self._begin_anew(file)
        else:
            changed = (file.size, file.mtime) != (state.size, state.mtime) or answer.count
            state.inode, state.size, state.mtime = file.inode, file.size, file.mtime
            if self._receive_range(answer, want):
                return self._stamp() if changed else None
            self._begin_anew(file)
        return drain(answer.data)

    def _receive_range(self, answer: Answer, want: Want) -> bool:
        """Write the bytes where they belong; False where the file is not the one of before."""
        state, offset = self.state, answer.offset
        if not answer.count:
            if not self.view.exists():
                self.view.parent.mkdir(parents=True, exist_ok=True)
                self.view.touch()
            return True
        if self.is_split and offset < state.start:
            self._fill(answer)
        elif offset > self.is_here:
            if self.is_split or not (want.newest_first and self._is_text()):
                drain(answer.data)
            else:
                self._split(answer)
        else:
            return self._append(answer)
        return True

    def _append(self, answer: Answer) -> bool:
        overlap = self._read(answer.offset, self.is_here - answer.offset)
        pieces = _after(overlap, answer.data)
        if pieces is None:
            return False
        self.view.parent.mkdir(parents=True, exist_ok=True)
        with (self.part if self.is_split else self.view).open("r+b" if self._true().exists() else "w+b") as file:
            file.seek(self.is_here)
            for piece in pieces:
                file.write(piece)
                file.flush()
                self._advance(len(piece))
        if self.is_split:
            self._show_new()
        elif self.state.head <= len(overlap) + answer.count and self._is_rewritten_kind():
            self._rewritten = True
        return True

    def _advance(self, count: int) -> None:
        if self.is_split:
            self.state.end += count
        else:
            self.state.head += count

    def _split(self, answer: Answer) -> None:
        """Keep the newest part apart from the beginning."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.view, self.part)
        with self.part.open("r+b") as file:
            file.seek(answer.offset)
            for piece in answer.data:
                file.write(piece)
                file.flush()
                if not self.is_split:
                    self.state.start = self.state.end = answer.offset
                self.state.end += len(piece)
        self._show()

    def _fill(self, answer: Answer) -> None:
        """Write what lies before the newest part; the last piece joins them."""
        state = self.state
        with self.part.open("r+b") as file:
            file.seek(answer.offset)
            for piece in answer.data:
                file.write(piece)
        if answer.offset + answer.count < state.start:
            return
        state.start = answer.offset
        if state.start <= state.head:
            self.part.replace(self.view)
            state.head, state.start, state.end, self._shown_from = state.end, 0, 0, None
        elif self._shown_from is None or state.end - state.start >= _GROWTH * (state.end - self._shown_from):
            self._show()

    def _show(self) -> None:
        """Show readers the whole lines of the beginning and of the newest part."""
        state = self.state
        with self.part.open("rb") as part, self._replacing() as view:
            head = part.read(state.head)
            self._shown_head = head.rfind(b"\n") + 1
            view.write(head[: self._shown_head])
            self._shown_from = self._line_start(part.fileno())
            if self._shown_from is not None:
                part.seek(self._shown_from)
                shutil.copyfileobj(part, view)
        self._stamp()

    def _line_start(self, part: int) -> int | None:
        data = os.pread(part, self.state.end - self.state.start, self.state.start)
        newline = data.find(b"\n")
        return None if newline < 0 else self.state.start + newline + 1

    def _show_new(self) -> None:
        """Show readers what was appended."""
        if self._shown_from is None:
            return self._show()
        with self.part.open("rb") as part, self.view.open("ab") as view:
            part.seek(self._shown_from + view.tell() - self._shown_head)
            shutil.copyfileobj(part, view)
        return None

    def _receive_whole(self, answer: Answer) -> None:
        state, file = self.state, answer.file
        same = (file.inode, file.size, file.mtime) == (state.inode, state.size, state.mtime)
        if answer.offset or (not answer.count and file.size):
            # Only asked whether it has changed.
            drain(answer.data)
            if not same:
                self.state = FileState(file.inode, file.size, file.mtime)
            return
        with self._replacing() as view:
            for piece in answer.data:
                view.write(piece)
        # What is larger than what is wanted of it counts as here.
        self.state = FileState(file.inode, file.size, file.mtime, answer.count)
        self._stamp()

    def _replacing(self) -> AbstractContextManager[BinaryIO]:
        return replacing(self.view, self.part.with_suffix(".new"))

    def _read(self, offset: int, count: int) -> bytes:
        if count <= 0:
            return b""
        with self._true().open("rb") as file:
            return os.pread(file.fileno(), count, offset)

    def _true(self) -> Path:
        return self.part if self.is_split else self.view

    def _is_text(self) -> bool:
        return bool(self.state.head) and b"\0" not in self._read(0, min(self.state.head, HEAD_BYTES))

    def _is_rewritten_kind(self) -> bool:
        return self._read(0, 16).startswith(_REWRITTEN_MAGIC)

    def _begin_anew(self, file: RemoteFile) -> None:
        self.part.unlink(missing_ok=True)
        with self._replacing():
            pass
        self.state, self._shown_from = FileState(file.inode, file.size, file.mtime), None

    def discard(self) -> None:
        """Nothing is here, as nothing is there."""
        self.part.unlink(missing_ok=True)
        self.view.unlink(missing_ok=True)
        self.state, self._shown_from = FileState(), None

    def _stamp(self) -> None:
        """The time of the last write is that of the file there."""
        if self.state.mtime:
            with suppress(OSError, OverflowError):
                os.utime(self.view, (self.state.mtime, self.state.mtime))


def fresh_ranges(name: str, want: Want, chunk: int = FIRST_BYTES) -> list[tuple[int, int]]:
    """The ranges to ask for of a file of which nothing is here, as offset and length."""
    if want.most is not None:
        return [(0, want.most)]
    if _is_rewritten(name):
        return [(0, MOST_WHOLE_BYTES)]
    return [(0, HEAD_BYTES), (-TAIL_BYTES, TAIL_BYTES)] if want.newest_first else [(0, chunk)]


def _is_rewritten(name: str) -> bool:
    """Whether a file with this name may change where it was written before."""
    return Path(name).suffix.lower() in _REWRITTEN or name.endswith("-wal")


@contextmanager
def replacing(path: Path, new: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of the one at a path once it is whole: readers meet no half of it."""
    for each in (path, new):
        each.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new.open("wb") as file:
            yield file
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _after(overlap: bytes, pieces: Iterator[bytes]) -> Iterator[bytes] | None:
    """The pieces behind these bytes; None, with all pieces read, where they do not begin with them."""
    data = b""
    for piece in pieces:
        data += piece
        if len(data) >= len(overlap):
            break
    if not data.startswith(overlap):
        drain(pieces)
        return None
    return _chained(data[len(overlap) :], pieces)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass
