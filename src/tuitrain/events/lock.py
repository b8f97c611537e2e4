"""Locks of a run, which end with the process that holds them.

Who writes the log (the engine's first process, a loop of one's own) holds `RUN/.lock` as long as it lives, whatever
started it. Who changes `run.json` holds a lock of its own for the moment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.005
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What network file systems without locks answer."""


def no_locks_sentence(path: Path) -> str | None:
    """After `acquire`: what to say where the file system has no locks, as NFS without its lock service; else None."""
    if lock_held(path) is not None:
        return None
    return f"{path.parent} is on a file system without locks: a second process that writes this run cannot be refused."


class LockedError(Exception):
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, patience_s: float) -> Iterator[None]:
    """Hold the lock on this file, which is made, to the end of the block. Threads exclude each other too.

    A file system without locks excludes nobody. Raises OSError, and LockedError when it is held for patience_s.
    """
    file = acquire(path, patience_s)
    try:
        yield
    finally:
        os.close(file)


def acquire(path: Path, patience_s: float) -> int:
    """Take the lock as `exclusive` does; returns the file, whose closing or the end of the process gives it back.

    A reader that tests the lock holds it for a moment: be patient for about a second.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(file, time.monotonic() + patience_s)
    except BaseException:
        os.close(file)
        raise
    return file


def _acquire(file: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError from None
            time.sleep(_POLL_S)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return None


def lock_held(path: Path) -> bool | None:
    """Whether a process holds the lock; None when that is unknown.

    It is only tested, by taking it together with other readers for a moment, and a missing file is not made.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # Some network file systems have no locks.
        return None
    finally:
        # Closing gives it back.
        os.close(file)
    return False
