"""A submitted run in place of a process of this machine, for commands that stay with it until it ends."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

from tuitrain.launch.errors import LaunchError
from tuitrain.launch.slurm.cancel import cancel_if_queued
from tuitrain.runs import RunDirectory, Status, read_snapshot

POLL_S = 1.0
_ENDS = {Status.COMPLETED: 0, Status.STOPPED: 0, Status.FAILED: 1, Status.CRASHED: 1}


class SubmittedRun:
    """Polled as a process is; it has ended when the run has, and Slurm does not go on with it."""

    pid = None

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._polled = 0.0
        self.returncode = 0

    def poll(self) -> int | None:
        """The exit code once it has ended, None before."""
        if time.monotonic() - self._polled >= POLL_S:
            code = _ENDS.get(read_snapshot(self._run).status)
            self._polled = time.monotonic()
            if code is not None:
                self.returncode = code
                return code
        return None

    def send_signal(self, number: int) -> None:
        """Ask the run to stop, or to write a checkpoint, as the engine does at this signal."""
        if number == signal.SIGUSR1:
            return self._run.request("checkpoint")
        with suppress(LaunchError):
            if cancel_if_queued(self._run, read_snapshot(self._run)):
                return None
        return self._run.request("stop", "stopped by Ctrl-C" if number == signal.SIGINT else "")
