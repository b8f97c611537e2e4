"""What detectors have in common: they are fed points of a metric and yield alerts with their position in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuitrain.alerts.rules import Rule
from tuitrain.alerts.spans import Cooldown
from tuitrain.events import Alert


@dataclass(frozen=True)
class Detection:
    """An alert, and the position in the log of the record that brought it. written: whether it is in the log itself."""

    index: int
    alert: Alert
    written: bool = False


class Gate:
    """Makes the alerts of one rule, unless it is off or the last one was a moment ago."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._cooldown = Cooldown(rule.cooldown)

    def alert(
        self, code: str, message: str, records: int, index: int, step: float | None, time: float
    ) -> Iterator[Detection]:
        """The alert, or nothing. records: how many of the metric there were so far."""
        if self.rule.enabled and self._cooldown.passes(records, step or 0.0, time):
            number = None if step is None else int(step)
            alert = Alert(time=float(time), level=self.rule.level, code=code, message=message, step=number)
            yield Detection(index, alert)


class Streak:
    """Counts how many values in a row meet a condition."""

    def __init__(self) -> None:
        self.count = 0
        self.step = self.time = 0.0
        """Where it began."""

    def add(self, holds: bool, step: float, time: float) -> bool:
        """Add a value; returns whether it holds."""
        if not holds:
            self.count = 0
        else:
            if not self.count:
                self.step, self.time = step, time
            self.count += 1
        return holds
