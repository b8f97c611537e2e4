"""Another tool's rows as our records."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

import msgspec
import numpy as np

from tuitrain.events import LATEST_TIME, AnyRecord, BrokenLine, End, Eval, Run, Step, usable_time
from tuitrain.events.own_metrics import StepOrder, names_declared
from tuitrain.readers.blocks import LARGEST_EXACT, WHOLE, FloatArray, Steps, as_block, rows_of
from tuitrain.readers.mapping import NameMapping, declared_axis
from tuitrain.readers.model import Item, Reader, Restart, Row, Rows
from tuitrain.readers.supplied import Supplied

_LARGEST = 2**63 - 1
_MOST_PLANS = 10_000
_LARGEST_MFU = 2.0
"""A wrong peak gives a share of 1.3; one of 40 is in per cent."""
_ENDS: dict[str, Literal["completed", "stopped", "failed"]] = {
    "completed": "completed", "failed": "failed", "stopped": "stopped",
}  # fmt: skip


@dataclass
class Records:
    """What one poll of another tool's log read, as our records; the fields are those of `readers.model.Reading`."""

    records: list[AnyRecord | Steps]
    broken: list[BrokenLine]
    reset: bool = False
    more: bool = False


@dataclass
class _Plan:
    """Where the values of rows with these names go: (field, name, factor) of a step and of each split evaluated."""

    names: tuple[str, ...]
    fields: list[tuple[str, str, float]] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    evaluated: dict[str, list[tuple[str, str, float]]] = field(default_factory=dict)

    @cached_property
    def has_step(self) -> bool:
        """Whether there is a step, not only evaluations."""
        return bool(self.fields or self.own)

    @cached_property
    def is_whole(self) -> bool:
        """Whether the values of a row are the metrics of a step as they are."""
        return not self.fields and not self.evaluated

    @cached_property
    def is_plain(self) -> bool:
        """Whether rows are steps and nothing else, and no metric of one's own is called like a field."""
        return self.has_step and not self.evaluated and not names_declared(self.own)

    @cached_property
    def is_special(self) -> bool:
        """Whether a field of the step is not any number."""
        return not _SPECIAL.isdisjoint(field for field, _, _ in self.fields)


class RecordReader:
    """Turns what a reader reads into records: a `run` record first, then steps, evaluations and an `end` record.

    run_id: what the run is called here. A row becomes at most one step and one evaluation for each split. written:
    gives when the log was last written, in Unix seconds, which is the time of rows that have none. supplied: facts
    that the log lacks.
    """

    def __init__(
        self,
        reader: Reader,
        run_id: str,
        mapping: NameMapping,
        written: Callable[[], float] = time.time,
        supplied: Supplied | None = None,
    ) -> None:
        self.reader = reader
        self.mapping = mapping
        self._supplied = supplied or Supplied()
        self._adds = self._supplied != Supplied()
        self._run_id = run_id
        self._written = written
        self._begin()

    def _begin(self) -> None:
        self._run: Run | None = None
        self._end: End | None = None
        self._attempt = 1
        self._count = 0
        self._order = StepOrder()
        self._time = 0.0
        """Unix seconds of the newest row."""
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def poll(self) -> Records:
        """Read what was added. Raises OSError other than FileNotFoundError."""
        reading = self.reader.poll()
        if reading.reset:
            self._begin()
        if reading.items or not self._time:
            info = self.reader.info
            # A file of a run that is over may be a copy: when it was written says nothing of the run.
            self._time = info.started if info.ending and info.started is not None else self._written()
        self.mapping.learn(self.reader.info.meanings)
        records = self._records(reading.items)
        first = next((each.times[0].item() if isinstance(each, Steps) else each.time for each in records), None)
        records = [*self._run_records(first), *records, *self._end_records()]
        return Records(records, reading.broken, reading.reset, reading.more)

    def _run_records(self, first_time: float | None) -> Iterable[Run]:
        """The `run` record, once there is something to say, and again where what it says has changed."""
        info = self.reader.info
        steps = info.total_steps
        if steps is None and info.total is not None:
            steps = self._step_of(info.total)
        run = Run(
            time=info.started or first_time or self._time, run_id=self._run_id, name=info.name,
            attempt=self._attempt, config=dict(info.hyperparameters),
            logged_summary=dict(info.summary) or msgspec.UNSET, x_axes=self._x_axes() or msgspec.UNSET,
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

    def _x_axes(self) -> dict[str, str]:
        """The metrics with axes of their own by our keys."""
        info, targets = self.reader.info, self.mapping.targets
        if not info.axes:
            return {}
        keys = {name: name if target is None else target.key for name, target in targets.items()}
        axes = ((name, declared_axis(info.axes, name)) for name in keys)
        return {keys[name]: keys.get(axis, axis) for name, axis in axes if axis not in (None, name, info.counter)}

    def _end_records(self) -> Iterable[End]:
        info = self.reader.info
        status = _ENDS.get(info.ending or "")
        if status is not None and self._end is None:
            self._end = End(time=self._time, status=status, reason=info.reason or None)
            yield self._end

    def _records(self, items: Iterable[Item]) -> list[AnyRecord | Steps]:
        records: list[AnyRecord | Steps] = []
        for names, group in groupby(items, _names_of):
            if names is not None:
                self._add_rows(self._plan_of(names), list(group), records)
                continue
            for item in group:
                if isinstance(item, Rows):
                    self._add_block(self._plan_of(tuple(item.values)), item, records)
                elif isinstance(item, Restart):
                    self._attempt += 1
                    if self._run is not None:
                        self._run = msgspec.structs.replace(self._run, attempt=self._attempt)
                        records.append(self._run)
                elif not isinstance(item, Row):
                    records.append(item)
        return records

    def _add_block(self, plan: _Plan, block: Rows, records: list[AnyRecord | Steps]) -> None:
        """Add many rows with the names of a plan at once, or one by one where they are not plain."""
        steps = self._steps_of(plan, block)
        if steps is None:
            self._add_one_by_one(plan, rows_of(block), records)
            return
        self._end = None
        self._count += len(block.x)
        self._time = steps.times[-1].item()
        for step in steps.steps[[0, -1]].tolist():
            self._order.is_late(int(step), plan.names)
        records.append(steps)

    def _steps_of(self, plan: _Plan, block: Rows) -> Steps | None:
        """The steps that these rows are; None where not all of them are steps that count up from the newest one."""
        steps = block.x if block.step is None else block.step
        times = np.full(len(steps), self._time) if block.time is None else block.time
        if not plan.is_plain or self._adds or steps[0] < max(0, self._order.newest) or steps[-1] >= LARGEST_EXACT:
            return None
        if not (steps[1:] > steps[:-1]).all() or (steps != np.trunc(steps)).any():
            return None
        if not ((times >= 0) & (times < LATEST_TIME)).all():
            return None
        values: dict[str, FloatArray] = {}
        with np.errstate(all="ignore"):
            for key, name, factor in plan.fields:
                values[key] = block.values[name] * factor
                if key in WHOLE and not ((values[key] >= 0) & (values[key] < float(_LARGEST))).all():
                    return None
                if key == "mfu" and not ((values[key] >= 0) & (values[key] <= _LARGEST_MFU)).all():
                    return None
        values |= {key: np.trunc(values[key]) for key in WHOLE & values.keys()}
        return Steps(times, steps, values | {name: block.values[name] for name in plan.own})

    def _add_rows(self, plan: _Plan, rows: list[Any], records: list[AnyRecord | Steps]) -> None:
        """Add rows with the names of a plan, many of them at once."""
        block = as_block(rows) if plan.is_plain else None
        if block is not None:
            self._add_block(plan, block, records)
        else:
            self._add_one_by_one(plan, rows, records)

    def _add_one_by_one(self, plan: _Plan, rows: list[Row], records: list[AnyRecord | Steps]) -> None:
        """Add rows with the names of a plan, which are taken apart in the same way."""
        self._end = None
        for row in rows:
            step = row.step if row.step is not None else self._step_of(row.x)
            self._count += 1
            self._time = row.time if row.time is not None and usable_time(row.time) else self._time
            values = row.values
            if plan.has_step:
                late = self._order.is_late(step, plan.names) or msgspec.UNSET
                fields: dict[str, Any] = {field: values[name] * factor for field, name, factor in plan.fields}
                if self._adds:
                    self._supplied.add_to(step, fields)
                own: Any = values if plan.is_whole else {name: values[name] for name in plan.own} or msgspec.UNSET
                if plan.is_special or self._adds:
                    fields = _typed(fields)
                records.append(Step(time=self._time, step=step, metrics=own, late=late, **fields))
            for split, evaluated in plan.evaluated.items():
                fields = {field: values[name] * factor for field, name, factor in evaluated}
                records.append(Eval(time=self._time, step=step, split=split, **_typed(fields)))

    def _plan_of(self, names: tuple[str, ...]) -> _Plan:
        """The plan for rows with these names."""
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._plan(names)
        return plan

    def _plan(self, names: tuple[str, ...]) -> _Plan:
        plan = _Plan(names)
        for name in names:
            target = self.mapping.target(name)
            if target is None:
                plan.own.append(name)
            elif target.split is None:
                plan.fields.append((target.field, name, target.factor))
            else:
                plan.evaluated.setdefault(target.split, []).append((target.field, name, target.factor))
        return plan

    def _step_of(self, x: float) -> int:
        """The step at an x: x itself where it is a whole number, else the number of the row."""
        return int(x) if math.isfinite(x) and x == int(x) and 0 <= x <= _LARGEST else self._count


def _names_of(item: Item) -> tuple[str, ...] | None:
    return tuple(item.values) if isinstance(item, Row) else None


_SPECIAL = WHOLE | {"mfu"}


def _typed(fields: dict[str, float]) -> dict[str, Any]:
    """The values as the fields of a step hold them: counts are whole, and unknown where they cannot be."""
    if _SPECIAL.isdisjoint(fields):
        return fields
    typed: dict[str, Any] = {key: _count(value) if key in WHOLE else value for key, value in fields.items()}
    share = typed.get("mfu", 0.0)
    if share < 0:
        # nanoGPT's -100 % before it has measured it.
        typed["mfu"] = None
    elif share > _LARGEST_MFU:
        # No share but per cent, which the name did not say.
        typed["mfu"] = share / 100
    return typed


def _count(value: float) -> int | None:
    return int(value) if math.isfinite(value) and 0 <= value <= _LARGEST else None
