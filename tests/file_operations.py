"""Errors of the file system, injected into one operation at a time."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Any

ERRORS = (
    errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EIO,
)  # fmt: skip
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.scandir", "os.listdir", "os.rmdir", "os.truncate"}


_VARYING = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{4}|-[0-9a-f]{8}(?=[./]|$)")
"""The end of a run's id, and what depends on the time at which a corpus was written."""


class FileOperations:
    """The file operations of the process below a directory, from Python's audit events; one of them can be refused."""

    def __init__(self) -> None:
        self.below = ""
        self.observed: list[tuple[str, str]] = []
        self.refused: tuple[tuple[str, str], int] | None = None
        self.hits = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.below or event not in OPERATIONS or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.fspath(arguments[0])
        if not path.startswith(self.below):
            return
        operation = (event, self._shape(path, arguments))
        self.observed.append(operation)
        if self.refused is not None and operation == self.refused[0]:
            number = self.refused[1]
            self.hits += 1
            raise OSError(number, os.strerror(number), path)

    def _shape(self, path: str, arguments: tuple[Any, ...]) -> str:
        """The path below the directory, and whether it is written, without parts that differ from run to run."""
        name = _VARYING.sub("-", path.removeprefix(self.below).replace(str(os.getpid()), "PID"))
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        return f"{name}{' for writing' if flags & (os.O_WRONLY | os.O_RDWR) else ''}"


operations = FileOperations()
sys.addaudithook(operations)
"""It cannot be removed again; without a directory to look below it does nothing."""
