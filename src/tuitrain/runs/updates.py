"""One run as the dashboard polls it: new records of its log, its status, the end of its console."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tuitrain.runs.console import ConsoleFile, ConsoleMark
from tuitrain.runs.crash import crash_reason
from tuitrain.runs.follow import Batch, Follower
from tuitrain.runs.followed import FollowedRun, unreadable
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.loading import open_follower
from tuitrain.runs.slurm import Job
from tuitrain.runs.status import Status
from tuitrain.runs.stream import NewFileFollower, StreamFollower

if TYPE_CHECKING:
    from tuitrain.remote.sync import Link

CONSOLE_LINES = 1000
GOOD_LAG_S = 2.0
"""Up to which what comes from another machine counts as of now."""


@dataclass(frozen=True)
class Update:
    """What one poll of a run returned. console: its last lines. problem: why its log cannot be read."""

    batch: Batch
    status: Status = Status.UNKNOWN
    console: tuple[str, ...] = ()
    problem: str = ""
    crash: str = ""
    """Why the run crashed, where it did."""
    link: Link | None = None
    """The connection to the machine of the run, where it is another one."""
    job: Job | None = None
    """The job of the run, while Slurm may start it or go on with it."""


@dataclass
class UpdatedRun(FollowedRun):
    """A followed run with the end of its console."""

    console: tuple[str, ...] = ()
    console_mark: ConsoleMark | None = None
    posted: tuple[object, ...] | None = None

    def read_update(self) -> Update | None:
        """What is new; None when nothing is."""
        batch = self.poll()
        status, problem = self.status or Status.UNKNOWN, self.problem
        try:
            self._read_console()
        except OSError as error:
            problem = unreadable(error)
        # The age of a silence or a pause is on the screen, so it is posted each minute.
        since = {Status.STALLED: self.live.last_time, Status.PAUSED: self.live.paused_since}.get(status)
        silent = int(time.time() - since) // 60 if since is not None else 0
        directory = self.directory
        link = _link(directory) if directory is not None and directory.remote else None
        before, self.posted = self.posted, (status, self.console, problem, silent, link, self.job)
        if not batch and before == self.posted:
            return None
        crash = crash_reason(directory.read_metadata(), self.job) if status is Status.CRASHED and directory else ""
        return Update(batch, status, self.console, problem, crash, link, self.job)

    def _read_console(self) -> None:
        """Read the last lines of the console if it has changed. Raises OSError."""
        if isinstance(self.follower, StreamFollower | NewFileFollower):
            self.console = self.follower.console
        elif self.directory is not None:
            file = ConsoleFile(self.directory.console)
            mark = file.mark()
            if mark is not None and mark != self.console_mark:
                self.console_mark = mark
                self.console = tuple(line.text for line in file.last_lines(CONSOLE_LINES))


def follow(runs: Sequence[RunDirectory], stream: Follower | None, first_bytes: int) -> tuple[UpdatedRun, ...]:
    """Follow runs, and a stream, from their beginning. first_bytes: how much of a log its first update has."""
    followed = [UpdatedRun(run, open_follower(run, first_bytes)) for run in runs]
    if any(run.remote for run in runs):
        # `ssh` is needed for runs on other machines only.
        from tuitrain.runs.remote import follow_runs

        follow_runs(runs)
    return (*followed, *([UpdatedRun(None, stream)] if stream is not None else []))


def _link(run: RunDirectory) -> Link | None:
    """The connection as it is shown: a lag that is within the bounds of a good one is no news."""
    # `ssh` is needed for runs on other machines only.
    from tuitrain.remote.sync import link_of

    link = link_of(run.metrics)
    if link is None:
        return None
    lag = link.lag_s
    return replace(link, lag_s=None if lag is None else max(GOOD_LAG_S, float(int(lag))), share=round(link.share, 2))
