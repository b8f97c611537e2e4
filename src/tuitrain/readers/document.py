"""Following files that are written anew as a whole each time: JSON documents and the like."""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.events import BrokenLine, Sample
from tuitrain.files import deeper_than, open_regular
from tuitrain.readers.encoding import text_of
from tuitrain.readers.model import Item, Reading, Restart, Row, RunInfo

MOST_BYTES = 1 << 30
MOST_LEVELS = 50
_MOST_BYTES_OF_A_BEGINNING = 64 << 20
_QUIET_SECONDS = 2.0
"""After which a file is taken to be written to its end."""
_NOT_STRICT = re.compile(rb"NaN|Infinity|[^\x00-\x7f]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},]', re.DOTALL)


def read_json(data: bytes) -> Any:
    """The value of a JSON document; the bare tokens NaN and Infinity are numbers. Raises ValueError."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        tree = msgspec.json.decode(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        if not _NOT_STRICT.search(data):
            raise ValueError(str(error)) from None
        try:
            tree = json.loads(data.decode("utf-8", "replace"))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
    if deeper_than(MOST_LEVELS, {"": tree}):
        raise ValueError("it is nested too deeply")
    return tree


def beginning_of(text: str) -> Any:
    """The value of a JSON document of which only the beginning is known, without what is unfinished there.

    None where there is none.
    """
    try:
        return read_json(text.encode())
    except ValueError:
        pass
    end, closing = 0, ""
    open_ones: list[str] = []
    for token in _TOKEN.finditer(text):
        each = token[0]
        if each in "[{":
            open_ones.append("]" if each == "[" else "}")
        elif each in "]}":
            if not open_ones or open_ones.pop() != each:
                return None
            end, closing = token.end(), "".join(reversed(open_ones))
        elif each == ",":
            end, closing = token.start(), "".join(reversed(open_ones))
        if len(open_ones) > MOST_LEVELS:
            return None
    try:
        return read_json((text[:end] + closing).encode())
    except ValueError:
        return None


class WholeFile:
    """A file that is read as a whole when it was written since the last time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark: tuple[int, int, int] | None = None
        self.written = 0.0
        """When what was read last was written, in Unix seconds."""

    def read(self) -> bytes | None:
        """Its bytes; None where it is missing, empty or as it was. Raises OSError where it can't be read."""
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            return None
        with file:
            status = os.fstat(file.fileno())
            mark = (status.st_ino, status.st_size, status.st_mtime_ns)
            if mark == self._mark or not 0 < status.st_size <= MOST_BYTES:
                return None
            self._mark, self.written = mark, status.st_mtime
            data = b""
            while len(data) < status.st_size and (part := file.read(status.st_size - len(data))):
                data += part
        return text_of(data, MOST_BYTES)


class Growth:
    """Finds what is new in lists of items that are made again and again from what is written again and again."""

    def __init__(self) -> None:
        self._before: list[tuple[int, bytes, bytes]] = []

    def reading(self, parts: Sequence[Sequence[Item]]) -> Reading:
        """The items that were added to each part or, where earlier ones are not the same any more, all, and a reset.

        The last item of a part may have got more values: then it comes again.
        """
        states: list[tuple[int, bytes, bytes]] = []
        new: list[Sequence[Item]] = []
        same = len(self._before) <= len(parts)
        for at, items in enumerate(parts):
            encoded = [_identity(item) for item in items]
            states.append((len(items), _digest(encoded[:-1]), encoded[-1] if encoded else b""))
            count, before, last = self._before[at] if at < len(self._before) else (0, _digest([]), b"")
            same = same and count <= len(items) and (not count or _digest(encoded[: count - 1]) == before)
            new.append(items[count - (count > 0 and encoded[count - 1] != last) :] if same else [])
        self._before = states
        return Reading(list(heapq.merge(*(new if same else parts), key=_position)), reset=not same)


def _identity(item: Item) -> bytes:
    if isinstance(item, Row):
        return repr((item.x, item.values)).encode()
    if isinstance(item, Sample):
        return repr((item.step, item.prompt, item.text)).encode()
    return msgspec.json.encode(item)


def _position(item: Item) -> float:
    return item.x if isinstance(item, Row | Restart) else item.step if isinstance(item, Sample) else 0.0


def _digest(parts: Sequence[bytes]) -> bytes:
    return hashlib.blake2b(b"\n".join(parts), digest_size=16).digest()


Contents = Callable[[Sequence[Any], RunInfo], Sequence[Sequence[Item]]]
"""What documents hold: their items in lists that grow, and what they say about the run, which goes to the RunInfo.

A document that is not there is None. Raises ValueError for one that is of another kind.
"""


class DocumentReader:
    """Follows a run in JSON documents. Of a half-written one the last state counts, at first what there is of it."""

    def __init__(self, paths: Sequence[Path], name: str, contents: Contents) -> None:
        self.info = RunInfo(name)
        self._files = [WholeFile(path) for path in paths]
        self._trees: list[Any] = [None] * len(paths)
        self._problems: dict[Path, str] = {}
        self._contents = contents
        self._growth = Growth()

    def poll(self) -> Reading:
        """What the documents hold that they did not hold before."""
        changed = False
        for at, file in enumerate(self._files):
            data = file.read()
            if data is None:
                continue
            try:
                self._trees[at] = read_json(data)
                self._problems.pop(file.path, None)
                changed = True
            except ValueError as error:
                self._problems[file.path] = str(error)
                if self._trees[at] is None and len(data) <= _MOST_BYTES_OF_A_BEGINNING:
                    # Its writer may have been killed: what there is of it counts until it is whole.
                    self._trees[at] = beginning_of(data.decode("utf-8", "replace").removeprefix("\ufeff"))
                    changed = changed or self._trees[at] is not None
        reading = Reading()
        if changed:
            info = RunInfo(self.info.name)
            reading = self._growth.reading(self._contents(self._trees, info))
            self.info = info
        reading.broken = self._broken()
        return reading

    def _broken(self) -> list[BrokenLine]:
        """The documents that can't be read though nothing is written to them any more."""
        paths = [
            file.path
            for file in self._files
            if file.path in self._problems and time.time() - file.written > _QUIET_SECONDS
        ]
        return [BrokenLine(1, self._problems.pop(path), path.name) for path in paths]
