"""Detectors of conditions of one's own, on any metric."""

from __future__ import annotations

from collections.abc import Iterator

from tuitrain.alerts.condition import Condition, parse_condition
from tuitrain.alerts.detector import Detection, Gate, Streak
from tuitrain.alerts.rules import When
from tuitrain.alerts.windows import Points
from tuitrain.analysis.metrics import metric_of


class OwnCondition:
    """Watches one metric. known: whether the log has had the metric."""

    def __init__(self, name: str, rule: When) -> None:
        self.name, self._gate = name, Gate(rule)
        self.condition: Condition = parse_condition(rule.condition)
        self.known = False
        self._count = 0
        self.restart()

    def restart(self) -> None:
        """What comes is of another training."""
        self._held = Streak()
        self._given = False
        self._best: float | None = None

    def feed(self, points: Points) -> Iterator[Detection]:
        """Alerts that further values bring."""
        self.known = self.known or len(points) > 0
        columns = (points.index, points.step, points.time, points.value)
        for index, step, time, value in zip(*(column.tolist() for column in columns), strict=True):
            self._count += 1
            if not self._add(value, step, time):
                self._given = False
            elif not self._given and self._lasts(step, time):
                self._given = True
                yield from self._gate.alert(self.name, self._message(value), self._count, index, step, time)

    def _add(self, value: float, step: float, time: float) -> bool:
        condition = self.condition
        if not condition.direction:
            return self._held.add(condition.holds(value), step, time)
        if condition.improves(value, self._best):
            self._best = value
            # The span begins at the best value.
            self._held = Streak()
            self._held.step, self._held.time = step, time
            return False
        if self._best is None:
            return False
        self._held.count += 1
        return True

    def _lasts(self, step: float, time: float) -> bool:
        span, held = self.condition.span, self._held
        if span is None:
            return True
        amount = {"records": float(held.count), "steps": step - held.step, "seconds": time - held.time}[span.unit]
        return amount >= span.amount

    def _message(self, value: float) -> str:
        condition, known = self.condition, metric_of(self.condition.metric)
        now = f"{known.title} is {known.text(value)}"
        if condition.direction:
            return f"{condition.text}: {now}, its best was {known.text(self._best)} at step {self._held.step:,.0f}."
        since = f" since step {self._held.step:,.0f}" if condition.span is not None else ""
        return f"{condition.text}: {now}{since}."
