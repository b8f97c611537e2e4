"""An external program and the processes it starts: signalled together, killed when they do not stop."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

_KILL_S = 5.0
"""How long killed processes are waited for: one that waits for a device ends later, or never."""


class Program:
    """A program in a process group of its own. Raises OSError where it cannot be started.

    grace_s: seconds from the first `stop` until everything it started is killed.
    """

    def __init__(self, command: Sequence[str], grace_s: float) -> None:
        self._process = subprocess.Popen(command, process_group=0)
        self._grace_s = grace_s
        self._stopped_at: float | None = None
        self._descendants: dict[int, psutil.Process] = {}
        """Those at the time of the stop and later ones, by pid: workers outlive the launcher that started them."""
        self._killed = False

    @property
    def returncode(self) -> int:
        """The exit code; of a program that a signal ended the signal's number below 0. Known once it has ended."""
        return self._process.returncode

    def send(self, number: int) -> None:
        """Send a signal to the program alone."""
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal that asks to stop to the program's process group."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
        self._find_descendants()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def is_running(self) -> bool:
        """Whether it runs or, after a stop, anything that it started. What outlasts the grace period is killed."""
        running = self._process.poll() is None
        if self._stopped_at is None:
            return running
        self._find_descendants()
        left = [each for each in self._descendants.values() if _is_alive(each)]
        late_s = time.monotonic() - self._stopped_at - self._grace_s
        if late_s >= 0 and not self._killed:
            self._killed = True
            self._process.kill()
            for each in left:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        return running or (bool(left) and late_s < _KILL_S)

    def _find_descendants(self) -> None:
        with suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self._process.pid).children(recursive=True):
                self._descendants.setdefault(each.pid, each)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
