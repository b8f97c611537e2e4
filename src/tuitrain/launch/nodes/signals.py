"""The signals that reach a node: all go to torchrun, and those that ask for the end are remembered."""

from __future__ import annotations

import signal
from types import FrameType

from tuitrain.launch.nodes.torchrun import Torchrun

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)


class Signals:
    """Handles them from now on. Main thread only."""

    def __init__(self) -> None:
        self.torchrun: Torchrun | None = None
        """What they are passed on to."""
        self.stop: signal.Signals | None = None
        """The first that asked for the end."""
        for each in (*STOPS, signal.SIGUSR1):
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, self._handle)

    @property
    def stop_code(self) -> int:
        """The exit code of a run that was stopped by a signal before it began."""
        return 130 if self.stop is signal.SIGINT else 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in STOPS and self.stop is None:
            self.stop = signal.Signals(number)
        if self.torchrun is not None:
            self.torchrun.send_signal(number)
