"""The state of one run, built from its records in the order they were written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol

import numpy as np

from tuitrain.accounting import RECENT_RECORDS
from tuitrain.events import (
    Alert,
    AnyRecord,
    BrokenLine,
    Checkpoint,
    Control,
    End,
    Eval,
    Layers,
    Run,
    Sample,
    Stage,
    Step,
    System,
    TimeUse,
    WallTime,
)
from tuitrain.events.own_metrics import steps_with_declared, updated, with_declared
from tuitrain.events.requests import paused_since
from tuitrain.events.results import VALIDATION, RunResults, validation_split
from tuitrain.readers.blocks import Steps
from tuitrain.runs.columns import Columns
from tuitrain.runs.status import Status
from tuitrain.runs.step_table import StepTable

SYSTEMS_KEPT = 600
LAYERS_KEPT = 2048
BROKEN_KEPT = 200


class AlertSource(Protocol):
    """Derives the alerts of a run from its records, which it is fed once and in their order."""

    def absorb(self, records: Sequence[AnyRecord | Steps], steps: Columns | None = None) -> list[Alert]:
        """The alerts that further records bring, those among the records too.

        steps: a row for each `step` record of them, where somebody has made that table.
        """

    def standing(self, status: Status, now: float, crash: str = "") -> list[Alert]:
        """How the run stands at this moment, in Unix seconds: what is so now and may be otherwise at the next.

        crash: why it crashed.
        """


class RunHistory:
    """The records of a log by kind. `steps` and `evals` are tables in the order of steps.

    When a later attempt starts again at an earlier step, the records from that step on move to
    `superseded_steps`: they happened, but the run did not keep them. Its evaluations, samples and checkpoints from
    that step on are dropped. `evals` are those of the validation split; `evals_of` has those of any. alert_source:
    makes what derives alerts from the records; without it the alerts are those of the log.
    """

    def __init__(self, alert_source: Callable[[], AlertSource] | None = None) -> None:
        self._alert_source = alert_source
        self._alerts_of = alert_source() if alert_source is not None else None
        self.attempts: list[Run] = []
        self.planned: Mapping[str, Any] = {}
        """The configuration with which it is to begin, where no attempt has."""
        self.attempt_steps: list[int | None] = []
        """The first step of each attempt; None of one that has none."""
        self._step_table = StepTable()
        self.alerts: list[Alert] = []
        self.alert_steps: list[int | None] = []
        """The step of each alert: its own, else the newest when it came; None before any."""
        self._alert_records: list[tuple[Alert, int | None]] = []
        """Those of the batch that is being absorbed, with the newest step before each."""
        self.controls: list[Control] = []
        self.systems: list[System] = []
        """The newest SYSTEMS_KEPT readings; `system_columns` has all, summed up."""
        self.system_columns = Columns()
        """One row for each reading: mean utilisation, total power, largest memory and temperature of its GPUs."""
        self.end: End | None = None
        self.stage: Stage | None = None
        """What the newest attempt does, until its first step."""
        self.paused_since: float | None = None
        """Unix seconds since when the run waits to continue."""
        self._continued: float | None = None
        """Unix seconds when it last continued."""
        self.broken: list[BrokenLine] = []
        """The newest BROKEN_KEPT lines that could not be read; `broken_count` says how many there were."""
        self.broken_count = 0
        self._results = RunResults()
        self._eval_tables: dict[str, Columns] = {}
        self.last_time: float | None = None
        """Time of the last record, Unix seconds: the heartbeat."""
        self._wall_time = WallTime()
        self.time_use = TimeUse()
        """Where the time outside of the steps went."""

    def anew(self) -> RunHistory:
        """An empty one that derives alerts as this one does: for a log that was replaced."""
        return RunHistory(self._alert_source)

    def standing_alerts(self, status: Status, now: float, crash: str = "") -> list[Alert]:
        """How the run stands at this moment, in Unix seconds: what no record says. crash: why it crashed."""
        return self._alerts_of.standing(status, now, crash) if self._alerts_of is not None else []

    @property
    def steps(self) -> Columns:
        """The steps that the run kept. It must not be written to."""
        return self._step_table.rows

    @property
    def superseded_steps(self) -> Columns:
        """The steps that a later attempt did again, in the order they were written. It must not be written to."""
        return self._step_table.superseded

    def keep_newest(self, steps: int) -> None:
        """Forget all but the newest steps, and what was superseded and read of the machine before."""
        self._step_table.keep_newest(steps)
        self.system_columns = Columns()

    @property
    def run(self) -> Run | None:
        """The `run` record of the newest attempt; None before the first."""
        return self.attempts[-1] if self.attempts else None

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the newest attempt, of a run that has not begun the planned one; empty without one."""
        return self.run.config if self.run is not None else self.planned

    def section(self, name: str) -> dict[str, Any]:
        """A table of the run's configuration; empty without one."""
        table = self.config.get(name)
        return table if isinstance(table, dict) else {}

    @property
    def logged_summary(self) -> dict[str, Any]:
        """What the program says of the outcome of the newest attempt itself; empty where it says nothing."""
        table = self.run.logged_summary if self.run else None
        return table if isinstance(table, dict) else {}

    @property
    def started(self) -> float | None:
        """Unix seconds of the first attempt's start."""
        if self.attempts:
            return self.attempts[0].time
        return float(self.steps["time"][0]) if len(self.steps) else None

    @property
    def wall_time_s(self) -> float | None:
        """Seconds that the run took, without the time between attempts; None where that is unknown."""
        return self.wall_time_since(self.started)

    def wall_time_until(self, until: float) -> float | None:
        """The same up to a Unix time."""
        return self._wall_time.seconds(self.started, until)

    def wall_time_since(self, started: float | None) -> float | None:
        """The same for a log whose first `run` record, of these Unix seconds, may not have been read."""
        return self._wall_time.seconds(started)

    def recent_steps(self) -> tuple[tuple[float, float, float], ...]:
        """(time, step, tokens) of the newest steps without a pause, at most RECENT_RECORDS; nan is unknown.

        They are of the newest attempt, and written since it last continued.
        """
        first = self.attempt_steps[-1] if self.attempts else 0
        if first is None:
            return ()
        rows = slice(max(0, len(self.steps) - RECENT_RECORDS), None)
        columns = (self.steps[key][rows].tolist() for key in ("time", "step", "tokens"))
        since = self._continued
        rows_kept = (row for row in zip(*columns, strict=True) if row[1] >= first)
        return tuple(row for row in rows_kept if since is None or row[0] > since)

    @property
    def step(self) -> int | None:
        """The newest step."""
        last = self.steps.last("step")
        return None if last is None else int(last)

    @property
    def has_begun(self) -> bool:
        """Whether the newest attempt has made a step."""
        return len(self.steps) > 0 and self.stage is None

    @property
    def tokens(self) -> int | None:
        """Tokens trained on so far."""
        last = self.steps.last("tokens")
        return None if last is None else int(last)

    @property
    def splits(self) -> list[str]:
        """The splits that were evaluated, the validation split first."""
        first = self.validation_split
        return sorted(self._results.splits, key=lambda split: split != first)

    @property
    def validation_split(self) -> str | None:
        """The split whose loss is the validation loss: `val`, else the only or first other; None without any."""
        return validation_split(self._results.splits)

    @property
    def evaluation(self) -> Eval | None:
        """The newest evaluation of the validation split."""
        evaluations = self.evaluations_of(self.validation_split)
        return evaluations[-1] if evaluations else None

    def evaluations_of(self, split: str | None) -> Sequence[Eval]:
        """The evaluations of a split in the order of their steps."""
        return self._results.evaluations(split)

    @property
    def evals(self) -> Columns:
        """The evaluations of the validation split as a table. It must not be written to."""
        split = self.validation_split
        return self.evals_of(VALIDATION if split is None else split)

    def evals_of(self, split: str) -> Columns:
        """The evaluations of a split as a table. It must not be written to."""
        table = self._eval_tables.get(split)
        if table is None:
            table = self._eval_tables[split] = Columns()
            if records := self._results.evaluations(split):
                table.extend(records)
        return table

    @property
    def samples(self) -> list[Sample]:
        """The texts that the model wrote."""
        return self._results.samples.records

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints that were completed."""
        return self._results.checkpoints.records

    @property
    def layers(self) -> list[Layers]:
        """At most LAYERS_KEPT over the whole run: every second one goes when there are more."""
        return self._results.layers.records

    @property
    def system(self) -> System | None:
        """The newest readings of the machine."""
        return self.systems[-1] if self.systems else None

    def absorb(self, records: Iterable[AnyRecord | Steps], broken: Sequence[BrokenLine] = ()) -> None:
        """Add further records, in the order of the log; how they are divided into batches does not matter."""
        record: AnyRecord | None = None
        records = records if isinstance(records, Sequence) else tuple(records)
        for kind, group in groupby(records, type):
            if kind is Step:
                steps: list[Any] = list(group)
                self._absorb_steps(steps)
                record = steps[-1]
                self._wall_time.absorb(record)
                self.time_use.absorb_steps(steps)
                continue
            for each in group:
                if isinstance(each, Steps):
                    self._absorb_block(each)
                    record = each.ends[-1]
                    self._wall_time.absorb(record)
                    self.time_use.absorb_steps(each.ends)
                    continue
                record = each
                if isinstance(record, Eval | Sample | Checkpoint | Layers):
                    self._absorb_result(record)
                else:
                    self._absorb_other(record, self._step_table.newest)
                self._wall_time.absorb(record)
                self.time_use.absorb(record)
        self._absorb_alerts(records, self._step_table.settle())
        self.last_time = record.time if record is not None else self.last_time
        self.broken_count += len(broken)
        self.broken = [*self.broken, *broken][-BROKEN_KEPT:] if broken else self.broken

    def _absorb_alerts(self, records: Sequence[AnyRecord | Steps], steps: Columns | None) -> None:
        written, self._alert_records = self._alert_records, []
        alerts = [alert for alert, _ in written] if self._alerts_of is None else self._alerts_of.absorb(records, steps)
        self.alerts += alerts
        for alert in alerts:
            newest = next((written.pop(at)[1] for at, (each, _) in enumerate(written) if each is alert), None)
            self.alert_steps.append(newest if alert.step is None else alert.step)

    def _absorb_steps(self, steps: list[Step]) -> None:
        """Add consecutive steps of the log, those that only count up at once."""
        steps = steps_with_declared(steps)
        table, numbers = self._step_table, np.array(array("d", map(attrgetter("step"), steps)))
        if (numbers[1:] > numbers[:-1]).all() and (table.newest is None or float(table.newest) < numbers[0]):
            table.append(steps)
            if not self._results.has_steps:
                self._begin_at(steps[0].step)
        else:
            for step in steps:
                if table.add(step, begins=not self._results.has_steps) or not self._results.has_steps:
                    self._begin_at(step.step)
        self.stage = self.paused_since = None

    def _absorb_block(self, block: Steps) -> None:
        """Add many steps of the log at once."""
        table = self._step_table
        if table.newest is not None and block.steps[0] <= table.newest:
            self._absorb_steps(block.records())
            return
        table.append_block(block)
        if not self._results.has_steps:
            self._begin_at(int(block.steps[0]))
        self.stage = self.paused_since = None

    def _begin_at(self, step: int) -> None:
        """Start an attempt with its first step, or with one that goes back."""
        self._results.restart(step)
        self._eval_tables.clear()
        # Steps after an end are of a later attempt, also where its first record cannot be read.
        self.end = None
        if self.attempts and self.attempt_steps[-1] is None:
            self.attempt_steps[-1] = step

    def _absorb_result(self, record: Eval | Sample | Checkpoint | Layers) -> None:
        self._results.add(with_declared(record) if isinstance(record, Eval) else record)
        if isinstance(record, Eval):
            self._eval_tables.pop(record.split, None)
        elif len(self.layers) > LAYERS_KEPT:
            self._results.layers.thin()

    def _absorb_other(self, record: AnyRecord, step: int | None) -> None:
        """Add a record that has no results. step: the newest one."""
        match record:
            case Run(update=True) if self.attempts:
                self.attempts[-1] = updated(self.attempts[-1], record)
            case Run():
                self.attempts.append(record)
                self.attempt_steps.append(None)
                self.end = self.paused_since = self._continued = None
                self._results.begin()
            case Stage():
                self.stage, self.end, self.paused_since = record, None, None
            case System():
                self._absorb_system(record, step)
            case Alert():
                self._alert_records.append((record, step))
            case Control():
                self.controls.append(record)
                was_paused, self.paused_since = self.paused_since, paused_since(record, self.paused_since)
                if was_paused is not None and self.paused_since is None:
                    self._continued = record.time
            case End():
                self.end, self.stage, self.paused_since = record, None, None
                self._results.begin()

    def _absorb_system(self, record: System, step: int | None) -> None:
        self.systems.append(record)
        del self.systems[:-SYSTEMS_KEPT]

        self.system_columns.append_row({"time": record.time, "step": float(step or 0), **system_values(record)})


def system_values(record: System) -> dict[str, float | None]:
    """A reading summed up over its GPUs: mean utilisation, total power, largest memory and temperature."""

    def of_gpus(field: str) -> list[float]:
        return [value for gpu in record.gpus if (value := getattr(gpu, field)) is not None]

    return {
        "cpu_percent": record.cpu_percent,
        "ram_used_gb": record.ram_used_gb,
        "gpu_util_percent": _mean(of_gpus("util_percent")),
        "gpu_power_w": sum(power) if (power := of_gpus("power_w")) else None,
        "gpu_mem_used_gb": max(of_gpus("mem_used_gb"), default=None),
        "gpu_temp_c": max(of_gpus("temp_c"), default=None),
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
