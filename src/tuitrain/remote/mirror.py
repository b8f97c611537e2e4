"""A mirror: copies of the files below one directory of another machine, in the cache directory."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from tuitrain.events.lock import LockedError, acquire
from tuitrain.files import cache_directory, read_regular
from tuitrain.remote.address import Address
from tuitrain.remote.mirrored_file import FileState, MirroredFile, replacing

_STATE_FILE, _LOCK_FILE = "state.json", ".lock"
_MOST_STATE_BYTES = 64 << 20
_KEPT_S = 30 * 24 * 3600.0
"""How long the mirror of a place that is not read any more is kept."""


class Mirror:
    """The files below one directory of another machine. `folder` is that directory, for all that reads local files."""

    def __init__(self, address: Address, name: str) -> None:
        """name: of the folder. Raises OSError."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", address.host)[:40]
        digest = hashlib.sha256(os.fsencode(str(address))).hexdigest()[:16]
        mirrors = cache_directory().resolve() / "remote"
        self._home = mirrors / f"{slug}-{digest}"
        self._temporary = False
        try:
            self._lock = _locked(self._home)
        except LockedError:
            # Another process keeps that one.
            self._home = Path(tempfile.mkdtemp(prefix="other-", dir=mirrors))
            self._temporary, self._lock = True, _locked(self._home)
        _remove_old(mirrors)
        self.folder = self._home / "files" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = {name: self._file(name, state) for name, state in self._read_states().items()}

    def file(self, name: str) -> MirroredFile:
        """The file with this name below the folder."""
        if name not in self._files:
            self._files[name] = self._file(name, None)
        return self._files[name]

    def _file(self, name: str, state: FileState | None) -> MirroredFile:
        part = hashlib.sha256(os.fsencode(name)).hexdigest()[:24]
        return MirroredFile(self.folder / name, self._home / "parts" / part, state)

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove the files with other names."""
        kept = set(names)
        for name in [name for name in self._files if name not in kept]:
            self._files.pop(name).discard()

    def stamp_folders(self) -> None:
        """Give each folder the time of the newest file in it: readers take it for when a run was written last."""
        newest: dict[Path, int] = {}
        for file in self._files.values():
            for folder in file.view.parents:
                newest[folder] = max(newest.get(folder, 0), file.state.mtime)
                if folder == self.folder:
                    break
        for folder, mtime in newest.items():
            with suppress(OSError):
                os.utime(folder, (mtime, mtime))

    def save(self) -> None:
        """Note what is here for the next time. Raises OSError."""
        states = {name: file.state for name, file in self._files.items() if file.state.inode}
        path = self._home / _STATE_FILE
        with replacing(path, path.with_suffix(".new")) as file:
            file.write(msgspec.json.encode(states))

    def _read_states(self) -> dict[str, FileState]:
        try:
            data = read_regular(self._home / _STATE_FILE, _MOST_STATE_BYTES)
            return msgspec.json.decode(data, type=dict[str, FileState])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {}

    def close(self) -> None:
        """Keep it for the next time, and let other processes have it."""
        with suppress(OSError):
            self.save()
        if self._temporary:
            shutil.rmtree(self._home, ignore_errors=True)
        os.close(self._lock)


def _locked(home: Path) -> int:
    """Raises LockedError."""
    home.mkdir(parents=True, exist_ok=True)
    lock = acquire(home / _LOCK_FILE, 0.0)
    os.utime(lock)
    return lock


def _remove_old(mirrors: Path) -> None:
    """Remove the mirrors that were not used for a month, and those that a killed process left."""
    now = time.time()
    for home in mirrors.iterdir():
        with suppress(OSError, LockedError):
            old = _KEPT_S if not home.name.startswith("other-") else 3600.0
            if now - (home / _LOCK_FILE).stat().st_mtime > old:
                lock = acquire(home / _LOCK_FILE, 0.0)
                shutil.rmtree(home, ignore_errors=True)
                os.close(lock)
