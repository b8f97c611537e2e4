"""Detectors of memory: nearly full, and growing for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from tuitrain.alerts.detector import Detection, Gate, Streak
from tuitrain.alerts.rules import MemoryGrowth, Rules
from tuitrain.alerts.windows import Levels, Points
from tuitrain.analysis import units
from tuitrain.events import System

_GROWTH_LEVELS = 8
_LEVEL_RECORDS = 16


class FullMemory:
    """Finds memory of a GPU or of the machine that is nearly full."""

    def __init__(self, rules: Rules) -> None:
        self._rule = rules.memory
        self._gpu, self._machine, self._read = Gate(rules.memory), Gate(rules.memory), Gate(rules.memory)
        self._full = False
        self._first_peak: int | None = None
        """Its position in the log."""
        self._count = self._readings = 0
        self._ram, self._gpus = Streak(), Streak()

    def peaks(self, points: Points, capacity_gb: float | None) -> Iterator[Detection]:
        """Alerts that further peaks of the allocator bring. capacity_gb: of one device."""
        if self._first_peak is None and len(points):
            self._first_peak = int(points.index[0])
        if capacity_gb:
            full = points.value > self._rule.share * capacity_gb
            before = np.concatenate(([self._full], full[:-1])) if len(full) else full
            for at in np.flatnonzero(full & ~before).tolist():
                message = self._message("GPU memory", points.value[at], capacity_gb)
                yield from self._gpu.alert("memory", message, self._count + at, *points.position(at))
            self._full = bool(full[-1]) if len(full) else self._full
        self._count += len(points)

    def reading(self, record: System, index: int, step: float | None) -> Iterator[Detection]:
        """Alerts that a further reading of the machine brings."""
        self._readings += 1
        gpus = [(each.mem_used_gb, each.mem_total_gb) for each in record.gpus if each.mem_used_gb and each.mem_total_gb]
        # A caching allocator holds what it once had: its own peak says more, where there is one.
        has_peaks = self._first_peak is not None and self._first_peak < index
        used = None if has_peaks else max(gpus, key=lambda pair: pair[0] / pair[1], default=None)
        ram = (record.ram_used_gb, record.ram_total_gb) if record.ram_used_gb and record.ram_total_gb else None
        for name, pair, streak, gate in (
            ("GPU memory", used, self._gpus, self._read),
            ("Memory of the machine", ram, self._ram, self._machine),
        ):
            streak.add(pair is not None and pair[0] > self._rule.share * pair[1], step or 0.0, record.time)
            if pair is not None and streak.count == self._rule.readings:
                message = self._message(name, *pair)
                yield from gate.alert("memory", message, self._readings, index, step, record.time)

    @staticmethod
    def _message(name: str, used: float, total: float) -> str:
        return f"{name} is {units.percent(used / total)} full: {used:.1f} of {units.gigabytes(total)}."


class GrowingMemory:
    """Finds memory that grows from level to level, as that of a leak does."""

    def __init__(self, rule: MemoryGrowth, what: str) -> None:
        self._rule, self._gate, self._what = rule, Gate(rule), what
        self._levels = Levels(_LEVEL_RECORDS)
        self._newest: deque[tuple[float, float, float]] = deque(maxlen=_GROWTH_LEVELS)
        """Level, step and time of each."""
        self._rises = 0
        """How many levels in a row lie above the one before."""
        self._count = 0
        self._grew = False

    def restart(self) -> None:
        """Another attempt is another process."""
        self._levels.restart()
        self._newest.clear()
        self._rises = 0
        self._grew = False

    def feed(self, points: Points, capacity_gb: float | None, total_steps: int | None) -> Iterator[Detection]:
        """Alerts that further finite values bring. capacity_gb: what there is; total_steps: of the run."""
        medians, _, ends = self._levels.add(points.value)
        for level, at in zip(medians.tolist(), ends.tolist(), strict=True):
            step, time = points.step[at], points.time[at]
            self._rises = self._rises + 1 if self._newest and level > self._newest[-1][0] else 0
            self._newest.append((level, step, time))
            grows = capacity_gb is not None and self._grows(capacity_gb, total_steps)
            if grows and not self._grew and capacity_gb is not None:
                message = self._message(capacity_gb)
                yield from self._gate.alert("memory_growth", message, self._count + at, *points.position(at))
            self._grew = grows
        self._count += len(points)

    def _grows(self, capacity_gb: float, total_steps: int | None) -> bool:
        rise = self._newest[-1][0] - self._newest[0][0]
        if self._rises < _GROWTH_LEVELS - 1 or rise < self._rule.share * capacity_gb:
            return False
        return total_steps is None or self._full_at(capacity_gb) < total_steps

    def _full_at(self, capacity_gb: float) -> float:
        """The step at which it is full at the pace of the newest levels."""
        (first, first_step, _), (last, last_step, _) = self._newest[0], self._newest[-1]
        return last_step + (capacity_gb - last) * (last_step - first_step) / (last - first)

    def _message(self, capacity_gb: float) -> str:
        (first, first_step, began), (last, step, time) = self._newest[0], self._newest[-1]
        left_s = (time - began) * (capacity_gb - last) / (last - first)
        when = f", in {units.duration(left_s)}" if time > began else ""
        full_at = f"{self._full_at(capacity_gb):,.0f}{when}"
        return (
            f"{self._what} grew from {units.gigabytes(first)} to {units.gigabytes(last)} between the steps "
            f"{first_step:,.0f} and {step:,.0f}: at this pace it is full at step {full_at}."
        )
