"""Detectors of the training loss: values that are none, spikes, divergence, plateaus."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

from tuitrain.alerts.detector import Detection, Gate, Streak
from tuitrain.alerts.rules import Nan, Rules, Spike
from tuitrain.alerts.windows import MAD, Levels, Points, Window, trend
from tuitrain.analysis.metrics import metric

LEVEL_RECORDS = 16
_SPIKE_WINDOW, _SPIKE_BLOCK, _SPIKE_LEAST = 128, 32, 32
_DIVERGED_LEVELS = 2
_FALLEN_SHARE = 0.2
"""Of what the loss had fallen: a divergence takes back at least so much."""
_FLAT_SHARE = 0.05
"""Of its first level: a loss below it has nothing left to fall."""
_DECAYED = 0.1
"""Of the highest learning rate."""
_LEAST_LEVELS = 8
"""In each of the two quarters that tell whether the loss is on a plateau."""
_NEARLY = 0.9
"""Of the steps of a run."""
_NEXT_LOOK = 1.1
"""A plateau is looked for each time the log is so many times as long: over the whole log at most some hundred times."""

text = metric("loss").text


class NanLoss:
    """Finds a loss that is nan or infinite, and gradients that are so again and again."""

    def __init__(self, rule: Nan) -> None:
        self._rule, self._loss, self._gradient = rule, Gate(rule), Gate(rule)
        self._count = 0
        self._streak = Streak()

    def loss(self, points: Points) -> Iterator[Detection]:
        """Alerts that further values of the loss bring."""
        for at in np.flatnonzero(~np.isfinite(points.value)).tolist():
            step = points.step[at]
            message = f"The loss is {points.value[at]:g} at step {step:,.0f}."
            yield from self._loss.alert("non_finite_loss", message, self._count + at, *points.position(at))
        self._count += len(points)

    def gradient(self, points: Points) -> Iterator[Detection]:
        """Alerts that further values of the gradient norm bring."""
        finite = np.isfinite(points.value)
        if finite.all():
            self._streak.count = 0
            return
        for index, step, time, value, good in zip(
            points.index.tolist(), points.step.tolist(), points.time.tolist(), points.value.tolist(), finite.tolist(),
            strict=True,
        ):  # fmt: skip
            self._streak.add(not good, step, time)
            if self._streak.count == self._rule.gradients:
                message = (
                    f"The gradient norm is {value:g} for {self._rule.gradients} records in a row, since step "
                    f"{self._streak.step:,.0f}."
                )
                yield from self._gradient.alert("non_finite_gradient", message, self._count, index, step, time)


class LossSpike:
    """Finds a loss far above its trend."""

    def __init__(self, rule: Spike) -> None:
        self._rule, self._gate = rule, Gate(rule)
        self._window = Window(_SPIKE_WINDOW, _SPIKE_BLOCK, _SPIKE_LEAST, 3, trend)
        self._count = 0

    def restart(self) -> None:
        """What comes is of another training."""
        self._window.restart()

    def feed(self, points: Points) -> Iterator[Detection]:
        """Alerts that further finite values bring."""
        expected, deviation, largest = self._window.before(points.value).T
        rise, rule = points.value - expected, self._rule
        # Comparisons with an unknown trend are false.
        hits = rise > np.maximum(rule.z * deviation, np.maximum(rule.largest * largest, rule.rise * np.abs(expected)))
        for at in np.flatnonzero(hits).tolist():
            times = f", {rise[at] / deviation[at]:.0f} standard deviations" if deviation[at] > 0 else ""
            message = f"The loss rose to {text(points.value[at])} from a trend of {text(expected[at])}{times}."
            yield from self._gate.alert("spike", message, self._count + at, *points.position(at))
        self._count += len(points)


class LearningRate:
    """The highest and the newest learning rate so far."""

    def __init__(self) -> None:
        self._highest = self._newest = 0.0

    def add(self, rates: Points) -> None:
        """Add those of further records."""
        if len(rates):
            self._highest, self._newest = max(self._highest, float(rates.value.max())), float(rates.value[-1])

    def are_low(self, rates: Points, index: int) -> bool:
        """Whether the newest is far below the highest at this position of the log. rates: those not added yet."""
        before = rates.value[rates.index <= index]
        highest, newest = self._highest, self._newest
        if len(before):
            highest, newest = max(highest, float(before.max())), float(before[-1])
        return newest < _DECAYED * highest


class LossLevels:
    """Finds divergence and plateaus in levels of the loss, the medians of 16 records."""

    def __init__(self, rules: Rules) -> None:
        self._divergence, self._plateau = rules.divergence, rules.plateau
        self._diverged, self._flat = Gate(rules.divergence), Gate(rules.plateau)
        self._levels = Levels(LEVEL_RECORDS)
        self.total_steps: int | None = None
        """Of the run; None: unknown."""
        self.restart()

    def restart(self) -> None:
        """What comes is of another training."""
        self._levels.restart()
        self._history: list[float] = []
        self._first_steps: list[float] = []
        self._deviations: deque[float] = deque(maxlen=9)
        self._lowest = np.inf
        self._above = Streak()
        self._next_look = 0
        self._is_flat = False
        self._rates = LearningRate()

    def feed(self, points: Points, rates: Points) -> Iterator[Detection]:
        """Alerts that further finite values bring. rates: the learning rates of the same records, as far as known."""
        medians, deviations, ends = self._levels.add(points.value)
        rise, history = self._divergence.rise, self._history
        steps = points.step[ends].tolist()
        for level, deviation, step, end in zip(
            medians.tolist(), deviations.tolist(), steps, ends.tolist(), strict=True
        ):
            self._deviations.append(deviation)
            history.append(level)
            self._first_steps.append(step)
            records = len(history) * LEVEL_RECORDS
            # Most levels need no closer look.
            if self._above.count or level - self._lowest > rise * self._lowest:
                yield from self._check_divergence(level, records, *points.position(end))
            if len(history) >= self._next_look:
                yield from self._check_plateau(records, rates, *points.position(end))
            self._lowest = min(self._lowest, level)
        self._rates.add(rates)

    def _check_divergence(
        self, level: float, records: int, index: int, step: float, time: float
    ) -> Iterator[Detection]:
        rule, lowest, first = self._divergence, self._lowest, self._history[0]
        noise = MAD * sorted(self._deviations)[len(self._deviations) // 2]
        fallen = first - lowest
        # A loss that never fell, or is no positive number, says nothing about a training.
        falls = 0 < lowest < np.inf and fallen > max(0.1 * lowest, noise)
        high = falls and level - lowest > max(rule.rise * lowest, rule.z * noise, _FALLEN_SHARE * fallen)
        self._above.add(high, step, time)
        if self._above.count == _DIVERGED_LEVELS:
            message = (
                f"The loss has been at {text(level)} since step {self._above.step:,.0f} and was at {text(lowest)} "
                "before: it diverges."
            )
            yield from self._diverged.alert("divergence", message, records, index, step, time)

    def _check_plateau(self, records: int, rates: Points, index: int, step: float, time: float) -> Iterator[Detection]:
        rule, history = self._plateau, self._history
        count = max(-(-rule.records // LEVEL_RECORDS), 4 * _LEAST_LEVELS, int(rule.share * len(history)))
        if len(history) <= count:
            self._next_look = count + 1
            return
        self._next_look = int(_NEXT_LOOK * len(history)) + 1
        quarter = count // 4
        old, new = np.array(history[-count:][:quarter]), np.array(history[-quarter:])
        before, after = float(old.mean()), float(new.mean())
        # Of the difference of the two means: a fall that the noise may hide is no plateau.
        error = math.sqrt((old.var(ddof=1) + new.var(ddof=1)) / quarter)
        finished = (
            self._rates.are_low(rates, index)
            or after < _FLAT_SHARE * history[0]
            or (self.total_steps is not None and step > _NEARLY * self.total_steps)
            or self._above.count > 0
        )
        flat = before > 0 and before - after + 3 * error < rule.improvement * before and not finished
        known, self._is_flat = self._is_flat, flat
        if known or not flat:
            return
        message = (
            f"The loss has not fallen since step {self._first_steps[-count]:,.0f}: it was {text(before)} and is "
            f"{text(after)}."
        )
        yield from self._flat.alert("plateau", message, records, index, step, time)
