"""Reading the log of a run, whoever wrote it: a follower of it, and all of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tuitrain.readers.tail import CHUNK_BYTES
from tuitrain.runs.follow import Follower, LogFollower
from tuitrain.runs.history import RunHistory
from tuitrain.runs.layout import RunDirectory

if TYPE_CHECKING:
    from tuitrain.runs.foreign import SourceFollower


def follow(run: RunDirectory, first_bytes: int = CHUNK_BYTES) -> LogFollower | SourceFollower:
    """A follower of a run's log. first_bytes: the most that the first poll of a log of ours reads."""
    if run.source is None:
        return LogFollower(run.metrics, first_bytes)
    # The readers of all formats are imported only for a log of another tool.
    from tuitrain.runs.foreign import SourceFollower

    return SourceFollower(run)


def drain(follower: Follower, history: RunHistory) -> RunHistory:
    """Read all there is now into the history; a replaced file starts a new one. Returns the history."""
    while True:
        batch = follower.poll()
        if batch.reset:
            history = RunHistory()
        history.absorb(batch.records, batch.broken)
        if not batch.more:
            return history


def load_history(run: RunDirectory) -> RunHistory:
    """The whole log of a run. Raises FileNotFoundError when there is none."""
    run.metrics.stat()
    return drain(follow(run), RunHistory())


def load_histories(runs: Iterable[RunDirectory]) -> list[RunHistory]:
    """The logs of several runs, in their order."""
    return [load_history(run) for run in runs]
