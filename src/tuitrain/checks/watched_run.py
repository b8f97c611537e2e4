"""One run whose alerts are read: those of its log so far, and how it stands just now."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from tuitrain.alerts import AlertMonitor, Rules
from tuitrain.checks.reported import AlertKey
from tuitrain.events import Alert
from tuitrain.runs import RunDirectory, Status, open_follower
from tuitrain.runs.crash import crash_reason
from tuitrain.runs.followed import FollowedRun

GB = 1e9
_DISK_EVERY_S = 30.0


class WatchedRun:
    """What is kept of one run from poll to poll."""

    def __init__(self, directory: RunDirectory, rules: Rules) -> None:
        self.directory, self._rules = directory, rules
        self._followed = FollowedRun(directory, open_follower(directory))
        self._begin()
        self._disk_read_at = 0.0

    def _begin(self) -> None:
        self.monitor = AlertMonitor(self._rules)
        self.alerts: list[tuple[AlertKey, Alert]] = []
        """Those of the records so far."""
        self.standing: list[tuple[AlertKey, Alert]] = []
        """How the run stood when it was polled last."""
        self._counts = Counter[tuple[str, int | None]]()

    @property
    def status(self) -> Status:
        """Its status when it was polled last."""
        return self._followed.status or Status.UNKNOWN

    @property
    def problem(self) -> str:
        """Why its log cannot be read; empty where it can."""
        return self._followed.problem

    @property
    def last_time(self) -> float | None:
        """Unix seconds of its newest record."""
        return self._followed.live.last_time

    def poll(self, now: float | None = None) -> list[tuple[AlertKey, Alert]]:
        """Read what was added; returns the alerts that it brought, and how the run stands at this moment."""
        known, more = len(self.alerts), True
        while more:
            batch = self._followed.poll()
            if batch.reset:
                known = 0
                self._begin()
            self._add(self.monitor.absorb(batch.records))
            more = batch.more
        now = time.time() if now is None else now
        if self.status.live and not self.directory.remote:
            self._add(self._read_disk(now))
        attempts = self.monitor.attempts
        crash = crash_reason(self.directory.read_metadata()) if self.status is Status.CRASHED else ""
        # A run that is silent once more at the same step is so for the first time of its attempt.
        standing = self.monitor.standing(self.status, now, crash)
        self.standing = [((each.code, each.step, attempts), each) for each in standing]
        return [*self.alerts[known:], *self.standing]

    def _add(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            number = self._counts[alert.code, alert.step]
            self._counts[alert.code, alert.step] += 1
            self.alerts.append(((alert.code, alert.step, number), alert))

    def _read_disk(self, now: float) -> list[Alert]:
        """Read the file system of the run where it lies, which only a process on that machine can."""
        if now - self._disk_read_at < _DISK_EVERY_S:
            return []
        self._disk_read_at = now
        with suppress(OSError):
            disk = os.statvfs(self.directory.metrics.parent)
            # As df does: what is left for a user, and what root reserves counts as used.
            total, left = disk.f_blocks * disk.f_frsize / GB, disk.f_bavail * disk.f_frsize / GB
            return self.monitor.observe_disk(total - left, total, now)
        return []
