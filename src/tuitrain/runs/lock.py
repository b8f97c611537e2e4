"""The lock of a run: the engine's first process holds `RUN/.lock` as long as it lives, whatever started it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock_held(path: Path) -> bool | None:
    """Whether a process holds the lock; None when that cannot be told.

    It is only tested, by taking it together with other readers for a moment, and a missing file is not made.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
