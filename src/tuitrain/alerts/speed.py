"""Detectors of speed: throughput that drops, a rank that the others wait for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuitrain.alerts.detector import Detection, Gate, Streak
from tuitrain.alerts.rules import Straggler, ThroughputDrop
from tuitrain.alerts.windows import Points, Window, row_medians
from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric
from tuitrain.runs.columns import FloatArray

SPEEDS = ("tokens_per_sec", "mfu", "step_time_ms")
"""What the speed is read from: the first of these that the log has."""
_WINDOW, _BLOCK, _LEAST = 256, 32, 32


def _median(windows: FloatArray) -> FloatArray:
    return row_medians(windows)[:, None]


class Throughput:
    """Finds a speed that stays below its own median."""

    def __init__(self, rule: ThroughputDrop) -> None:
        self._rule, self._gate = rule, Gate(rule)
        self._window = Window(_WINDOW, _BLOCK, _LEAST, 1, _median)
        self._count = 0
        self._low = Streak()
        self._given = False

    def restart(self) -> None:
        """Another attempt may be on another machine."""
        self._window.restart()
        self._low = Streak()

    def feed(self, key: str, points: Points) -> Iterator[Detection]:
        """Alerts that further finite values of one of SPEEDS bring."""
        speed = 1 / np.maximum(points.value, 1e-9) if key == "step_time_ms" else points.value
        usual = self._window.before(speed)[:, 0]
        low = speed < self._rule.share * usual
        if not low.any():
            self._low.count, self._given = 0, False
        else:
            yield from self._streaks(key, points, speed, usual, low.tolist())
        self._count += len(points)

    def _streaks(
        self, key: str, points: Points, speed: FloatArray, usual: FloatArray, low: list[bool]
    ) -> Iterator[Detection]:
        for at, holds in enumerate(low):
            step, time = points.step[at], points.time[at]
            if not self._low.add(holds, step, time):
                self._given = False
            elif (
                not self._given
                and self._low.count >= self._rule.records
                and time - self._low.time >= self._rule.seconds
            ):
                self._given = True
                drop = units.percent(1 - speed[at] / usual[at])
                known = metric(key)
                before = 1 / usual[at] if key == "step_time_ms" else usual[at]
                message = (
                    f"{known.title[0].upper()}{known.title[1:]} is {known.text(points.value[at])} since step "
                    f"{self._low.step:,.0f} and was {known.text(before)}: {drop} slower."
                )
                yield from self._gate.alert("throughput_drop", message, self._count + at, *points.position(at))


class SlowRank:
    """Finds one rank that the others wait for again and again."""

    def __init__(self, rule: Straggler) -> None:
        self._rule, self._gate = rule, Gate(rule)
        self._late = Streak()
        self._rank = -1.0
        self._count = 0

    def restart(self) -> None:
        """Another attempt may be on other machines."""
        self._late, self._rank = Streak(), -1.0

    def feed(self, ranks: Points, skew_ms: FloatArray, step_ms: FloatArray) -> Iterator[Detection]:
        """Alerts that further records bring. ranks: the slowest of each record; nan is unknown."""
        late = skew_ms > self._rule.share * step_ms
        for at, (rank, holds) in enumerate(zip(ranks.value.tolist(), late.tolist(), strict=True)):
            if rank != self._rank:
                self._rank, self._late.count = rank, 0
            step, time = ranks.step[at], ranks.time[at]
            self._late.add(holds, step, time)
            if self._late.count == self._rule.records:
                message = (
                    f"The other ranks wait {units.milliseconds(skew_ms[at])} a step for rank {rank:.0f}, "
                    f"{units.percent(skew_ms[at] / step_ms[at])} of it, since step {self._late.step:,.0f}."
                )
                yield from self._gate.alert("straggler", message, self._count + at, *ranks.position(at))
        self._count += len(ranks)
