"""Reading files in a thread: a file system that does not answer is said, and Ctrl-C ends the command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tuitrain.cli.output import say

SAID_AFTER_S = 5.0
_T = TypeVar("_T")


def read_patiently(what: str, read: Callable[[], _T]) -> _T:
    """What `read` returns or raises, however long it takes; what: the files, for the sentence after SAID_AFTER_S.

    A thread that waits for a network file system cannot be interrupted, but the one that waits for it can.
    """
    done, values, errors = threading.Event(), list[_T](), list[BaseException]()

    def run() -> None:
        try:
            values.append(read())
        except BaseException as error:
            errors.append(error)
        done.set()

    threading.Thread(target=run, name="reading", daemon=True).start()
    if not done.wait(SAID_AFTER_S):
        say(f"still reading {what}: its file system may not answer. Ctrl-C ends this.")
        done.wait()
    if errors:
        raise errors[0]
    return values[0]
