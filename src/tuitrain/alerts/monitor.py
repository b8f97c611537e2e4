"""All detectors of one run: they are fed its records in the order of the log, and give its alerts."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from tuitrain.accounting import on_cpu
from tuitrain.alerts.detector import Detection
from tuitrain.alerts.gradients import DeadLayers, GradientNorm
from tuitrain.alerts.loss import LossLevels, LossSpike, NanLoss
from tuitrain.alerts.machine import DiskSpace, Gpus
from tuitrain.alerts.memory import FullMemory, GrowingMemory
from tuitrain.alerts.own_condition import OwnCondition
from tuitrain.alerts.rows import Rows, in_order, late_of, table_of
from tuitrain.alerts.rules import Rule, Rules
from tuitrain.alerts.segments import Segment
from tuitrain.alerts.speed import SPEEDS, SlowRank, Throughput
from tuitrain.alerts.stall import Silence
from tuitrain.alerts.validation import RecentLosses, Validation
from tuitrain.alerts.windows import Points
from tuitrain.analysis.metrics import BY_KEY
from tuitrain.events import Alert, AnyRecord, Control, End, Eval, Layers, Run, Stage, Step, System
from tuitrain.events.own_metrics import own_metrics, updated
from tuitrain.events.requests import paused_since
from tuitrain.events.results import TRAINING
from tuitrain.readers.blocks import Steps
from tuitrain.runs import Status
from tuitrain.runs.columns import Columns, FloatArray
from tuitrain.runs.history import system_values

_LEAST_BEFORE_RESTART = 16
_REWARD = re.compile(r"(?:.*[/_.])?(?:ep_)?rew(?:ard)?s?(?:[/_.]mean)?", re.IGNORECASE)
"""Names of a reward. Where a log has one, the loss is none that has to fall."""
_OF_FALLING_LOSSES = ("divergence", "plateau")


class AlertMonitor:
    """The alerts of one run. Record by record or all at once: the alerts are the same.

    Those of the log itself are among them; one that says what a rule finds at the same step is there once.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._count = 0
        """Of the records so far."""
        self.attempts = 0
        self._run: Run | None = None
        self._end: End | None = None
        self._step: int | None = None
        self._last_time = 0.0
        self._preparing = False
        self._first_reward: int | None = None
        """The position in the log of the first value of a reward."""
        self._losses = RecentLosses()
        self._since_restart = 0
        self._first_step = self._highest_step = np.nan
        self._written: set[tuple[str, int | None]] = set()
        self._derived: set[tuple[str, int | None]] = set()
        self._nan, self._spike, self._levels = NanLoss(rules.nan), LossSpike(rules.spike), LossLevels(rules)
        self._norm, self._dead_layers = GradientNorm(rules), DeadLayers(rules.dead_layer)
        self._throughput, self._slow_rank = Throughput(rules.throughput_drop), SlowRank(rules.straggler)
        self._speed_key = ""
        self._memory = FullMemory(rules)
        self._growth = GrowingMemory(rules.memory_growth, "Allocated memory")
        self._ram_growth = GrowingMemory(rules.memory_growth, "Used memory of the machine")
        self._gpus, self._disk = Gpus(rules), DiskSpace(rules.disk)
        self._disk_is_logged = False
        self._silence = Silence(rules.stall)
        self._validation: dict[str, Validation] = {}
        self.own_names: set[str] = set()
        """Of metrics of one's own, where there are conditions."""
        self.conditions = [OwnCondition(name, rule) for name, rule in rules.when.items() if rule.enabled]

    def absorb(self, records: Sequence[AnyRecord | Steps], steps: Columns | None = None) -> list[Alert]:
        """The alerts that further records bring, in the order of the log.

        steps: a row for each `step` record of them, where somebody has made that table.
        """
        found: list[Detection] = []
        groups = [(kind, list(group)) for kind, group in groupby(records, type)]
        step_records: list[Any] = [record for kind, group in groups if kind is Step for record in group]
        table, late = steps or table_of(step_records), late_of(step_records)
        segment = Segment(table, late)
        index, row = self._count, 0
        for kind, group in groups:
            if kind is Step:
                count = len(group)
                segment.add_steps(row, row + count, index)
                newest = (each for each in reversed(step_records[row : row + count]) if each.late is not True)
                self._step = next((each.step for each in newest), self._step)
                row, index = row + count, index + count
                self._last_time = step_records[row - 1].time
                continue
            for record in group:
                if isinstance(record, Steps):
                    segment.add_block(record, index)
                    self._step, self._last_time = int(record.steps[-1]), float(record.times[-1])
                    index += len(record.steps)
                    continue
                self._last_time = record.time
                if isinstance(record, Eval):
                    segment.evals.append((index, record))
                elif isinstance(record, Run | Stage | Control | End):
                    # What they do depends on all steps before them.
                    found += self._absorb_segment(segment)
                    found += self._absorb_boundary(record, index)
                    segment = Segment(table, late)
                else:
                    segment.others.append((index, record, self._step))
                index += 1
        found += self._absorb_segment(segment)
        self._count = index
        found.sort(key=lambda detection: detection.index)
        return [detection.alert for detection in found if self._is_new(detection)]

    def observe_disk(self, used_gb: float, total_gb: float, time: float) -> list[Alert]:
        """The alerts of a reading of the run's file system, where its log has none."""
        if self._disk_is_logged:
            return []
        return [each.alert for each in self._disk.add(used_gb, total_gb, self._count, self._step, time)]

    def unknown_metrics(self) -> list[tuple[str, str]]:
        """Names and metrics of the conditions whose metric the log has not had so far."""
        return [(each.name, each.condition.metric) for each in self.conditions if not each.known]

    def standing(self, status: Status, now: float, crash: str = "") -> list[Alert]:
        """How the run stands at this moment: silent, failed, its process gone, or, which is good news, at its end.

        crash: why it crashed.
        """
        if status in (Status.CRASHED, Status.INTERRUPTED):
            what = "the process is gone" if status is Status.CRASHED else "the log ends"
            reason = (crash or f"{what} without a record of the end").rstrip(".")
            return self._outcome(self.rules.crash, "crash", f"Crashed: {reason}.")
        if status is Status.FAILED:
            return self._outcome(self.rules.crash, "failed", self._end_message())
        if status in (Status.COMPLETED, Status.STOPPED):
            return self._outcome(self.rules.end, str(status), self._end_message())
        if (
            status is Status.PAUSED
            or self._preparing
            or not (status.live or (status is Status.UNKNOWN and not self._is_complete()))
        ):
            return []
        alert = self._silence.standing(now, may_be_over=status is Status.UNKNOWN)
        return [alert] if alert is not None else []

    def _outcome(self, rule: Rule, code: str, message: str) -> list[Alert]:
        step = self._end.step if self._end is not None and self._end.step is not None else self._step
        alert = Alert(time=self._last_time, level=rule.level, code=code, message=message, step=step)
        return [alert] if rule.enabled else []

    def _end_message(self) -> str:
        end = self._end
        if end is None:
            return "It has ended."
        at = "" if end.step is None else f" at step {end.step:,}"
        reason = f": {end.reason.rstrip('.')}" if end.reason else ""
        return f"{end.status.capitalize()}{at}{reason}."

    def _is_complete(self) -> bool:
        """Whether all steps are done."""
        total = self._run.total_steps if self._run is not None else None
        return bool(total) and self._step is not None and total is not None and self._step >= total

    def _is_new(self, detection: Detection) -> bool:
        """Whether nobody has said so: the log itself, of what a rule finds, or a rule, of what the log says."""
        alert = detection.alert
        key = (alert.code, alert.step)
        others, own = (self._derived, self._written) if detection.written else (self._written, self._derived)
        own.add(key)
        is_reinforced = self._first_reward is not None and detection.index >= self._first_reward
        if is_reinforced and alert.code in _OF_FALLING_LOSSES and not detection.written:
            return False
        return key not in others

    def _absorb_boundary(self, record: Run | Stage | Control | End, index: int) -> Iterator[Detection]:
        match record:
            case Control():
                yield from self._silence.feed(np.array([index]), np.array([record.time]), np.array([np.nan]))
                if paused_since(record, None) is not None:
                    self._silence.interrupt()
            case Run(update=True) if self._run is not None:
                self._run = updated(self._run, record)
            case Run():
                self._run, self._end = record, None
                self.attempts += 1
                for each in (self._throughput, self._slow_rank, self._growth, self._silence):
                    each.restart()
            case Stage():
                self._preparing, self._end = True, None
                self._silence.restart()
            case End():
                self._end, self._preparing = record, False
                self._silence.restart()
        self._levels.total_steps = self._run.total_steps if self._run is not None else None

    def _absorb_segment(self, segment: Segment) -> Iterator[Detection]:
        """Steps and evaluations, and then other records between them, none of which a step depends on."""
        evals = deque(segment.evals)
        restarted: list[int] = []
        for rows in segment.rows:
            self._end, self._preparing = None, False
            if self.conditions:
                self.own_names |= rows.own_names
            self._look_for_reward(rows)
            ordered = in_order(rows)
            restarts = self._restarts(ordered.step)
            for begin, end in pairwise((0, *restarts, len(ordered))):
                part = ordered.part(begin, end)
                if not len(part):
                    continue
                yield from self._absorb_evals(evals, int(part.index[0]))
                if begin in restarts:
                    self._restart()
                    restarted.append(int(part.index[0]))
                yield from self._absorb_rows(part)
                yield from self._absorb_evals(evals, int(part.index[-1]))
        yield from self._absorb_evals(evals)
        for condition in self.conditions:
            yield from self._absorb_condition(condition, segment, restarted)
        for index, record, step in segment.others:
            yield from self._absorb_other(record, index, step)
        yield from self._silence.feed(*segment.signs())

    def _absorb_evals(self, evals: deque[tuple[int, Eval]], end: float = np.inf) -> Iterator[Detection]:
        """Take the evaluations off that are before the position `end` in the log, up to which losses were added."""
        while evals and evals[0][0] < end:
            index, record = evals.popleft()
            if record.split != TRAINING:
                split = self._validation.setdefault(record.split, Validation(self.rules))
                yield from split.add(record, index, *self._losses.before(index))

    def _absorb_condition(
        self, condition: OwnCondition, segment: Segment, restarted: Sequence[int]
    ) -> Iterator[Detection]:
        """The values of its metric, of steps and of evaluations. restarted: where in the log a training began again."""
        name = condition.condition.metric
        points = [rows.points(name) for rows in segment.rows]
        points += [_eval_point(index, record, name) for index, record in segment.evals]
        if not points:
            return
        columns = [
            np.concatenate([getattr(each, key) for each in points]) for key in ("index", "step", "time", "value")
        ]
        together = Points(*columns)
        together = together.where(np.argsort(together.index, kind="stable"))
        ends = np.searchsorted(together.index, restarted).tolist()
        for number, (begin, end) in enumerate(pairwise((0, *ends, len(together)))):
            if number:
                condition.restart()
            yield from condition.feed(together.where(np.arange(begin, end)))

    def _look_for_reward(self, rows: Rows) -> None:
        if self._first_reward is None:
            names = {name for name in rows.own_names if _REWARD.fullmatch(name)}
            first = (points.index[0] for name in names if len(points := rows.points(name)))
            self._first_reward = min(map(int, first), default=None)

    def _restarts(self, steps: FloatArray) -> list[int]:
        """Where a training begins again at its first step, as when a log is used for another one."""
        restarts, begin = list[int](), 0
        while begin < len(steps):
            rest = steps[begin:]
            if np.isnan(self._first_step):
                self._first_step = self._highest_step = rest[0]
            highest = np.maximum.accumulate(np.append(self._highest_step, rest))[:-1]
            least = _LEAST_BEFORE_RESTART - self._since_restart
            again = np.flatnonzero(
                (rest <= self._first_step) & (highest > self._first_step) & (np.arange(len(rest)) >= least)
            )
            length = int(again[0]) if len(again) else len(rest)
            self._since_restart += length
            self._highest_step = max(self._highest_step, float(rest[:length].max(initial=-np.inf)))
            begin += length
            if begin < len(steps):
                restarts.append(begin)
                self._since_restart, self._first_step = 0, np.nan
        return restarts

    def _restart(self) -> None:
        self._spike.restart()
        self._levels.restart()
        self._norm.restart()
        for split in self._validation.values():
            split.restart()
        self._losses.restart()

    def _absorb_rows(self, rows: Rows) -> Iterator[Detection]:
        losses, norms = rows.points("loss"), rows.points("grad_norm")
        yield from self._nan.loss(losses)
        yield from self._nan.gradient(norms)
        losses = losses.finite()
        yield from self._spike.feed(losses)
        yield from self._levels.feed(losses, rows.points("lr").finite())
        self._losses.add(losses)
        yield from self._norm.feed(norms.finite())
        yield from self._absorb_speed(rows)
        run = self._run
        capacity = run.hardware.memory_gb if run is not None and run.hardware is not None else None
        yield from self._memory.peaks(rows.points("mem_peak_gb").finite(), None if on_cpu(run) else capacity)
        allocated = rows.points("mem_allocated_gb").finite()
        yield from self._growth.feed(allocated, capacity, self._levels.total_steps)

    def _absorb_speed(self, rows: Rows) -> Iterator[Detection]:
        for key in (self._speed_key,) if self._speed_key else SPEEDS:
            points = rows.points(key).finite()
            if len(points):
                self._speed_key = key
                yield from self._throughput.feed(key, points)
                break
        ranks = rows.points("slowest_rank")
        if len(ranks):
            all_rows = Points(rows.index, rows.step, rows.time, rows.column("slowest_rank"))
            skew_ms, step_ms = rows.column("rank_skew_ms"), rows.column("step_time_ms")
            yield from self._slow_rank.feed(all_rows, skew_ms, step_ms)

    def _absorb_other(self, record: AnyRecord, index: int, step: int | None) -> Iterator[Detection]:
        match record:
            case Alert():
                yield Detection(index, record, written=True)
            case Layers():
                yield from self._dead_layers.add(record, index)
            case System():
                yield from self._gpus.add(record, index, step)
                yield from self._memory.reading(record, index, step)
                self._disk_is_logged = self._disk_is_logged or record.disk_used_gb is not None
                yield from self._disk.add(record.disk_used_gb, record.disk_total_gb, index, step, record.time)
                used = _point(index, step or 0, record.time, record.ram_used_gb)
                yield from self._ram_growth.feed(used, record.ram_total_gb, None)
                values = system_values(record)
                for condition in self.conditions:
                    value = values.get(condition.condition.metric)
                    yield from condition.feed(_point(index, step or 0, record.time, value))


def _eval_point(index: int, record: Eval, name: str) -> Points:
    known = BY_KEY.get(name)
    value: Any = own_metrics(record).get(name)
    if known is not None and known.source == "eval" and record.split != TRAINING:
        value = getattr(record, known.column, None)
    return _point(index, record.step, record.time, value)


def _point(index: int, step: float, time: float, value: Any) -> Points:
    """One value, or none where it is unknown."""
    values = [float(value)] if isinstance(value, float | int) else []
    size = len(values)
    return Points(np.full(size, index), np.full(size, float(step)), np.full(size, time), np.array(values))
