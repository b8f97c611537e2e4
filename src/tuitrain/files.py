"""Reading files that somebody else may have put there: only regular ones, and only so much of them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}  # fmt: skip


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
