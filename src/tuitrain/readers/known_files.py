"""The formats of the files below a folder, as the last search recognised them; kept in the user's cache directory."""

from __future__ import annotations

import hashlib
import os
import random
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from tuitrain.files import cache_directory, read_regular, replace_file

_DIRECTORY = "searched"
_MOST_FOLDERS = 50
_MOST_BYTES = 64 << 20
_PRUNED = 1 / 32
_SETTLED_SECONDS = 2.0
"""Age of a file's last write from which on a further write has another time."""

State = tuple[int, int, int, str]
"""The mark of a file, and the names of the files beside it that say which format it is of."""


class _Kept(msgspec.Struct):
    readers: str
    files: dict[str, tuple[State, str]]


class KnownFiles:
    """The formats of the files below one folder, by path; empty of a file of none."""

    def __init__(self, folder: Path) -> None:
        self._name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
        self._before = self._read()
        self._now: dict[str, tuple[State, str]] = {}
        self._settled_before_ns = (time.time() - _SETTLED_SECONDS) * 1e9

    @property
    def _path(self) -> Path:
        return cache_directory() / _DIRECTORY / f"{self._name}.msgpack"

    def _read(self) -> dict[str, tuple[State, str]]:
        """What was kept; nothing where that is of other readers, or damaged."""
        try:
            kept = msgspec.msgpack.decode(read_regular(self._path, _MOST_BYTES), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return {}
        return kept.files if kept.readers == readers_digest() else {}

    def format_of(self, path: str, state: State) -> str | None:
        """The format of a file that is as it was; None where it has to be looked at."""
        kept = self._before.get(path)
        return None if kept is None or kept[0] != state else kept[1]

    def add(self, path: str, state: State, form: str) -> None:
        """Note the format of a file, unless it was written just now."""
        if state[2] < self._settled_before_ns:
            self._now[path] = (state, form)

    def keep(self) -> None:
        """Keep the formats of this search. A cache that can't be written is no error."""
        if self._now == self._before:
            return
        with suppress(OSError):
            write_cache(self._path, msgspec.msgpack.encode(_Kept(readers_digest(), self._now)), _MOST_FOLDERS)


def write_cache(path: Path, data: bytes, most: int) -> None:
    """Replace a file of the cache in one step; now and then its folder is cut to the `most` newest files."""
    replace_file(path, data)
    if random.random() > _PRUNED:
        return
    with os.scandir(path.parent) as entries:
        files = list(entries)
    if len(files) > most:
        for entry in sorted(files, key=lambda entry: entry.stat().st_mtime)[: len(files) - most]:
            Path(entry.path).unlink(missing_ok=True)


@cache
def readers_digest() -> str:
    """Changes with the code of the readers: formats that other readers recognised do not count for these."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
