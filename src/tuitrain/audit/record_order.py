"""The order of the records of a log as it was written, which the history, sorted by steps, no longer has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from tuitrain.events import AnyRecord, Run, Step
from tuitrain.events.own_metrics import own_metrics
from tuitrain.readers.blocks import Steps
from tuitrain.runs import Batch, Follower, RunDirectory, RunHistory, drain, open_follower

MOST_KEPT = 1000
"""Of each kind of irregularity; more are only counted."""
CLOCK_SLACK_S = 1.0
"""Records of several threads are written up to this much out of order."""
_NO_VALUES = frozenset({"time", "step", "metrics", "late"})


@dataclass(frozen=True)
class Repeat:
    """A value of a step that was written twice in one attempt."""

    step: int
    key: str
    first: float
    second: float


@dataclass
class RecordOrder:
    """What is irregular in the order of the records of a log.

    ours: whether the log is one of ours, where each record has its time and a resume begins with a `run` record.
    returns: steps (from, to) that go back without a new attempt. backwards: (seconds, newest step) where the clock goes
    back within an attempt by more than CLOCK_SLACK_S.
    """

    ours: bool = True
    repeats: list[Repeat] = field(default_factory=list)
    returns: list[tuple[int, int]] = field(default_factory=list)
    backwards: list[tuple[float, int | None]] = field(default_factory=list)
    _step: Step | None = None
    _values: dict[str, float] = field(default_factory=dict)
    """The values of the newest step, for a further record of it."""
    _time: float | None = None

    def absorb(self, records: Iterable[AnyRecord]) -> None:
        """Add further records, in the order of the log."""
        for record in records:
            if isinstance(record, Run) and record.update is not True:
                self._step, self._time = None, None
            if self.ours or isinstance(record, Step):
                self._absorb_time(record.time)
            if isinstance(record, Step) and record.late is not True:
                self._absorb_step(record)

    def _absorb_time(self, time: float) -> None:
        if self._time is not None and time < self._time - CLOCK_SLACK_S and len(self.backwards) < MOST_KEPT:
            self.backwards.append((self._time - time, self._step.step if self._step else None))
        self._time = time

    def _absorb_step(self, step: Step) -> None:
        newest = self._step
        self._step = step
        if newest is None or step.step > newest.step:
            self._values.clear()
            return
        if step.step < newest.step:
            if len(self.returns) < MOST_KEPT:
                self.returns.append((newest.step, step.step))
            self._values.clear()
            return
        before = self._values or _values_of(newest)
        values = _values_of(step)
        for key in before.keys() & values.keys():
            if len(self.repeats) < MOST_KEPT:
                self.repeats.append(Repeat(step.step, key, before[key], values[key]))
        self._values = before | values


def _values_of(step: Step) -> dict[str, float]:
    """The values of a record by their names."""
    fields = {key: getattr(step, key) for key in step.__struct_fields__ if key not in _NO_VALUES}
    return {
        key: float(value)
        for key, value in (fields | own_metrics(step)).items()
        if value is not None and value is not msgspec.UNSET
    }


def _ends(block: Steps) -> list[Step]:
    """The records of a block whose order can be irregular: those at its ends, unless its clock goes back within it."""
    if len(block.steps) < 3 or (np.diff(block.times) < -CLOCK_SLACK_S).any():
        return block.records()
    return block.ends


class _Observed:
    """A follower whose records are also looked at in the order in which they come."""

    def __init__(self, follower: Follower, ours: bool) -> None:
        self._follower, self._ours = follower, ours
        self.order = RecordOrder(ours)

    def poll(self) -> Batch:
        batch = self._follower.poll()
        if batch.reset:
            self.order = RecordOrder(self._ours)
        for record in batch.records:
            self.order.absorb(_ends(record) if isinstance(record, Steps) else [record])
        return batch


def read_in_order(run: RunDirectory) -> tuple[RunHistory, RecordOrder]:
    """The whole log of a run, and the order of its records. Raises FileNotFoundError when there is none."""
    run.metrics.stat()
    observed = _Observed(open_follower(run), ours=run.source is None)
    history = drain(observed, RunHistory())
    return history, observed.order
