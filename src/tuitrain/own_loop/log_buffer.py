"""The log of a loop of one's own: lines are collected, and a thread writes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tuitrain.events import EventWriter

FLUSH_S = 0.2
"""A process that is killed loses the lines of at most so long."""


class LogBuffer:
    """Collects lines; a thread writes them every FLUSH_S, so that a slow file system does not hold up the loop.

    failed: called with the error when lines cannot be written; they are lost. tick: called by the thread each time.
    """

    def __init__(self, path: Path, failed: Callable[[OSError], None], tick: Callable[[], None]) -> None:
        """Raises OSError when the log cannot be opened."""
        self._writer = EventWriter(path)
        self._failed, self._tick = failed, tick
        self._lines: list[bytes] = []
        self._adding, self._writing = threading.RLock(), threading.RLock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tuitrain-log", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Add one line, with its line end."""
        with self._adding:
            self._lines.append(line)

    def flush(self) -> None:
        """Write the lines so far."""
        with self._writing:
            with self._adding:
                lines, self._lines = self._lines, []
            if not lines:
                return
            try:
                self._writer.append(b"".join(lines))
            except OSError as error:
                self._failed(error)

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)
        self.flush()
        self._writer.close()

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_S):
            self.flush()
            self._tick()
