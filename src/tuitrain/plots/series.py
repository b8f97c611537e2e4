"""The numbers of one run as charts need them: a metric over an axis, raw or smoothed, kept up as the log grows.

What is new costs what is new: smoothed values, places on the axes and means are carried on from where they were. A run
of more rows than ROWS_KEPT gives up old ones that no picture needs; `Detail` has them all for a part that is zoomed in.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tuitrain.analysis.limits import drawable
from tuitrain.analysis.series import rising, step_seconds, tokens_covered
from tuitrain.analysis.smoothing import Smoother
from tuitrain.analysis.superseded import superseded_label, superseded_pieces
from tuitrain.analysis.thinning import rows_to_keep
from tuitrain.events import LATEST_TIME
from tuitrain.plots.axes import XAxis
from tuitrain.runs import FloatArray, LogFollower, RunHistory
from tuitrain.runs.columns import BoolArray, Columns

ROWS_KEPT = 1 << 18
"""More rows than this are thinned: ten million steps then take as much memory as a quarter of a million."""
DETAIL_ROWS = 1 << 20
"""So many rows of a part that is zoomed in are held, for as long as it is."""
_UNSMOOTHED = ("time", "step", "tokens", "lr")


@dataclass(frozen=True)
class Series:
    """Points in the order of steps. While `identity` stays equal, x and y only ever grow at their end.

    whole: whether all points are there, and not only those without which the picture would be another.
    """

    x: FloatArray
    y: FloatArray
    identity: tuple[object, ...]
    whole: bool = True


@dataclass(frozen=True)
class Part:
    """A part of a log: the steps it holds, and where it begins and ends, in bytes."""

    low: float
    high: float
    start: int
    end: int


@dataclass(frozen=True)
class Detail:
    """A part of a thinned run with all its rows, for the steps from low to high."""

    low: float
    high: float
    series: RunSeries


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

    def keep(self, rows: BoolArray) -> None:
        self._values = self.values[rows]
        self.length = len(self._values)

    def cut(self, row: int) -> None:
        self.length = min(self.length, row)


class _Rising(_Growing):
    """A column as an axis: never decreasing, and nan where a value is below 0, at the limit or past it."""

    def __init__(self, limit: float = np.inf) -> None:
        super().__init__()
        self._limit = limit
        self._highest = 0.0
        self.unusable = 0
        """How many values are nan."""

    def cut(self, row: int) -> None:
        super().cut(row)
        self._highest = float(np.fmax.reduce(self.values, initial=0.0))
        self.unusable = int(np.isnan(self.values).sum())

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

    def cut(self, row: int) -> None:
        super().cut(row)
        known = np.flatnonzero(np.isfinite(self.values))
        if len(known):
            self._smoother.resume(float(self.values[known[-1]]))

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
    """All all_series of one history. ahead: those of the newest part of a log that is still being read."""

    def __init__(self, history: RunHistory, ahead: RunSeries | None = None) -> None:
        self.history = history
        self.ahead = ahead
        self.detail: Detail | None = None
        self.thinned_until: float | None = None
        """The step up to which rows are missing; None while none are."""
        self._offsets: list[tuple[float, int]] = []
        self._read_to = 0
        self._thinnings = 0
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
        if begins or (cut and self.thinned_until is None):
            self._forget()
        elif cut:
            # What was thinned cannot be gone through again. The means keep what was superseded.
            row = min(steps.cuts[self._cuts :])
            self._cuts, self._summed = len(steps.cuts), min(self._summed, row)
            for array in (self._seconds, self._clock, self._tokens, *self._smoothed.values()):
                array.cut(row)
        return steps

    def of(self, key: str, axis: XAxis, weight: float = 0.0) -> Series:
        """A metric of the steps over an axis, smoothed with a weight in [0, 1); 0 is raw."""
        if self.detail is not None:
            part = self.detail.series
            found = part.of(key, axis, weight)
            if axis == "time":
                numbers, _ = part.history.steps.series(key)
                x = self._own_place(axis, numbers[-len(found.x) :])
                found = replace(found, x=x)
            return found
        steps = self._settle()
        if not steps.has(key):
            return Series(np.empty(0), np.empty(0), ())
        x, y, there = self._rows(axis), self._column(key, weight), steps.present(key)
        known = np.isfinite(x) & there
        if not known.all():
            x, y = x[known], y[known]
        identity = (id(self), key, axis, weight, self._cuts, self._thinnings)
        return Series(x, y, identity, whole=self.thinned_until is None)

    def pieces(self, key: str, axis: XAxis, weight: float = 0.0) -> list[Series]:
        """The same, and while the log is being read its newest part as a piece of its own."""
        found = [self.of(key, axis, weight)]
        if self.ahead is not None and self.detail is None and axis != "time":
            found.append(self.ahead.of(key, axis, weight))
        return [series for series in found if len(series.x)]

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
        if self.ahead is not None and axis != "step":
            placed = self._own_place(axis, steps)
            return np.where(np.isfinite(placed), placed, self.ahead.place(axis, steps))
        return self._own_place(axis, steps)

    def _own_place(self, axis: XAxis, steps: FloatArray) -> FloatArray:
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
        return bool(numbers[0] <= max(1.0, usual)) or self.thinned_until is not None

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

    def note_offset(self, start: int, end: int, step: float) -> None:
        """Remember that the records from this byte of the log to that begin with this step."""
        self._read_to = end
        while self._offsets and self._offsets[-1][0] >= step:
            self._offsets.pop()
        self._offsets.append((step, start))

    def bytes_of(self, low: float, high: float) -> tuple[int, int]:
        """Where in the log the steps from low to high lie, with what their smoothing needs."""
        steps = [step for step, _ in self._offsets]
        first = max(0, bisect.bisect_right(steps, low) - 2)
        last = bisect.bisect_right(steps, high)
        return self._offsets[first][1] if steps else 0, self._offsets[last][1] if last < len(steps) else self._read_to

    def thin(self, weights: Sequence[float], limit: int | None = None) -> None:
        """Give up old rows when there are more than `limit`, three quarters of them; unless given it is ROWS_KEPT.

        Times, means and what is smoothed with one of these weights stay those of all rows.
        """
        steps, limit = self._settle(), limit or ROWS_KEPT
        if len(steps) <= limit:
            return
        self._tell_time(steps)
        self._clock.catch_up(steps["time"])
        self._tokens.catch_up(steps["tokens"])
        self._sum_up(steps)
        for key in steps.keys:
            if key not in _UNSMOOTHED and steps.has(key):
                for weight in weights:
                    self._column(key, weight)
        old = len(steps) - limit // 4
        keep = np.ones(len(steps), dtype=bool)
        keep[:old] = rows_to_keep(steps, old, limit // 4)
        self.thinned_until = float(steps["step"][old - 1])
        self.history.steps = steps.where(keep)
        self.history.steps.cuts = steps.cuts
        for array in (self._seconds, self._clock, self._tokens, *self._smoothed.values()):
            array.keep(keep)
        self._summed = len(self.history.steps)
        self._thinnings += 1


def _add(sums: list[float], value: float, weight: float, at: int = 0) -> None:
    sums[at] += float(value)
    sums[at + 1] += float(weight)


def read_closely(path: Path, part: Part, weights: Sequence[float]) -> RunSeries:
    """A part of a log with all its rows, as far as DETAIL_ROWS allows. Raises OSError."""
    all_series, follower = RunSeries(RunHistory()), LogFollower(path, start=part.start)
    while True:
        batch = follower.poll()
        all_series.history.absorb(batch.records)
        all_series.thin(weights, DETAIL_ROWS)
        if not batch.more or batch.end >= part.end:
            return all_series
