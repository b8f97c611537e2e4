"""The order of runs in a list, by one of the numbers it shows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal, get_args

from tuitrain.runs.query import number_of
from tuitrain.runs.snapshot import RunSnapshot
from tuitrain.runs.status import Status

SortKey = Literal[
    "age",
    "name",
    "status",
    "step",
    "progress",
    "tokens",
    "loss",
    "val_loss",
    "bits_per_byte",
    "mfu",
    "tokens_per_sec",
    "params",
]
SORT_KEYS: tuple[str, ...] = get_args(SortKey)
"""What runs can be ordered by."""
LARGEST_FIRST = frozenset({"step", "progress", "tokens", "mfu", "tokens_per_sec", "params"})
"""Keys of which the best is the largest."""
_STATUSES = list(Status)
_BEFORE_ALL = 1e12


def ordered(
    runs: Iterable[RunSnapshot], key: str, *, reverse: bool = False, now: float | None = None
) -> list[RunSnapshot]:
    """The runs by a key, best or newest first, or with `reverse` last; unknown and nan are last either way.

    By age those that wait in a queue come before all others, the next one first.
    """
    at = time.time() if now is None else now
    down = (key in LARGEST_FIRST) != reverse

    def sort_key(run: RunSnapshot) -> tuple[bool, float]:
        value = float(_STATUSES.index(run.status)) if key == "status" else number_of(run, key, at)
        if key == "age" and run.queue_position is not None:
            value = run.queue_position - _BEFORE_ALL
        if value is None or value != value:
            return True, 0.0
        return False, -value if down else value

    if key == "name":
        return sorted(runs, key=lambda run: run.name.lower(), reverse=reverse)
    return sorted(runs, key=sort_key)
