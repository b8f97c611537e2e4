"""Records that add up: metrics of one's own in `step` and `eval` records, records of one step, updates of a run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TypeVar

import msgspec

from tuitrain.events.records import OwnMetrics, Record, Run, Step

R = TypeVar("R", bound=Record)
_UNKNOWN = (None, msgspec.UNSET)
_NO_NUMBERS = frozenset({"metrics", "late", "split", "split_fingerprint"})
"""Fields of a step or an evaluation that a metric of one's own may be called like."""
_TABLES = ("config", "logged_summary", "x_axes")
"""Fields of a run whose entries add up."""


def own_metrics(record: Record) -> OwnMetrics:
    """The metrics of one's own of a record; empty where it has none."""
    own = getattr(record, "metrics", None)
    return own if isinstance(own, dict) else {}


class StepOrder:
    """Tells values that are late from a writer that went back, by the newest step of each metric."""

    def __init__(self) -> None:
        self.newest = -1
        """The newest step of all."""
        self._by_name: dict[str, int] = {}
        self._names: tuple[str, ...] = ()
        """Names whose newest step is the newest one of all; it goes to `_by_name` when other names come."""

    def is_late(self, step: int, names: tuple[str, ...]) -> bool:
        """Add a step with values for these names. Late: it is before the newest, and none of them has a later value."""
        if names == self._names and step >= self.newest:
            self.newest = step
            return False
        self._by_name |= dict.fromkeys(self._names, self.newest)
        self._names = ()
        if step < self.newest and all(self._by_name.get(name, -1) <= step for name in names):
            self._by_name |= dict.fromkeys(names, step)
            return True
        if step < self.newest:
            self._by_name = {name: min(newest, step - 1) for name, newest in self._by_name.items()}
        self.newest = step
        self._names = names
        return False


def combined(record: R, later: R) -> R:
    """One record of two of the same step: the later value of a key wins, the earlier time stays."""
    fields = (key for key in later.__struct_fields__ if key not in ("time", "step", "metrics", "late"))
    changes = {key: value for key in fields if (value := getattr(later, key)) not in _UNKNOWN}
    own = {**own_metrics(record), **{key: value for key, value in own_metrics(later).items() if value is not None}}
    return msgspec.structs.replace(record, **changes, **({"metrics": own} if own else {}))


def names_declared(names: Iterable[str]) -> bool:
    """Whether one of these names is that of a field of a step."""
    return not _field_names(Step).isdisjoint(names)


def steps_with_declared(steps: list[Step]) -> list[Step]:
    """Each as `with_declared` gives it."""
    # Most logs have no metrics of one's own, or always the same ones.
    if any(names_declared(names) for names in {tuple(step.metrics) for step in steps if step.metrics}):
        return list(map(with_declared, steps))
    return steps


def with_declared(record: R) -> R:
    """The record with declared metrics that stand among those of one's own in their fields, unless these are set."""
    own = own_metrics(record)
    fields = _field_names(type(record))
    if fields.isdisjoint(own):
        return record
    declared = [key for key in own if key in fields]
    changes = {key: own[key] for key in declared if getattr(record, key) in _UNKNOWN}
    return msgspec.structs.replace(record, **changes, metrics={k: v for k, v in own.items() if k not in declared})


@cache
def _field_names(kind: type[Record]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__) - _NO_NUMBERS


def updated(run: Run, later: Run) -> Run:
    """A `run` record with what a later one that only updates it says; its time and attempt stay."""
    stays = ("time", "attempt", "update", "run_id", *_TABLES)
    changes = {key: value for key in later.__struct_fields__ if (value := getattr(later, key)) not in _UNKNOWN}
    changes = {key: value for key, value in changes.items() if key not in stays}
    for key in _TABLES:
        tables = [table for table in (getattr(run, key), getattr(later, key)) if isinstance(table, dict)]
        if tables:
            changes[key] = {name: value for table in tables for name, value in table.items()}
    return msgspec.structs.replace(run, **changes)
