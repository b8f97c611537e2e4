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

from tuitrain.files import mount_of

_POLL_S = 0.005
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What network file systems without locks answer."""

_LOCAL_LOCKS = {
    "nfs": {"nolock", "local_lock=all", "local_lock=flock"}, "nfs4": {"local_lock=all", "local_lock=flock"},
    "lustre": {"localflock"}, "fuse.sshfs": set[str](),
}  # fmt: skip
"""File systems of several machines with the options, empty for any, with which a lock is known to this machine only."""


def no_locks_sentence(path: Path) -> str | None:
    """After `acquire`: what to say where a second writer may not be refused; None where it is.

    The file system may have no locks, as NFS without its lock service, or such as other machines do not see.
    """
    if lock_held(path) is None:
        return (
            f"{path.parent} is on a file system without locks: a second process that writes this run cannot be refused."
        )
    if (how := _local_locks(path)) is None:
        return None
    return (
        f"{path.parent} is on a file system whose locks other machines do not see ({how}): a second process that "
        f"writes this run can be refused on this machine only."
    )


def _local_locks(path: Path) -> str | None:
    """The kind and the option of the mount that a file lies on, where its locks are known to this machine only."""
    mount = mount_of(path)
    local = _LOCAL_LOCKS.get(mount.fstype) if mount is not None else None
    if local is None:
        return None
    found = sorted(local.intersection(mount.opts.split(",")))
    return ", ".join([mount.fstype, *found]) if found or not local else None


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
