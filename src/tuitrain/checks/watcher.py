"""Watches runs, named ones and all that are live below folders, and yields each alert once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuitrain.alerts import LEVELS, Level, Rules
from tuitrain.checks.reported import AlertKey, Reported
from tuitrain.checks.watched_run import WatchedRun
from tuitrain.events import Alert
from tuitrain.runs import RunDirectory, RunNotFoundError, Status, list_runs
from tuitrain.runs.foreign import written_at
from tuitrain.settings import SettingsError

LIST_EVERY_S = 30.0
FRESH_S = 600.0
"""Older alerts of a run that is seen for the first time are told, but nothing is done about them."""
_OLD_S = 86400.0
"""A log that was not written to for so long when a watcher comes first is of a run that is over."""
_SILENT_S = 7200.0
"""Of a run that may be over: then it is looked at again only when its log changes."""


@dataclass(frozen=True)
class NewAlert:
    """An alert that nobody was told of. told: whether it has the level that somebody wants to be told of.

    fresh: whether there may still be something to do about it.
    """

    run: RunDirectory
    key: AlertKey
    alert: Alert
    told: bool
    fresh: bool


class Watcher:
    """Polls runs. folders: where new ones are looked for; runs: named ones."""

    def __init__(
        self, folders: Sequence[Path], runs: Sequence[RunDirectory], rules: Rules, level: Level, reported: Reported,
        now: float,
    ) -> None:  # fmt: skip
        self._folders, self._runs, self._rules, self._reported = folders, list(runs), rules, reported
        self._least = LEVELS.index(level)
        self._since = reported.checked or now
        """Unix seconds from which on things are news."""
        self._begun = now
        self.watched: dict[RunDirectory, WatchedRun] = {}
        self._quiet: dict[RunDirectory, float] = {}
        """Runs that are over, and when their logs were written last."""
        self._listed_at = -LIST_EVERY_S
        self.problem = ""
        """Why a folder cannot be listed."""

    def poll(self, now: float) -> list[NewAlert]:
        """The alerts since the last call; who tells of them saves what was reported. now: in Unix seconds."""
        if now - self._listed_at >= LIST_EVERY_S or now < self._listed_at:
            self._listed_at = now
            self._look_for_runs()
        new: list[NewAlert] = []
        for run, watched in list(self.watched.items()):
            new += self._poll(run, watched, now)
        return new

    def _look_for_runs(self) -> None:
        """Watch further runs, and those again that were over and have been written to since."""
        self.problem = ""
        runs = list(self._runs)
        for folder in self._folders:
            try:
                runs += list_runs(folder)
            except (OSError, RunNotFoundError) as error:
                reason = error.strerror if isinstance(error, OSError) else error.args[0]
                self.problem = f"{folder} cannot be listed: {reason}"
        for run in dict.fromkeys(runs):
            if run in self.watched:
                continue
            written = _written(run)
            if self._quiet.get(run) == written:
                continue
            self._quiet[run] = written
            if run in self._runs or written > self._since - _OLD_S:
                try:
                    self.watched[run] = WatchedRun(run, self._rules)
                except (OSError, SettingsError) as error:
                    self.problem = f"{run.run_id} cannot be read: {error}"

    def _poll(self, run: RunDirectory, watched: WatchedRun, now: float) -> list[NewAlert]:
        name = str(run.metrics)
        written = _written(run)
        found, status = watched.poll(now), watched.status
        known = self._reported.knows(name)
        self._reported.meet(name)
        over = not status.live and status is not Status.UNKNOWN
        # Of a run that was over before anybody watched nobody wants to be told.
        tell = known or not over or written >= self._since or run in self._runs
        new = []
        for key, alert in found:
            told, rule = LEVELS.index(alert.level) >= self._least, self._rules.rule_of(alert.code)
            acts = rule is not None and bool(rule.do or rule.command)
            if (told or acts) and self._reported.add(name, key) and tell:
                new.append(NewAlert(run, key, alert, told, known or alert.time >= self._begun - FRESH_S))
        silent_s = now - max(written, watched.last_time or 0.0)
        if over or (status is Status.UNKNOWN and silent_s > _SILENT_S):
            del self.watched[run]
            # Written while it was read: then it is looked at once more.
            self._quiet[run] = written
        return new


def _written(run: RunDirectory) -> float:
    """When the log was last written, in Unix seconds; 0 without one."""
    if run.source is not None:
        return written_at(run.source)
    try:
        return run.metrics.stat().st_mtime
    except OSError:
        return 0.0
