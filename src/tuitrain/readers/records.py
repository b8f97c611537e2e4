"""Another tool's rows as our records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tuitrain.events import AnyRecord, BrokenLine, End, Eval, Run, Step, usable_time
from tuitrain.events.own_metrics import StepOrder
from tuitrain.readers.mapping import NameMapping, Target
from tuitrain.readers.model import Item, Reader, Restart, Row
from tuitrain.readers.supplied import Supplied

_LARGEST = 2**63 - 1
_ENDS: dict[str, Literal["completed", "stopped", "failed"]] = {
    "completed": "completed", "failed": "failed", "stopped": "stopped",
}  # fmt: skip


@dataclass
class Records:
    """What one poll of another tool's log read, as our records; the fields are those of `readers.model.Reading`."""

    records: list[AnyRecord]
    broken: list[BrokenLine]
    reset: bool = False
    more: bool = False


class RecordReader:
    """Turns what a reader reads into records: a `run` record first, then steps, evaluations and an `end` record.

    run_id: what the run is called here. A row becomes at most one step and one evaluation for each split. written:
    when the log was last written, in Unix seconds: the time of rows that have none, until all there was is read; from
    then on they have the time at which they are read. supplied: facts that the log lacks.
    """

    def __init__(
        self, reader: Reader, run_id: str, mapping: NameMapping, written: float, supplied: Supplied | None = None
    ) -> None:
        self.reader = reader
        self.mapping = mapping
        self._supplied = supplied or Supplied()
        self._run_id = run_id
        self._written = written
        self._live = False
        self._begin()

    def _begin(self) -> None:
        self._run: Run | None = None
        self._end: End | None = None
        self._attempt = 1
        self._count = 0
        self._order = StepOrder()
        self._time = self._written
        """Unix seconds of the newest row."""
        self._targets: dict[str, Target | None] = {}

    def poll(self) -> Records:
        """Read what was added. Raises OSError other than FileNotFoundError."""
        reading = self.reader.poll()
        if reading.reset:
            self._begin()
        if self._live:
            self._time = time.time()
        self._live = self._live or not reading.more
        for name, ours in self.reader.info.meanings.items():
            self.mapping.given.setdefault(name, ours)
        records = list(self._records(reading.items))
        first = next((record.time for record in records), None)
        records = [*self._run_records(first), *records, *self._end_records()]
        return Records(records, reading.broken, reading.reset, reading.more)

    def _run_records(self, first_time: float | None) -> Iterable[Run]:
        """The `run` record, once there is something to say, and again where what it says has changed."""
        info = self.reader.info
        steps = info.total_steps
        if steps is None and info.total is not None:
            steps = self._step_of(info.total)
        run = Run(
            time=info.started or first_time or self._written, run_id=self._run_id, name=info.name,
            attempt=self._attempt, config=dict(info.hyperparameters),
            **({"total_steps": steps} | self._supplied.of_run()),
        )  # fmt: skip
        before = self._run
        if before is not None:
            run.time = before.time
        elif first_time is None and info.started is None and not info.hyperparameters:
            return
        if run != before:
            self._run = run
            yield run if before is None else msgspec.structs.replace(run, update=True)

    def _end_records(self) -> Iterable[End]:
        info = self.reader.info
        status = _ENDS.get(info.ending or "")
        if status is not None and self._end is None:
            self._end = End(time=self._time, status=status, reason=info.reason or None)
            yield self._end

    def _records(self, items: Iterable[Item]) -> Iterable[AnyRecord]:
        for item in items:
            if isinstance(item, Row):
                self._end = None
                yield from self._of_row(item)
            elif isinstance(item, Restart):
                self._attempt += 1
                if self._run is not None:
                    self._run = msgspec.structs.replace(self._run, attempt=self._attempt)
                    yield self._run
            else:
                yield item

    def _of_row(self, row: Row) -> Iterable[Step | Eval]:
        step = row.step if row.step is not None else self._step_of(row.x)
        self._count += 1
        self._time = row.time if row.time is not None and usable_time(row.time) else self._time
        fields: dict[str, float] = {}
        own: dict[str, float | None] = {}
        evaluated: dict[str, dict[str, float]] = {}
        for name, value in row.values.items():
            target = self._targets[name] if name in self._targets else self._target(name)
            if target is None:
                own[name] = value
            elif target.split is None:
                fields[target.field] = value * target.factor
            else:
                evaluated.setdefault(target.split, {})[target.field] = value * target.factor
        if fields or own:
            late = self._order.is_late(step, row.values) or msgspec.UNSET
            self._supplied.add_to(step, fields)
            yield Step(time=self._time, step=step, **_typed(fields), metrics=own or msgspec.UNSET, late=late)
        for split, values in evaluated.items():
            yield Eval(time=self._time, step=step, split=split, **_typed(values))

    def _target(self, name: str) -> Target | None:
        target = self._targets[name] = self.mapping.target(name)
        return target

    def _step_of(self, x: float) -> int:
        """The step at an x: x itself where it is a whole number, else the number of the row."""
        return int(x) if math.isfinite(x) and x == int(x) and 0 <= x <= _LARGEST else self._count


_WHOLE = ("tokens", "grad_nonfinite", "slowest_rank")


def _typed(fields: dict[str, float]) -> dict[str, Any]:
    """The values as the fields of a step hold them: counts are whole, and unknown where they cannot be."""
    counts: dict[str, Any] = {key: _count(fields[key]) for key in _WHOLE if key in fields}
    if fields.get("mfu", 0.0) < 0:
        # nanoGPT's -100 % before it has measured it.
        counts["mfu"] = None
    return {**fields, **counts}


def _count(value: float) -> int | None:
    return int(value) if math.isfinite(value) and 0 <= value <= _LARGEST else None
