"""Detectors of gradients: norms that explode or vanish, blocks without any."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np

from tuitrain.alerts.detector import Detection, Gate
from tuitrain.alerts.rules import DeadLayer, Rules
from tuitrain.alerts.windows import Levels, Points, Window, row_medians
from tuitrain.analysis.metrics import metric
from tuitrain.events import Layers
from tuitrain.runs.columns import FloatArray

LEVEL_RECORDS = 16
_WINDOW, _BLOCK, _LEAST = 64, 32, 32
_BEYOND_LARGEST = 4.0
"""A norm explodes that is also so many times the largest of the window: some losses have rare large gradients."""

text = metric("grad_norm").text


def _median_and_largest(windows: FloatArray) -> FloatArray:
    return np.stack((row_medians(windows), windows.max(axis=1)), axis=1)


class GradientNorm:
    """Finds norms that explode or vanish."""

    def __init__(self, rules: Rules) -> None:
        self._factor, self._share = rules.gradient_explosion.factor, rules.gradient_vanishing.share
        self._explosion, self._vanishing = Gate(rules.gradient_explosion), Gate(rules.gradient_vanishing)
        self._window = Window(_WINDOW, _BLOCK, _LEAST, 2, _median_and_largest)
        self._levels = Levels(LEVEL_RECORDS)
        self._count = 0
        self.restart()

    def restart(self) -> None:
        """What comes is of another training."""
        self._window.restart()
        self._levels.restart()
        self._lowest, self._highest = math.inf, 0.0
        self._exploded = self._vanished = False

    def feed(self, points: Points) -> Iterator[Detection]:
        """Alerts that further finite values bring."""
        median, largest = self._window.before(points.value).T
        hits = (points.value > self._factor * median) & (points.value > _BEYOND_LARGEST * largest) & (median > 0)
        found = [(at, f"from a median of {text(median[at])}") for at in np.flatnonzero(hits).tolist()]
        medians, _, ends = self._levels.add(points.value)
        for at, level in zip(ends.tolist(), medians.tolist(), strict=True):
            exploded, vanished = level > self._factor * self._lowest, level < self._share * self._highest
            if exploded and not self._exploded:
                found.append((at, f"from a lowest level of {text(self._lowest)}"))
            if vanished and not self._vanished:
                message = f"The gradient norm fell to {text(level)} from {text(self._highest)}: it vanishes."
                yield from self._vanishing.alert("gradient_vanishing", message, self._count + at, *points.position(at))
            self._exploded, self._vanished = exploded, vanished
            self._lowest = min(self._lowest, level) if level > 0 else self._lowest
            self._highest = max(self._highest, level)
        for at, before in sorted(found):
            message = f"The gradient norm rose to {text(points.value[at])} {before}."
            yield from self._explosion.alert("gradient_explosion", message, self._count + at, *points.position(at))
        self._count += len(points)


class DeadLayers:
    """Finds blocks that get no gradient."""

    def __init__(self, rule: DeadLayer) -> None:
        self._rule, self._gate = rule, Gate(rule)
        self._streaks: list[int] = []
        self._count = 0

    def add(self, record: Layers, index: int) -> Iterator[Detection]:
        """Alerts that a further record brings."""
        norms = record.grad_norm
        finite = [norm for norm in norms if math.isfinite(norm)]
        self._count += 1
        if len(finite) < 2 or len(self._streaks) != len(norms):
            self._streaks = [0] * len(norms)
        limit = self._rule.share * statistics.median(finite) if finite else 0.0
        new = []
        for block, norm in enumerate(norms):
            self._streaks[block] = self._streaks[block] + 1 if limit > 0 and norm <= limit else 0
            if self._streaks[block] == self._rule.records:
                new.append(block)
        if new:
            names = ", ".join("the embedding" if each == 0 else f"block {each}" for each in new)
            verb = "gets" if len(new) == 1 else "get"
            message = f"{names[0].upper()}{names[1:]} {verb} no gradient: a norm of {norms[new[0]]:.2g}."
            yield from self._gate.alert("dead_layer", message, self._count, index, record.step, record.time)
