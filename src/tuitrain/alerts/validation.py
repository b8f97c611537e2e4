"""Detectors of evaluations: a validation loss that rises, or one that is too good."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np

from tuitrain.alerts.detector import Detection, Gate
from tuitrain.alerts.rules import Rules
from tuitrain.alerts.windows import MAD, Points
from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric
from tuitrain.events import Eval
from tuitrain.runs.columns import FloatArray, RowArray

text = metric("val_loss").text
_NEAREST, _LEAST_BETWEEN = 8, 4
"""Losses of the training before an evaluation: with how many it is compared, and how many there have to be."""
_NOISE_FROM = 16
"""Evaluations."""


def _noise(losses: list[float]) -> float:
    """The standard deviation around a smooth curve, from second differences, whose own is √6 times as large."""
    bends = [abs(after - 2 * at + before) for before, at, after in zip(losses, losses[1:], losses[2:], strict=False)]
    return MAD * statistics.median(bends) / math.sqrt(6) if bends else 0.0


class RecentLosses:
    """The losses of the training, as an evaluation among or after those that were added last needs them."""

    def __init__(self) -> None:
        self._count = 0
        """Of those before the last."""
        self._before: list[float] = []
        """The newest of these."""
        self._index: RowArray = np.empty(0, np.intp)
        self._values: FloatArray = np.empty(0)

    def add(self, losses: Points) -> None:
        """Add finite losses."""
        self._before, self._count = self.before(np.inf)
        self._index, self._values = losses.index, losses.value

    def restart(self) -> None:
        """What comes is of another training. Earlier losses still count as losses between two evaluations."""
        self._before, self._count = [], self.before(np.inf)[1]
        self._index, self._values = np.empty(0, np.intp), np.empty(0)

    def before(self, index: float) -> tuple[list[float], int]:
        """The newest losses before a position in the log, and how many there were in all."""
        at = int(np.searchsorted(self._index, index))
        return [*self._before, *self._values[max(0, at - _NEAREST) : at].tolist()][-_NEAREST:], self._count + at


class Validation:
    """Watches the loss of one split."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._overfitting, self._leak, self._nan = Gate(rules.overfitting), Gate(rules.leak), Gate(rules.nan)
        self._count = 0
        self._losses_before = 0
        """How many losses of the training there were before the last evaluation."""
        self.restart()

    def restart(self) -> None:
        """What comes is of another training."""
        self._best: tuple[float, float] | None = None
        """Loss and step."""
        self._losses: list[float] = []
        """The newest _NOISE_FROM."""
        self._below = 0
        """Evaluations so far that were all below the training loss; -1 once one was not."""
        self._rising = False

    def add(self, record: Eval, index: int, training: list[float], losses: int) -> Iterator[Detection]:
        """Alerts that a further evaluation brings. training: the newest of the `losses` losses before it."""
        loss = record.loss
        between, self._losses_before = losses - self._losses_before, losses
        if loss is None:
            return
        self._count += 1
        where = self._count, index, record.step, record.time
        if not math.isfinite(loss):
            message = f"The loss on {record.split} is {loss:g} at step {record.step:,}."
            yield from self._nan.alert("non_finite_val_loss", message, *where)
            return
        for code, message, gate in (
            ("overfitting", self._rises(record.split, loss, record.step), self._overfitting),
            ("leak", self._is_too_good(record.split, loss, training, between), self._leak),
        ):
            if message:
                yield from gate.alert(code, message, *where)

    def _rises(self, split: str, loss: float, step: int) -> str:
        """The sentence once it begins to rise; empty else."""
        rule, best = self._rules.overfitting, self._best
        self._losses = [*self._losses, loss][-max(_NOISE_FROM, rule.evaluations) :]
        newest = self._losses[-rule.evaluations :]
        if best is None or loss < best[0]:
            self._best, self._rising = (loss, step), False
            return ""
        above = best[0] + max(rule.rise * abs(best[0]), rule.z * _noise(self._losses))
        rises = len(newest) == rule.evaluations and min(newest) > above and newest[-1] >= newest[0]
        new, self._rising = rises and not self._rising, rises or (self._rising and loss > above)
        if not new:
            return ""
        return (
            f"The loss on {split} rises: {text(loss)}, after its lowest of {text(best[0])} at step {best[1]:,.0f}. "
            "The model overfits."
        )

    def _is_too_good(self, split: str, loss: float, training: list[float], between: int) -> str:
        rule = self._rules.leak
        newest = [value for value in training[-min(_NEAREST, between) :] if math.isfinite(value)]
        if self._below < 0 or between < _LEAST_BETWEEN or not newest:
            # Before the first steps there is nothing to compare with; means over epochs are of a time of higher losses.
            return ""
        usual = statistics.median(newest)
        deviation = MAD * statistics.median(abs(value - usual) for value in newest)
        # The standard error of a median of normal values is 1.25 times that of their mean.
        gap = max(rule.gap * usual, 3 * 1.25 * deviation / math.sqrt(len(newest)))
        self._below = self._below + 1 if 0 < loss < usual - gap else -1
        if self._below != rule.evaluations:
            return ""
        share = units.percent(1 - loss / usual)
        return (
            f"The loss on {split}, {text(loss)}, has been far below the training loss from the start, now {share} "
            f"below {text(usual)}: the split may be part of the training data."
        )
