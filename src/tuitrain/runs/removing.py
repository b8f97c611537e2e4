"""Removing a run: its directory and all that is in it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tuitrain.events.lock import LockedError, exclusive, lock_held
from tuitrain.runs.editing import EditError
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.snapshot import RunSnapshot, read_snapshot


@dataclass(frozen=True)
class Removal:
    """A run that may be removed, its snapshot, and its size on the disk."""

    snapshot: RunSnapshot
    bytes: int

    @property
    def run(self) -> RunDirectory:
        """The run."""
        return self.snapshot.directory


def prepare_removal(run: RunDirectory, runs_dir: Path) -> Removal:
    """What would be removed. Changes nothing.

    Raises EditError for what is not the directory of a run in runs_dir, as a log of another tool or a link to another
    place, and for a run that is live.
    """
    if run.remote:
        raise EditError(f"{run.remote} is on another machine: it can only be removed there.")
    if run.log is not None:
        raise EditError(f"{run.log} is a log: only a whole run is removed, by its id or its directory.")
    if run.path.is_symlink():
        raise EditError(f"{run.path} is a link to a run: remove the link, or the run where it lies.")
    if run.path.parent.resolve() != runs_dir.resolve():
        raise EditError(f"{run.path} does not lie in {runs_dir}: name the directory it lies in with --runs-dir.")
    snapshot = read_snapshot(run)
    if snapshot.info is None and snapshot.run is None:
        raise EditError(f"{run.path} is no directory of a run: it has neither a run.json nor a log that can be read.")
    if snapshot.status.live or lock_held(run.lock):
        raise EditError(f"{run.run_id} is {snapshot.status}: stop it first, with `tuitrain stop {run.run_id}`.")
    return Removal(snapshot, sum(_sizes(run.path)))


def _sizes(path: Path) -> list[int]:
    return [os.lstat(Path(directory) / name).st_size for directory, _, files in os.walk(path) for name in files]


def remove_run(run: RunDirectory) -> None:
    """Remove the directory. Raises EditError when the run has come to life since, and OSError."""
    try:
        # Held, so that no resume begins in what is being removed.
        with exclusive(run.lock, patience_s=0):
            shutil.rmtree(run.path)
    except LockedError:
        raise EditError(f"{run.run_id} is training: nothing of it was removed.") from None
