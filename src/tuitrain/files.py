"""Reading files that somebody else may have put there: only regular ones, and only so much of them.

And what to say when a file cannot be read or written.
"""

from __future__ import annotations

import difflib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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
"""What the system's own words leave open."""


def open_regular(path: Path) -> BinaryIO:
    """An unbuffered reader of a regular file, or of what a link to one leads to.

    Raises OSError with a sentence for anything else: a pipe would be waited for, a device may never end.
    """
    _require_regular(path.stat(), path)
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # What the name leads to may have changed since.
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
    """A path in the same directory whose name is alike; None when there is none."""
    try:
        names = [each.name for each in path.parent.iterdir()]
    except (OSError, ValueError):
        return None
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return path.with_name(matches[0]) if matches else None


def os_error_text(error: OSError) -> str | None:
    """The sentence for an error of the operating system: the path, and what is wrong; None where it gives no reason."""
    reason, code = error.strerror, error.errno
    if not reason or code is None:
        return reason
    if reason == os.strerror(code):
        reason = _REASONS.get(code, reason)
    path = error.filename2 or error.filename
    # A descriptor is no path.
    where = f"{os.fsdecode(path)}: " if isinstance(path, str | bytes | os.PathLike) else ""
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
