"""How often to draw: once in the wished interval, less often while the way to the terminal is slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.driver import Driver

LONGEST_S = 5.0
FREE_SHARE = 3
"""For each second that writing a frame blocks, so many are left to keys and to whatever else uses the line."""
STUCK_S = 0.2


class Link:
    """The way to the terminal: a file that knows for how long writing to it blocks.

    The thread that writes calls `write` and `flush`; the app asks the rest. Times are seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file: IO[str] | None = None
        self._since: float | None = None
        self._blocked = 0.0

    def through(self, file: IO[str]) -> Link:
        """Write through this file from now on."""
        self._file = file
        return self

    @property
    def stuck(self) -> bool:
        """Whether something written a while ago has not gone out yet."""
        since = self._since
        return since is not None and self._clock() - since > STUCK_S

    def take(self) -> float:
        """For how long writing has blocked since the last time this was asked."""
        blocked, self._blocked = self._blocked, 0.0
        return blocked

    def write(self, text: str) -> None:
        """Write to the file."""
        if self._file is not None:
            self._timed(self._file.write, text)

    def flush(self) -> None:
        """Flush the file."""
        if self._file is not None:
            self._timed(self._file.flush)

    def fileno(self) -> int:
        """The number of the file."""
        return self._file.fileno() if self._file is not None else -1

    def _timed(self, call: Callable[..., object], *arguments: str) -> None:
        self._since = started = self._clock()
        try:
            call(*arguments)
        finally:
            self._since = None
            self._blocked += self._clock() - started


class Pace:
    """The interval between two drawings: grows at once with the time that writing blocks, shrinks by half a time."""

    def __init__(self, wished: float) -> None:
        self.wished = wished
        self.interval = wished

    def drawn(self, blocked: float) -> None:
        """Learn from what the last frame cost, in seconds that writing it blocked."""
        wanted = max(blocked * (1 + FREE_SHARE), self.interval / 2)
        self.interval = max(self.wished, min(wanted, LONGEST_S))


def timed(base: type[Driver], link: Link) -> type[Driver]:
    """A Textual driver that writes to the terminal through the link; one that has no file of its own stays as it is."""

    class TimedDriver(base):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            file = getattr(self, "_file", None)
            if file is not None:
                self._file = link.through(file)

    return TimedDriver
