"""The list of runs that the dashboard shows: those of a directory, of other machines, and of other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuitrain.runs.discover import list_runs
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.snapshot import RunSnapshot, SnapshotReader

if TYPE_CHECKING:
    from tuitrain.runs.remote_list import RemoteList


class RunListing:
    """Reads the list again and again. changed: called by a thread when another machine has answered."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self.others: dict[RunDirectory, None] = {}
        """Runs that are in the list wherever they are."""
        self._changed = changed
        self._reader = SnapshotReader()
        self._remote_lists: list[RemoteList] | None = None

    def read(self, runs_dir: Path) -> tuple[tuple[RunSnapshot, ...], tuple[tuple[str, str], ...]]:
        """Snapshots of all runs, as far as the hosts of the settings have answered; and the other hosts with reasons.

        Raises OSError where the directory cannot be read, SettingsError for hosts that are none.
        """
        if self._remote_lists is None:
            # `ssh` is needed with the list of runs only.
            from tuitrain.runs.remote_list import lists_of_settings

            self._remote_lists = lists_of_settings(lambda _: self._changed(), follow=True)
        remote = (run for each in self._remote_lists for run in each.runs)
        runs = {run.run_id: run for run in (*remote, *list_runs(runs_dir), *self.others)}
        hosts = tuple((str(each.address), each.state) for each in self._remote_lists if each.state)
        return self._reader.read_all(list(runs.values())), hosts
