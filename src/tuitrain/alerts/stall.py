"""The detector of silence: how long a run's own pace lets it be silent, and pauses that were longer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tuitrain.alerts.detector import Detection
from tuitrain.alerts.rules import Stall
from tuitrain.alerts.spans import parse_span
from tuitrain.analysis import units
from tuitrain.events import Alert
from tuitrain.runs.columns import FloatArray, RowArray

_INTERVALS, _LEAST_INTERVALS = 64, 8
_LONGEST = 3.0
"""A silence is so many times the longest pause before it: evaluations and checkpoints pause a run too."""
_LONGEST_PAUSE_S = 7 * 86400.0


class Silence:
    """The pace of an attempt, from the times of its records other than those of the machine.

    The pace is the median time between records with another step; several records of one step are one.
    """

    def __init__(self, rule: Stall) -> None:
        self._rule = rule
        self._forget_s = parse_span(rule.forget).amount
        self.restart()

    def restart(self) -> None:
        """Another attempt begins, or is being prepared: the pause before it is none."""
        self._last_time: float | None = None
        self._step = math.nan
        self._moved: FloatArray = np.empty(0)
        """Times of the newest records with another step than the one before."""
        self._longest = 0.0

    def interrupt(self) -> None:
        """The run waits, as it was asked to: the pause that comes is none to report."""
        self._last_time = None

    def feed(self, index: RowArray, times: FloatArray, steps: FloatArray) -> Iterator[Detection]:
        """Add records in their order; a step that is nan is that of a record that has none.

        Yields pauses that were too long and are over: worth knowing, and nothing to be warned of any more.
        """
        if not len(times):
            return
        pauses = np.diff(times, prepend=times[0] if self._last_time is None else self._last_time)
        begin, longest = 0, np.maximum.accumulate(np.append(self._longest, pauses))[:-1]
        for at in np.flatnonzero((pauses > self._rule.seconds) & (pauses > _LONGEST * longest)).tolist():
            self._add(times[begin:at], steps[begin:at], pauses[begin:at])
            limit, last, begin = self._limit_s(), self._last_time, at
            # Where the steps go back somebody started it again, and after a week it is the clock that is another one.
            goes_on = not steps[at] < self._step and pauses[at] < _LONGEST_PAUSE_S
            if limit is not None and last is not None and pauses[at] > limit and goes_on and self._rule.enabled:
                message = f"Nothing came for {units.duration(float(pauses[at]))}; then it went on."
                yield Detection(int(index[at]), self._alert(last + limit, message, "info"))
        self._add(times[begin:], steps[begin:], pauses[begin:])

    def _add(self, times: FloatArray, steps: FloatArray, pauses: FloatArray) -> None:
        if not len(times):
            return
        self._last_time = float(times[-1])
        self._longest = max(self._longest, float(pauses.max()))
        counted = ~np.isnan(steps)
        steps, times = steps[counted], times[counted]
        if len(steps):
            moved = times[np.diff(steps, prepend=self._step) != 0]
            self._moved = np.append(self._moved, moved)[-_INTERVALS - 1 :]
            self._step = float(steps[-1])

    def _pace_s(self) -> float | None:
        """Seconds between two steps that are logged; None where unknown, as of rows without times of their own."""
        pace = float(np.median(np.diff(self._moved))) if len(self._moved) > _LEAST_INTERVALS else 0.0
        return pace if pace > 0 else None

    def _limit_s(self) -> float | None:
        """Seconds after which silence is a stall."""
        pace, rule = self._pace_s(), self._rule
        return None if pace is None else max(rule.seconds, rule.factor * pace, _LONGEST * self._longest)

    def standing(self, now: float, may_be_over: bool) -> Alert | None:
        """The alert of a run that is silent now. may_be_over: whether nobody knows that it is still alive."""
        limit, pace, last = self._limit_s(), self._pace_s(), self._last_time
        if limit is None or pace is None or last is None or not self._rule.enabled or now - last <= limit:
            return None
        if may_be_over and now - last > limit + self._forget_s:
            return None
        message = (
            f"Nothing has come for {units.duration(now - last)}; until then a step came every {units.duration(pace)}."
        )
        return self._alert(last + limit, message, self._rule.level)

    def _alert(self, time: float, message: str, level: str) -> Alert:
        step = None if math.isnan(self._step) else int(self._step)
        return Alert(time=time, level=level, code="stall", message=message, step=step)  # type: ignore[arg-type]
