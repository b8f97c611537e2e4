"""The numbers of one run as charts need them: a metric over an axis, raw or smoothed, kept up as the log grows.

New records cost only what they add: smoothed values, positions on the axes and means continue from where they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuitrain.analysis.limits import drawable
from tuitrain.analysis.series import rising, step_seconds, tokens_covered
from tuitrain.analysis.smoothing import CENTRED, Smoother, centred_window, smooth_centred
from tuitrain.analysis.superseded import superseded_label, superseded_pieces
from tuitrain.events import LATEST_TIME
from tuitrain.plots.axes import XAxis
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.runs.columns import Columns


@dataclass(frozen=True)
class Series:
    """Points in the order of steps. While `identity` stays equal, x and y only ever grow at their end."""

    x: FloatArray
    y: FloatArray
    identity: tuple[object, ...]
    smoothing: float = 0.0
    """As `Curve.smoothing`."""


class _Growing:
    """An array that grows at its end."""

    def __init__(self, dtype: type[np.floating] = np.float64) -> None:
        self._values = np.empty(0, dtype=dtype)
        self.length = 0

    @property
    def values(self) -> FloatArray:
        return self._values[: self.length]

    def extend(self, values: FloatArray) -> None:
        end = self.length + len(values)
        if end > len(self._values):
            larger = np.empty(max(end, 2 * len(self._values), 256), dtype=self._values.dtype)
            larger[: self.length] = self.values
            self._values = larger
        self._values[self.length : end] = values
        self.length = end


class _Rising(_Growing):
    """A column as an axis: never decreasing, and nan where a value is below 0, at the limit or past it."""

    def __init__(self, limit: float = np.inf) -> None:
        super().__init__()
        self._limit = limit
        self._highest = 0.0
        self.unusable = 0
        """How many values are nan."""

    def catch_up(self, column: FloatArray) -> None:
        new = column[self.length :]
        if not len(new):
            return
        places = rising(new, self._limit, self._highest)
        self._highest = float(np.fmax.reduce(places, initial=self._highest))
        self.unusable += int(np.isnan(places).sum())
        self.extend(places)


class _Smoothed(_Growing):
    """A smoothed column, one value for each row of the table; nan where the row has none."""

    def __init__(self, weight: float) -> None:
        # Seven digits are plenty for a curve, and there is one of these for every metric.
        super().__init__(np.float32)
        self._smoother = Smoother(weight)

    def catch_up(self, table: Columns, key: str) -> None:
        values, present = drawable(table[key][self.length :]), table.present(key)[self.length :]
        if not len(values):
            return
        smoothed = np.full(len(values), np.nan)
        smoothed[present] = self._smoother.extend(values[present])
        # A loss of inf is marked as that, also where only the smoothed curve is shown.
        smoothed[np.isinf(values)] = values[np.isinf(values)]
        self.extend(smoothed)


class RunSeries:
    """All series of one history."""

    def __init__(self, history: RunHistory) -> None:
        self.history = history
        self._forget()

    def _forget(self) -> None:
        self._cuts = len(self.history.steps.cuts)
        self._smoothed: dict[tuple[str, float], _Smoothed] = {}
        self._seconds = _Growing()
        self._clock = _Rising(LATEST_TIME)
        self._tokens = _Rising()
        self._means: dict[str, list[float]] = {}
        self._summed = 0

    def _settle(self) -> Columns:
        """The table, with everything forgotten that no longer belongs to it."""
        steps = self.history.steps
        cut = len(steps.cuts) != self._cuts
        # The first row's share of the time depends on the second.
        begins = self._seconds.length == 1 and len(steps) > 1
        if begins or cut:
            self._forget()
        return steps

    def of(self, key: str, axis: XAxis, weight: float = 0.0) -> Series:
        """A metric of the steps over an axis, smoothed with a weight in [0, 1), or CENTRED; 0 is raw."""
        steps = self._settle()
        if not steps.has(key):
            return Series(np.empty(0), np.empty(0), ())
        x, y, there = self._rows(axis), self._column(key, 0.0 if weight == CENTRED else weight), steps.present(key)
        known = np.isfinite(x) & there
        if not known.all():
            x, y = x[known], y[known]
        if weight == CENTRED:
            window = centred_window(int(np.isfinite(y).sum()))
            identity = (id(self), key, axis, "centred", len(x), self._cuts)
            return Series(x, smooth_centred(y), identity, window if window > 1 else 0.0)
        return Series(x, y, (id(self), key, axis, weight, self._cuts), weight)

    def system(self, key: str, axis: XAxis) -> Series:
        """Readings of the machine over an axis: a column of `RunHistory.system_columns`."""
        table = self.history.system_columns
        values, there = table[key], table.present(key)
        x = self.system_clock() if axis == "clock" else self.place(axis, table["step"])
        known = np.isfinite(x) & there
        return Series(np.maximum.accumulate(x[known]), values[known], (id(self), "system", key, axis, self._cuts))

    def system_clock(self) -> FloatArray:
        """When the machine was read: never decreasing, nan for times that are none."""
        return rising(self.history.system_columns["time"], LATEST_TIME)

    def superseded(self, key: str, axis: XAxis) -> tuple[list[Series], str]:
        """The metric in earlier attempts, as far as a later one did their steps again: a series each; their name."""
        table = self.history.superseded_steps
        pieces, count = superseded_pieces(self.history)
        all_series = []
        for rows in pieces if table.has(key) else ():
            x = self.place(axis, table["step"][rows])
            known = np.isfinite(x) & table.present(key)[rows]
            identity = (id(self), "superseded", key, axis, rows.start, rows.stop)
            all_series.append(Series(x[known], table[key][rows][known], identity))
        return [series for series in all_series if len(series.x)], superseded_label(len(pieces), count)

    def place(self, axis: XAxis, steps: FloatArray) -> FloatArray:
        """Where steps lie on an axis, between records by interpolation; nan outside the log, but step 0 is at 0."""
        if axis == "step":
            return steps
        rows, numbers = self._rows(axis), self.history.steps["step"]
        known = np.isfinite(rows)
        if not known.any():
            return np.full(len(steps), np.nan)
        if not known.all():
            rows, numbers = rows[known], numbers[known]
        placed = np.interp(steps, numbers, rows, left=np.nan, right=np.nan)
        if axis != "clock" and numbers[0] > 0 and self._from_the_beginning():
            early = steps < numbers[0]
            placed[early] = np.interp(steps[early], [0.0, numbers[0]], [0.0, rows[0]], left=np.nan)
        return placed

    def steps_at(self, axis: XAxis, x: float) -> float:
        """The step at a place of an axis: the inverse of `place`, kept within the log."""
        rows = self._rows(axis)
        known = np.isfinite(rows)
        return float(np.interp(x, rows[known], self.history.steps["step"][known])) if known.any() else 0.0

    def _from_the_beginning(self) -> bool:
        """Whether the first record is the first of its run, and not of a log that begins later."""
        numbers = self.history.steps["step"][:2]
        usual = numbers[1] - numbers[0] if len(numbers) > 1 else numbers[0]
        return bool(numbers[0] <= max(1.0, usual))

    def _rows(self, axis: XAxis) -> FloatArray:
        """The place of each row on an axis, never decreasing."""
        steps = self._settle()
        if axis == "step":
            return steps[axis]
        if axis in ("tokens", "flops"):
            self._tokens.catch_up(steps["tokens"])
            if axis == "tokens":
                return self._tokens.values
            per_token = self.history.run.flops_per_token if self.history.run else None
            return self._tokens.values * (per_token if per_token is not None and per_token > 0 else np.nan)
        if axis == "clock":
            # A clock that was set back must not draw the curve backwards.
            self._clock.catch_up(steps["time"])
            return self._clock.values
        self._tell_time(steps)
        return self._seconds.values

    def without_clock(self) -> int:
        """How many records have no usable time."""
        self._rows("clock")
        return self._clock.unusable

    def _tell_time(self, steps: Columns) -> None:
        done = self._seconds.length
        if done == len(steps):
            return
        seconds = step_seconds(self.history, done)
        before = self._seconds.values[-1] if done else 0.0
        if not np.isfinite(seconds).any() and not (done and np.isfinite(before)):
            self._seconds.extend(seconds)
            return
        self._seconds.extend((0.0 if np.isnan(before) else before) + np.cumsum(np.nan_to_num(seconds)))

    def _column(self, key: str, weight: float) -> FloatArray:
        steps = self.history.steps
        if not weight:
            return steps[key]
        kept = self._smoothed.get((key, weight))
        if kept is None:
            kept = self._smoothed[key, weight] = _Smoothed(weight)
        kept.catch_up(steps, key)
        return kept.values

    def mean(self, key: str) -> float | None:
        """The mean over the run, each record weighted by the time it stands for, as `summarize` has it.

        Of tokens_per_sec it is all tokens by all seconds.
        """
        steps = self._settle()
        self._sum_up(steps)
        if key == "tokens_per_sec" and self._means["tokens"][1] > 0:
            return self._means["tokens"][0] / self._means["tokens"][1]
        weighted, seconds, plain, count = self._means.get(key, [0.0] * 4)
        if seconds > 0:
            return weighted / seconds
        return plain / count if count else None

    def _sum_up(self, steps: Columns) -> None:
        if not self._means:
            self._means = {key: [0.0] * 4 for key in ("mfu", "tflops", "tokens_per_sec", "tokens")}
        done, self._summed = self._summed, len(steps)
        if done == len(steps):
            return
        self._tell_time(steps)
        spent = step_seconds(self.history, done)
        for key in ("mfu", "tflops", "tokens_per_sec"):
            values = steps[key][done:]
            finite = np.isfinite(values)
            weighed = finite & np.isfinite(spent) & (spent > 0)
            _add(self._means[key], (values[weighed] * spent[weighed]).sum(), spent[weighed].sum())
            _add(self._means[key], values[finite].sum(), finite.sum(), at=2)
        gained = tokens_covered(self.history, done)
        both = np.isfinite(gained) & np.isfinite(spent)
        _add(self._means["tokens"], gained[both].sum(), spent[both].sum())


def _add(sums: list[float], value: float, weight: float, at: int = 0) -> None:
    sums[at] += float(value)
    sums[at + 1] += float(weight)
