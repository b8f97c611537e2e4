"""Detectors of the machine: GPUs that are hot, throttled or broken, disks that fill up."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator

from tuitrain.alerts.detector import Detection, Gate, Streak
from tuitrain.alerts.rules import Disk, Rules
from tuitrain.analysis import units
from tuitrain.events import Gpu, System

_HARMLESS = frozenset({"sw_power_cap"})
_DISK_WINDOW_S, _DISK_LEAST_S, _DISK_EVERY_S = 1800.0, 600.0, 30.0


class Gpus:
    """Finds GPUs in trouble."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._hot, self._throttled = defaultdict[int, Streak](Streak), defaultdict[int, Streak](Streak)
        self._gates: dict[tuple[str, int], Gate] = {}
        self._ecc_errors: dict[int, int] = {}
        """By GPU, so far; those of the first reading are older than the run."""
        self._readings = 0

    def add(self, record: System, index: int, step: float | None) -> Iterator[Detection]:
        """Alerts that a further reading brings."""
        self._readings += 1
        for gpu in record.gpus:
            for code, message in self._problems(gpu, step or 0.0, record.time):
                gate = self._gates.get((code, gpu.index))
                if gate is None:
                    rule = getattr(self._rules, code)
                    gate = self._gates[code, gpu.index] = Gate(rule)
                yield from gate.alert(code, message, self._readings, index, step, record.time)

    def _problems(self, gpu: Gpu, step: float, time: float) -> Iterator[tuple[str, str]]:
        hot, throttled = self._rules.gpu_hot, self._rules.gpu_throttled
        streak = self._hot[gpu.index]
        streak.add(gpu.temp_c is not None and gpu.temp_c >= hot.celsius, step, time)
        if streak.count == hot.readings:
            yield "gpu_hot", f"GPU {gpu.index} is at {gpu.temp_c:.0f} °C."
        reasons = [reason for reason in gpu.throttle or () if reason not in _HARMLESS]
        streak = self._throttled[gpu.index]
        streak.add(bool(reasons), step, time)
        if streak.count == throttled.readings:
            yield "gpu_throttled", f"GPU {gpu.index} lowers its clocks: {', '.join(reasons)}."
        yield from self._new_errors(gpu)

    def _new_errors(self, gpu: Gpu) -> Iterator[tuple[str, str]]:
        if gpu.ecc_uncorrected is not None:
            errors = gpu.ecc_uncorrected
            new = errors - self._ecc_errors.get(gpu.index, errors)
            self._ecc_errors[gpu.index] = errors
            if new > 0:
                yield "gpu_error", f"GPU {gpu.index} has {new} new uncorrected ECC errors, {errors} in all."
        if gpu.xids:
            numbers = ", ".join(map(str, gpu.xids))
            yield "gpu_error", f"GPU {gpu.index} reports XID {numbers}; NVIDIA's list of XID errors says what it means."


class DiskSpace:
    """Finds a file system that fills up."""

    def __init__(self, rule: Disk) -> None:
        self._rule, self._gate = rule, Gate(rule)
        self._readings: deque[tuple[float, float]] = deque()
        """Time and GB used, of the last half hour."""
        self._count = 0
        self._short = False

    def add(
        self, used_gb: float | None, total_gb: float | None, index: int, step: float | None, time: float
    ) -> Iterator[Detection]:
        """Alerts that a further reading brings."""
        if used_gb is None or total_gb is None:
            return
        readings = self._readings
        self._count += 1
        if readings and not time - readings[-1][0] >= 0:
            readings.clear()
        if not readings or time - readings[-1][0] >= _DISK_EVERY_S:
            readings.append((time, used_gb))
        while time - readings[0][0] > _DISK_WINDOW_S:
            readings.popleft()
        free, left_s = total_gb - used_gb, self._seconds_left(used_gb, total_gb, time)
        soon = left_s is not None and left_s < 3600 * self._rule.hours
        short = soon or free < self._rule.free_gb
        if short and not self._short:
            when = f", and it is full in {units.duration(left_s)} at this pace" if left_s is not None and soon else ""
            message = f"The disk of the run has {units.gigabytes(max(free, 0.0))} left{when}."
            yield from self._gate.alert("disk", message, self._count, index, step, time)
        self._short = short

    def _seconds_left(self, used_gb: float, total_gb: float, time: float) -> float | None:
        """At the pace of the last half hour; None where less than ten minutes are known, or nothing is added."""
        began, before = self._readings[0]
        if time - began < _DISK_LEAST_S or used_gb <= before:
            return None
        return (total_gb - used_gb) * (time - began) / (used_gb - before)
