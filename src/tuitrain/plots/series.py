"""The numbers of one run as charts need them: any metric over any axis, recorded or smoothed.

New records cost only what they add: smoothed values and positions on the axes continue from where they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tuitrain.analysis.limits import drawable
from tuitrain.analysis.metrics import BY_KEY, Metric, metric_of
from tuitrain.analysis.series import rising, step_seconds
from tuitrain.analysis.smoothing import CENTRED, Smoother, centred_window, smooth_centred
from tuitrain.analysis.summary import mean_over_time
from tuitrain.analysis.superseded import superseded_label, superseded_pieces
from tuitrain.events import LATEST_TIME
from tuitrain.plots.axes import XAxis
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.runs.columns import Columns

if TYPE_CHECKING:
    from tuitrain.analysis.power_law import Projection

_REFIT = 1.02
"""The law of the loss is fitted again when the run has this many times the records."""


@dataclass(frozen=True)
class Series:
    """Points with x never decreasing. smoothing: as `Curve.smoothing`."""

    x: FloatArray
    y: FloatArray
    smoothing: float = 0.0


NO_SERIES = Series(np.empty(0), np.empty(0))


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
        positions = rising(new, self._limit, self._highest)
        self._highest = float(np.fmax.reduce(positions, initial=self._highest))
        self.unusable += int(np.isnan(positions).sum())
        self.extend(positions)


class _Smoothed(_Growing):
    """The moving average of a metric, one for each recorded value; nan and inf stay where they are."""

    def __init__(self, weight: float) -> None:
        # Seven digits are plenty for a curve, and there is one of these for every metric.
        super().__init__(np.float32)
        self._smoother = Smoother(weight)

    def catch_up(self, values: FloatArray) -> None:
        new = drawable(values[self.length :])
        if len(new):
            # A loss of inf is marked as that, also where only the smoothed curve is shown.
            self.extend(np.where(np.isinf(new), new, self._smoother.extend(new)))


class RunSeries:
    """All series of one history."""

    def __init__(self, history: RunHistory) -> None:
        self.history = history
        self._reset()

    def _reset(self) -> None:
        self._cuts = len(self.history.steps.cuts)
        self._smoothed: dict[tuple[str, float], _Smoothed] = {}
        self._spent = _Growing()
        self._seconds = _Growing()
        self._clock = _Rising(LATEST_TIME)
        self._tokens = _Rising()
        self._projection: tuple[int, Projection | None] | None = None

    def _steps(self) -> Columns:
        """The table of the steps, after a reset where rows were removed from it."""
        steps = self.history.steps
        # The first row's share of the time depends on the second.
        second = self._seconds.length == 1 and len(steps) > 1
        if second or len(steps.cuts) != self._cuts:
            self._reset()
        return steps

    def of(self, name: str, axis: XAxis, weight: float = 0.0) -> Series:
        """A metric over an axis, by the name it has in the log; empty where the log has no value of it.

        weight: of the moving average of a metric of the steps, in [0, 1), or CENTRED; 0 is as recorded.
        """
        match self.source_of(name):
            case "system":
                return self._readings(name, axis)
            case "eval":
                evals, column = self.history.evals, metric_of(name).column
                x, y = self.x_at(axis, evals["step"]), evals[column]
                shown = np.isfinite(x) & evals.present(column)
                return Series(x[shown], y[shown])
        steps = self._steps()
        rows, y = steps.points(name)
        if not len(y):
            return NO_SERIES
        x = self._positions(axis)
        if len(rows) < len(steps):
            x = x[rows]
        if 0 < weight < CENTRED:
            smoothed = self._smoothed.setdefault((name, weight), _Smoothed(weight))
            smoothed.catch_up(y)
            y = smoothed.values
        if axis != "step" and not (known := np.isfinite(x)).all():
            x, y = x[known], y[known]
        if weight == CENTRED:
            window = centred_window(int(np.isfinite(y).sum()))
            return Series(x, smooth_centred(y), window if window > 1 else 0.0)
        return Series(x, y, weight)

    def source_of(self, name: str) -> str:
        """The source of a metric, as `Metric.source`; of an undeclared name the table that has values of it."""
        declared = BY_KEY.get(name)
        if declared is not None:
            return declared.source
        if self.history.steps.has(name):
            return "step"
        return "eval" if self.history.evals.has(name) else "system"

    def newest(self, metric: Metric) -> float | None:
        """The newest recorded value of a metric; None without any."""
        match self.source_of(metric.key):
            case "system":
                return self.history.system_columns.last(metric.key)
            case "eval":
                return self.history.evals.last(metric.column)
        return self.history.steps.last(metric.key)

    def _readings(self, name: str, axis: XAxis) -> Series:
        """Readings of the machine."""
        table = self.history.system_columns
        rows, y = table.points(name)
        x = (self.reading_times() if axis == "clock" else self.x_at(axis, table["step"]))[rows]
        known = np.isfinite(x)
        return Series(np.maximum.accumulate(x[known]), y[known])

    def reading_times(self) -> FloatArray:
        """When the machine was read, Unix seconds: never decreasing, nan for times that are none."""
        return rising(self.history.system_columns["time"], LATEST_TIME)

    def superseded(self, name: str, axis: XAxis) -> tuple[list[Series], str]:
        """A metric in earlier attempts, as far as a later one did their steps again: a series each; their name."""
        table = self.history.superseded_steps
        pieces, count = superseded_pieces(self.history)
        series = []
        for rows in pieces if table.has(name) else ():
            x = self.x_at(axis, table["step"][rows])
            known = np.isfinite(x) & table.present(name)[rows]
            series.append(Series(x[known], table[name][rows][known]))
        return [each for each in series if len(each.x)], superseded_label(len(pieces), count)

    def x_at(self, axis: XAxis, steps: FloatArray) -> FloatArray:
        """The positions of steps on an axis, between records interpolated; nan outside the log, but step 0 is at 0."""
        if axis == "step":
            return steps
        positions, numbers = self._positions(axis), self.history.steps["step"]
        known = np.isfinite(positions)
        if not known.any():
            return np.full(len(steps), np.nan)
        if not known.all():
            positions, numbers = positions[known], numbers[known]
        x = np.interp(steps, numbers, positions, left=np.nan, right=np.nan)
        if axis != "clock" and numbers[0] > 0 and self._from_the_beginning():
            early = steps < numbers[0]
            x[early] = np.interp(steps[early], [0.0, numbers[0]], [0.0, positions[0]], left=np.nan)
        return x

    def _from_the_beginning(self) -> bool:
        """Whether the first record is the first of its run, and not of a log that begins later."""
        numbers = self.history.steps["step"][:2]
        usual = numbers[1] - numbers[0] if len(numbers) > 1 else numbers[0]
        return bool(numbers[0] <= max(1.0, usual))

    def _positions(self, axis: XAxis) -> FloatArray:
        """The position of each row on an axis, never decreasing; nan where it is not known."""
        steps = self._steps()
        match axis:
            case "step":
                return steps["step"]
            case "clock":
                # A clock that was set back must not draw the curve backwards.
                self._clock.catch_up(steps["time"])
                return self._clock.values
            case "time":
                return self._training_time(steps)
        self._tokens.catch_up(steps["tokens"])
        if axis == "tokens":
            return self._tokens.values
        per_token = self.history.run.flops_per_token if self.history.run else None
        return self._tokens.values * (per_token if per_token is not None and per_token > 0 else np.nan)

    def _training_time(self, steps: Columns) -> FloatArray:
        """Seconds of training up to each row; nan until the log tells any."""
        done = self._seconds.length
        if done < len(steps):
            seconds = step_seconds(self.history, done)
            self._spent.extend(seconds)
            before = float(self._seconds.values[-1]) if done else np.nan
            if np.isfinite(seconds).any() or np.isfinite(before):
                seconds = np.nan_to_num(before) + np.cumsum(np.nan_to_num(seconds))
            self._seconds.extend(seconds)
        return self._seconds.values

    def mean(self, name: str) -> float | None:
        """The mean of a metric of the steps over the run, as `analysis.summary.mean_over_time`."""
        self._positions("time")
        return mean_over_time(self.history, name, self._spent.values)

    def untimed_records(self) -> int:
        """How many records of steps have no usable time."""
        self._positions("clock")
        return self._clock.unusable

    def projected_loss(self) -> Projection | None:
        """How the loss is expected to end; None where the records do not tell.

        The law is fitted again from time to time as the run grows, not at each call.
        """
        steps, run = self._steps(), self.history.run
        if run is None or not run.total_steps or not len(steps):
            return None
        if self._projection is None or len(steps) > self._projection[0] * _REFIT:
            # Imported here: only a live run has a projection.
            from tuitrain.analysis.power_law import project_loss

            schedule = run.config.get("schedule")
            warmup = schedule.get("warmup_steps") if isinstance(schedule, dict) else None
            numbers, losses = steps.series("loss")
            law = project_loss(numbers, losses, run.total_steps, warmup if isinstance(warmup, int) else 0)
            self._projection = len(steps), law
        return self._projection[1]
