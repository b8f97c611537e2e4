"""The state of one run, built from its records in the order they were written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
        """Take in further records, in the order of the log."""
        pending: list[Step] = []
        for record in records:
            if isinstance(record, Step):
                pending.append(record)
                continue
            if isinstance(record, Run):
                self._absorb_steps(pending)
                pending = []
            if isinstance(record, System):
                self._absorb_system(record, float(pending[-1].step) if pending else self.steps.last("step"))
            self._absorb_other(record)
        self._absorb_steps(pending)
        self.broken_count += len(broken)
        self.broken = [*self.broken, *broken][-BROKEN_KEPT:] if broken else self.broken

    def _absorb_steps(self, steps: Sequence[Step]) -> None:
        if not steps:
            return
        self._seen(max(record.time for record in steps))
        numbers = np.array([record.step for record in steps])
        restarts = (np.flatnonzero(np.diff(numbers) <= 0) + 1).tolist()
        for start, end in zip([0, *restarts], [*restarts, len(steps)], strict=True):
            superseded = self._supersede(self.steps, int(numbers[start]))
            if superseded is not None:
                self.superseded_steps.append_columns(superseded)
                self._forget_results(int(numbers[start]), steps[start].time)
            self.steps.extend(steps[start:end])

    def _forget_results(self, step: int, time: float) -> None:
        """Drop what a superseded attempt left at this step or later: it was written before `time`."""
        self.evals = self.evals.where((self.evals["step"] < step) | (self.evals["time"] >= time))
        self.samples = [sample for sample in self.samples if sample.step < step or sample.time >= time]
        self.checkpoints = [saved for saved in self.checkpoints if saved.step < step or saved.time >= time]
        self.layers = [layers for layers in self.layers if layers.step < step or layers.time >= time]

    def _absorb_other(self, record: AnyRecord) -> None:
        self._seen(record.time)
        match record:
            case Run():
                self.attempts.append(record)
                self.end = None
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

    def _absorb_system(self, record: System, step: float | None) -> None:
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
            step=0.0 if step is None else step,
            cpu_percent=record.cpu_percent,
            ram_used_gb=record.ram_used_gb,
            gpu_util_percent=_mean(known["gpu_util_percent"]),
            gpu_power_w=sum(known["gpu_power_w"]) if known["gpu_power_w"] else None,
            gpu_mem_used_gb=max(known["gpu_mem_used_gb"], default=None),
            gpu_temp_c=max(known["gpu_temp_c"], default=None),
        )

    def _seen(self, time: float) -> None:
        self.last_time = time if self.last_time is None else max(self.last_time, time)

    @staticmethod
    def _supersede(table: Columns, step: int) -> Columns | None:
        """Take the rows from this step on out of the table; None when there are none."""
        row = int(np.searchsorted(table["step"], step, side="left"))
        return table.cut(row) if row < len(table) else None


def _add(records: list[_Stepped], record: _Stepped) -> None:
    """Append a record; those from its step on, which an earlier attempt left, go."""
    while records and records[-1].step >= record.step:
        records.pop()
    records.append(record)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
