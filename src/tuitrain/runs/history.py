"""The state of one run, built from its records in the order they were written."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tuitrain.events import (
    Alert,
    AnyRecord,
    Checkpoint,
    Control,
    End,
    Eval,
    Layers,
    Run,
    Sample,
    Step,
    System,
)
from tuitrain.runs.columns import Columns, numeric_fields

STEP_KEYS = numeric_fields(Step)
EVAL_KEYS = numeric_fields(Eval)

SYSTEM_KEYS = (
    "time", "step", "cpu_percent", "ram_used_gb", "gpu_util_percent", "gpu_power_w", "gpu_mem_used_gb", "gpu_temp_c",
)  # fmt: skip
"""One row for each `system` record: mean utilisation, total power, largest memory and temperature of its GPUs."""
SYSTEMS_KEPT = 600
LAYERS_KEPT = 2048
BROKEN_KEPT = 200

_Stepped = TypeVar("_Stepped", Sample, Checkpoint, Layers)


@dataclass(frozen=True)
class BrokenLine:
    """A line of the log that could not be read: its number, from 1, and why."""

    number: int
    reason: str


class RunHistory:
    """Everything a log says about its run. `steps` and `evals` are tables in the order of steps.

    When a later attempt starts again at an earlier step, the records from that step on move to
    `superseded_steps`: they happened, but the run did not keep them. Its evaluations, samples and checkpoints from
    that step on are dropped.
    """

    def __init__(self) -> None:
        self.attempts: list[Run] = []
        self.steps = Columns(STEP_KEYS)
        self.superseded_steps = Columns(STEP_KEYS)
        self.evals = Columns(EVAL_KEYS)
        self.samples: list[Sample] = []
        self.checkpoints: list[Checkpoint] = []
        self.alerts: list[Alert] = []
        self.controls: list[Control] = []
        self.layers: list[Layers] = []
        """At most LAYERS_KEPT over the whole run: every second one goes when there are more."""
        self.systems: list[System] = []
        """The newest SYSTEMS_KEPT readings; `system_columns` has all, summed up."""
        self.system_columns = Columns(SYSTEM_KEYS)
        self.end: End | None = None
        self.broken: list[BrokenLine] = []
        """The newest BROKEN_KEPT lines that could not be read; `broken_count` says how many there were."""
        self.broken_count = 0
        self._newest_step: int | None = None
        self._early: list[Eval | Sample | Checkpoint | Layers] | None = None
        """Results of an attempt that has not logged a step yet: they stay when that step supersedes others."""
        self.last_time: float | None = None
        """Time of the newest record, Unix seconds: the heartbeat."""

    @property
    def run(self) -> Run | None:
        """What the newest attempt said of itself, or None before its first record."""
        return self.attempts[-1] if self.attempts else None

    @property
    def started(self) -> float | None:
        """Unix seconds of the first attempt's start."""
        if self.attempts:
            return self.attempts[0].time
        return float(self.steps["time"][0]) if len(self.steps) else None

    @property
    def step(self) -> int | None:
        """The newest step."""
        last = self.steps.last("step")
        return None if last is None else int(last)

    @property
    def tokens(self) -> int | None:
        """Tokens trained on so far."""
        last = self.steps.last("tokens")
        return None if last is None else int(last)

    @property
    def system(self) -> System | None:
        """The newest readings of the machine."""
        return self.systems[-1] if self.systems else None

    def absorb(self, records: Iterable[AnyRecord], broken: Sequence[BrokenLine] = ()) -> None:
        """Take in further records, in the order of the log; in what portions they come makes no difference."""
        arrivals = _Arrivals(self.steps, self.superseded_steps, self._newest_step)
        newest_time = -math.inf if self.last_time is None else self.last_time
        for record in records:
            if record.time > newest_time:
                newest_time = self.last_time = record.time
            if isinstance(record, Step):
                supersedes = arrivals.add(record)
                if supersedes or self._early is not None:
                    self._begin_at(record.step, supersedes)
            elif isinstance(record, Eval | Sample | Checkpoint | Layers):
                if self._early is not None:
                    self._early.append(record)
                self._absorb_result(record)
            else:
                self._absorb_other(record, arrivals.newest)
        arrivals.settle()
        self._newest_step = arrivals.newest
        self.broken_count += len(broken)
        self.broken = [*self.broken, *broken][-BROKEN_KEPT:] if broken else self.broken

    def _begin_at(self, step: int, supersedes: bool) -> None:
        """Take note of a step that is the first of an attempt or goes back."""
        early, self._early = self._early or [], None
        if supersedes:
            self._forget_results(step)
            for result in early:
                self._absorb_result(result)

    def _forget_results(self, step: int) -> None:
        """Drop what was left at this step or later."""
        self._supersede(self.evals, step)
        results: tuple[list[Any], ...] = (self.samples, self.checkpoints, self.layers)
        for kept in results:
            while kept and kept[-1].step >= step:
                kept.pop()

    def _absorb_result(self, record: Eval | Sample | Checkpoint | Layers) -> None:
        match record:
            case Eval():
                self._supersede(self.evals, record.step)
                self.evals.extend([record])
            case Sample():
                self._absorb_sample(record)
            case Checkpoint():
                _add(self.checkpoints, record)
            case Layers():
                _add(self.layers, record)
                if len(self.layers) > LAYERS_KEPT:
                    del self.layers[1::2]

    def _absorb_other(self, record: AnyRecord, step: int | None) -> None:
        """Take in a record that has no results. step: the newest one."""
        match record:
            case Run():
                self.attempts.append(record)
                self.end = None
                self._early = []
            case System():
                self._absorb_system(record, step)
            case Alert():
                self.alerts.append(record)
            case Control():
                self.controls.append(record)
            case End():
                self.end = record

    def _absorb_sample(self, record: Sample) -> None:
        """One more; those of later steps, and of this step to this prompt, an earlier attempt left."""
        while self.samples and self.samples[-1].step > record.step:
            self.samples.pop()
        same = (record.step, record.prompt)
        at = next((i for i in range(len(self.samples) - 1, -1, -1) if self.samples[i].step < record.step), -1) + 1
        self.samples[at:] = [kept for kept in self.samples[at:] if (kept.step, kept.prompt) != same]
        self.samples.append(record)

    def _absorb_system(self, record: System, step: int | None) -> None:
        self.systems.append(record)
        del self.systems[:-SYSTEMS_KEPT]
        gpus = {
            "gpu_util_percent": [gpu.util_percent for gpu in record.gpus],
            "gpu_power_w": [gpu.power_w for gpu in record.gpus],
            "gpu_mem_used_gb": [gpu.mem_used_gb for gpu in record.gpus],
            "gpu_temp_c": [gpu.temp_c for gpu in record.gpus],
        }
        known = {key: [value for value in values if value is not None] for key, values in gpus.items()}
        self.system_columns.append_row(
            time=record.time,
            step=float(step or 0),
            cpu_percent=record.cpu_percent,
            ram_used_gb=record.ram_used_gb,
            gpu_util_percent=_mean(known["gpu_util_percent"]),
            gpu_power_w=sum(known["gpu_power_w"]) if known["gpu_power_w"] else None,
            gpu_mem_used_gb=max(known["gpu_mem_used_gb"], default=None),
            gpu_temp_c=max(known["gpu_temp_c"], default=None),
        )

    @staticmethod
    def _supersede(table: Columns, step: int) -> None:
        if len(table) and table["step"][-1] >= step:
            table.cut(_row_of(table, step))


class _Arrivals:
    """Steps on their way into the table, which takes them in many at once; the outcome is as if it was one by one."""

    def __init__(self, table: Columns, superseded: Columns, newest: int | None) -> None:
        self.newest = newest
        self._table, self._superseded = table, superseded
        self._steps: list[Step] = []
        self._dropped: list[Step] = []

    def add(self, record: Step) -> bool:
        """One more step. Returns whether it is of a restart: whatever was at its number or later is superseded."""
        restarts = self.newest is not None and record.step <= self.newest
        if restarts:
            self._supersede(record.step)
        self._steps.append(record)
        self.newest = record.step
        return restarts

    def _supersede(self, step: int) -> None:
        # Numbers are compared as the columns hold them.
        at = bisect_left(self._steps, float(step), key=lambda record: float(record.step))
        if not at and len(self._table) and self._table["step"][-1] >= step:
            self._settle_dropped()
            self._superseded.append_columns(self._table.cut(_row_of(self._table, step)))
        self._dropped += self._steps[at:]
        del self._steps[at:]

    def settle(self) -> None:
        """Put all that arrived where it belongs."""
        self._settle_dropped()
        if self._steps:
            self._table.extend(self._steps)

    def _settle_dropped(self) -> None:
        if self._dropped:
            self._superseded.extend(self._dropped)
            self._dropped = []


def _row_of(table: Columns, step: int) -> int:
    """The first row at this step or a later one."""
    return int(np.searchsorted(table["step"], step, side="left"))


def _add(records: list[_Stepped], record: _Stepped) -> None:
    """Append a record; those from its step on, which an earlier attempt left, go."""
    while records and records[-1].step >= record.step:
        records.pop()
    records.append(record)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
