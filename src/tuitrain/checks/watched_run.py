"""One run whose alerts are read: those of its log so far, and how it stands just now."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tuitrain.analysis.alerts import AlertMonitor, Rules
from tuitrain.events import Alert
from tuitrain.runs import RunDirectory, Status, open_follower
from tuitrain.runs.followed import FollowedRun

GB = 1e9
_DISK_EVERY_S = 30.0


@dataclass
class WatchedRun:
    """What is kept of one run from poll to poll."""

    directory: RunDirectory
    rules: Rules
    alerts: list[Alert] = field(default_factory=list)
    """Those of the records so far."""

    def __post_init__(self) -> None:
        self._followed = FollowedRun(self.directory, open_follower(self.directory))
        self.monitor = AlertMonitor(self.rules)
        self._disk_read_at = 0.0

    @property
    def status(self) -> Status:
        """Its status when it was polled last."""
        return self._followed.status or Status.UNKNOWN

    @property
    def problem(self) -> str:
        """Why its log cannot be read; empty where it can."""
        return self._followed.problem

    def poll(self, now: float | None = None) -> list[Alert]:
        """Read what was added; returns all alerts: those of the records, and how the run stands at this moment."""
        more = True
        while more:
            batch = self._followed.poll()
            if batch.reset:
                self.monitor, self.alerts = AlertMonitor(self.rules), []
            self.alerts += self.monitor.absorb(batch.records)
            more = batch.more
        now = time.time() if now is None else now
        if self.status.live:
            self._read_disk(now)
        return [*self.alerts, *self.monitor.standing(self.status, now)]

    def _read_disk(self, now: float) -> None:
        """Read the file system of the run where it lies, which only a process on that machine can."""
        if now - self._disk_read_at < _DISK_EVERY_S:
            return
        self._disk_read_at = now
        with suppress(OSError):
            disk = os.statvfs(self.directory.metrics.parent)
            # As df does: what is left for a user, and what root reserves counts as used.
            total, left = disk.f_blocks * disk.f_frsize / GB, disk.f_bavail * disk.f_frsize / GB
            self.alerts += self.monitor.observe_disk(total - left, total, now)
