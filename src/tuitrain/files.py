"""Files of unknown origin: only regular files are read, up to a size and a depth; and the sentences of their errors."""

from __future__ import annotations

import difflib
import errno
import fcntl
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

LONGEST_QUOTE = 200
"""Characters of a value or a path that a sentence repeats."""
MOST_LEVELS = 20
"""Of a TOML file: tables in tables, and parts of a dotted key."""
_ENDLESS_KEY = re.compile(r"(?:[^\s.=#]{1,64}[ \t]{0,8}\.[ \t]{0,8}){200}")
_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}  # fmt: skip

_REASONS = {
    errno.ENOENT: "no such file or directory",
    errno.ENOSPC: "no space is left on the disk: free some, or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space, or write elsewhere",
    errno.EROFS: "the file system is read-only: write elsewhere",
}
"""Reasons that say more than those of the system."""


def mount_of(path: Path) -> Any:
    """The mount that a file lies on, with its `fstype` and its options `opts`; None where it cannot be told."""
    # Most that reads files does without.
    import psutil

    with suppress(OSError):
        real = path.resolve()
        # Of two at one place, such as an automatic one and what it mounts, the last is seen.
        mounts = [each for each in reversed(psutil.disk_partitions(all=True)) if real.is_relative_to(each.mountpoint)]
        return max(mounts, key=lambda each: len(each.mountpoint), default=None)
    return None


def open_regular(path: Path) -> BinaryIO:
    """An unbuffered reader of a regular file, or of what a link to one leads to.

    Raises OSError with a sentence for anything else: a pipe would be waited for, a device may never end.
    """
    _require_regular(path.stat(), path)
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # The file at this path may have changed since.
        _require_regular(os.fstat(file), path)
        return os.fdopen(file, "rb", buffering=0)
    except BaseException:
        os.close(file)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """All of a regular file. Raises OSError with a sentence for what is none, or has more than `most` bytes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = b""
        while size <= most and len(data) <= most and (more := file.read(most + 1 - len(data))):
            data += more
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it has more than {most >> 10:,} KiB, so it is not read", str(path))
    return data


def _require_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


def near_path(path: Path) -> Path | None:
    """Another path in the same directory whose name is alike; None when there is none."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.name != path.name]
    except (OSError, ValueError):
        return None
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return path.with_name(matches[0]) if matches else None


def shortened(text: str) -> str:
    """The text, without its middle when it is very long."""
    half = LONGEST_QUOTE // 2
    return text if len(text) <= LONGEST_QUOTE else f"{text[:half]}…{text[-half:]}"


def os_error_text(error: OSError) -> str | None:
    """The sentence for an error of the operating system: the path, and what is wrong; None where it gives no reason."""
    reason, code = error.strerror, error.errno
    if not reason or code is None:
        return reason
    if reason == os.strerror(code):
        reason = _REASONS.get(code, reason)
    path = error.filename2 or error.filename
    # A descriptor is no path.
    where = f"{shortened(os.fsdecode(path))}: " if isinstance(path, str | bytes | os.PathLike) else ""
    return f"{where}{reason[0].lower() if where else reason[0]}{reason[1:]}{'' if reason.endswith(('.', '?')) else '.'}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Give an OSError in the block this path where it names none, as that of a full disk does."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def expanded(name: str) -> Path:
    """The path with `~` expanded. Raises FileNotFoundError when there is no such home directory."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "there is no such home directory", name) from None


def cache_directory() -> Path:
    """What can be made again is kept here: $TUITRAIN_CACHE_DIR, else the user's cache directory. Raises OSError."""
    value = os.environ.get("TUITRAIN_CACHE_DIR")
    if value:
        return expanded(value).absolute()
    # Imported here: few commands need it.
    import platformdirs

    return Path(platformdirs.user_cache_dir("tuitrain"))


def state_directory() -> Path:
    """What is kept from one session to the next: in $TUITRAIN_STATE_DIR, else where XDG puts it. Raises OSError."""
    value = os.environ.get("TUITRAIN_STATE_DIR")
    if value:
        return expanded(value)
    # Not needed with the variable.
    import platformdirs

    return platformdirs.user_state_path("tuitrain", appauthor=False)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file at once or not at all; its folder is made. Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            beside.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(data)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def path_kind(path: Path) -> Literal["file", "directory", "other"] | None:
    """What is at a path, links followed; None for nothing. Raises OSError when it cannot be determined.

    Path.exists() and similar methods return False for a path without permission.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "other"


def parse_toml(text: str) -> dict[str, Any]:
    """The tree of a TOML text. Raises ValueError, with the reason, also for one beyond all measure."""
    # tomllib takes the square of the number of a key's parts.
    if _ENDLESS_KEY.search(text):
        raise ValueError(f"a key has more than {MOST_LEVELS} parts")
    too_deep = ValueError(f"it is nested more than {MOST_LEVELS} levels deep")
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise too_deep from None
    if deeper_than(MOST_LEVELS, tree):
        raise too_deep
    return tree


def deeper_than(levels: int, tree: dict[str, Any]) -> bool:
    """Whether dicts and lists are nested more than so many levels deep; however deep, it does not recurse."""
    level: list[Any] = [tree]
    for _ in range(levels):
        if not level:
            return False
        inside = (value.values() if isinstance(value, dict) else value for value in level)
        level = [part for values in inside for part in values if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def parse_json(text: str) -> dict[str, Any]:
    """The object in a JSON text. Raises ValueError, with the reason, also for one beyond all measure."""
    try:
        tree = _json.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(tree, dict):
        raise ValueError("it is not an object")
    return tree


def _integer(digits: str) -> int | float:
    # Python refuses integers of thousands of digits; the rest of the file is still of use.
    return int(digits) if len(digits) < 32 else float(digits)


_json = json.JSONDecoder(parse_int=_integer)


class GoneError(OSError):
    """A directory is not there any more, under any name; the message is a sentence."""


class FollowedDirectory:
    """A directory that stays known when it is renamed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when it is not there."""
        self._path = path.absolute()
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self) -> Path:
        """Where it is now. Raises GoneError when it was removed."""
        if not self._is_at(self._path):
            moved = _name_of(self._file)
            if moved is None or not self._is_at(moved):
                raise GoneError(f"{self._path} was removed.")
            self._path = moved
        return self._path

    def _is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.stat(), os.fstat(self._file))
        except OSError:
            return False

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self._file)


def _name_of(file: int) -> Path | None:
    """The present path of an open file, where the system tells."""
    try:
        if hasattr(fcntl, "F_GETPATH"):
            return Path(os.fsdecode(fcntl.fcntl(file, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
        return Path(f"/proc/self/fd/{file}").readlink()
    except OSError:
        return None
