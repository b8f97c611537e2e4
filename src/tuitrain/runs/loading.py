"""Reading the log of a run, whoever wrote it: a follower of it, and all of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tuitrain.readers.tail import CHUNK_BYTES
from tuitrain.runs.follow import Follower, LogFollower
from tuitrain.runs.history import RunHistory
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.stream import NewFileFollower


def open_follower(run: RunDirectory, first_bytes: int = CHUNK_BYTES) -> Follower:
    """A follower of a run's log. first_bytes: the most that the first poll of a log of ours reads."""
    if run.source is None and run.log is not None and _is_empty(run.log):
        return NewFileFollower(run.log)
    if run.source is None:
        return LogFollower(run.metrics, first_bytes)
    # The readers of all formats are imported only for a log of another tool.
    from tuitrain.runs.foreign import SourceFollower

    return SourceFollower(run)


def _is_empty(log: Path) -> bool:
    try:
        return log.stat().st_size == 0
    except OSError:
        return False


def drain(follower: Follower, history: RunHistory) -> RunHistory:
    """Read all there is now into the history; a replaced file starts a new one. Returns the history."""
    while True:
        batch = follower.poll()
        if batch.reset:
            history = history.anew()
        history.absorb(batch.records, batch.broken)
        if not batch.more:
            return history


def load_history(run: RunDirectory, history: RunHistory | None = None) -> RunHistory:
    """The whole log of a run. history: an empty one to read it into.

    One that waits in the queue, or is just being started, has an empty log. Raises FileNotFoundError when there is none
    otherwise.
    """
    if run.source is not None or not run.info.exists():
        run.metrics.stat()
    history = drain(open_follower(run), history or RunHistory())
    if history.run is None:
        history.planned = planned_config(run)
    return history


def planned_config(run: RunDirectory) -> dict[str, Any]:
    """The configuration in the directory of a run, with which it is to begin; empty where there is none."""
    if run.source is not None or not run.config.exists():
        return {}
    # pydantic is imported only for a run that has not begun.
    from tuitrain.config import ConfigError, load_config

    try:
        return load_config(str(run.config)).to_dict()
    except (ConfigError, OSError):  # Another version wrote it.
        return {}


def load_histories(runs: Iterable[RunDirectory]) -> list[RunHistory]:
    """The logs of several runs, in their order."""
    return [load_history(run) for run in runs]
