"""The numbers of one run as charts need them: any metric over any axis, recorded or smoothed.

Smoothing costs only what new records add; positions on the axes are computed again when there are more of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tuitrain.analysis.limits import drawable
from tuitrain.analysis.metrics import BY_KEY, Metric, metric_of
from tuitrain.analysis.series import interpolated, rising, step_seconds, x_values
from tuitrain.analysis.smoothing import CENTRED, Smoother, centred_window, smooth_centred
from tuitrain.analysis.summary import mean_of
from tuitrain.events import LATEST_TIME
from tuitrain.plots.axes import X_AXES, PlotAxis
from tuitrain.runs import FloatArray, RunHistory
from tuitrain.runs.columns import Columns

if TYPE_CHECKING:
    from tuitrain.analysis.power_law import Projection

_PRECISION: type[np.floating] = np.float32
"""Of smoothed values: seven digits are plenty for a curve, and every metric has one."""
_MOST_PIECES = 24
"""More superseded pieces would not be distinguishable, and a log in disorder has as many as records."""
_RESERVED = frozenset({*X_AXES, "seconds"}) - {"tokens"}
"""Axes of ours, over which no metric of that name is meant."""
_REFIT = 1.02
"""The law of the loss is fitted again when the run has this many times the records."""


@dataclass(frozen=True)
class Series:
    """Points with x never decreasing. smoothing: as `Curve.smoothing`."""

    x: FloatArray
    y: FloatArray
    smoothing: float = 0.0


NO_SERIES = Series(np.empty(0), np.empty(0))


def _in_order(x: FloatArray, y: FloatArray, axis: PlotAxis, smoothing: float = 0.0) -> Series:
    """The points in the order of x: a metric may fall where an axis of ours only rises."""
    if axis not in X_AXES and (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return Series(x, y, smoothing)


class _Smoothed:
    """The moving average of a metric, one for each recorded value, continued as values are appended."""

    def __init__(self, weight: float) -> None:
        self._values = np.empty(0, dtype=_PRECISION)
        self._length = 0
        self._smoother = Smoother(weight)

    def of(self, values: FloatArray) -> FloatArray:
        """The averages at these values, which begin with those of the last call. nan and inf stay."""
        start, self._length = self._length, len(values)
        if self._length > len(self._values):
            larger = np.empty(max(self._length, 2 * len(self._values)), dtype=_PRECISION)
            larger[:start] = self._values[:start]
            self._values = larger
        new = drawable(values[start:])
        with np.errstate(over="ignore"):  # An average past the largest float of this precision is inf.
            self._values[start : self._length] = np.where(np.isinf(new), new, self._smoother.extend(new))
        return self._values[: self._length]


class RunSeries:
    """All series of one history."""

    def __init__(self, history: RunHistory) -> None:
        self.history = history
        self._reset()

    def _reset(self) -> None:
        self._cuts = len(self.history.steps.cuts)
        self._smoothed: dict[tuple[str, float], _Smoothed] = {}
        self._columns: dict[str, FloatArray] = {}
        """Positions on the axes and seconds spent, for each row of the steps; computed again when there are more."""
        self._projection: tuple[int, Projection | None] | None = None

    def _steps(self) -> Columns:
        """The table of the steps, after a reset where rows were removed from it."""
        if len(self.history.steps.cuts) != self._cuts:
            self._reset()
        return self.history.steps

    def of(self, name: str, axis: PlotAxis, weight: float = 0.0) -> Series:
        """A metric over an axis, by the name it has in the log; empty where the log has no value of it.

        weight: of the moving average of a metric of the steps, in [0, 1), or CENTRED; 0 is as recorded.
        """
        match self.source_of(name):
            case "system":
                return self._readings(name, axis)
            case "eval":
                return self.evaluations(metric_of(name).column, axis)
        steps = self._steps()
        if not steps.has(name):
            return NO_SERIES
        x, y = self._positions(axis), steps[name]
        if steps.count(name) < len(steps):
            rows, y = steps.points(name)
            x = x[rows]
        if 0 < weight < CENTRED:
            y = self._smoothed.setdefault((name, weight), _Smoothed(weight)).of(y)
        if axis != "step" and not (known := np.isfinite(x)).all():
            x, y = x[known], y[known]
        if weight == CENTRED:
            window = centred_window(int(np.isfinite(y).sum()))
            y, weight = smooth_centred(y), window if window > 1 else 0.0
        return _in_order(x, y, axis, weight)

    def axis_of(self, name: str) -> PlotAxis:
        """What a metric is drawn over unless asked for otherwise: the steps, or another metric that the log names."""
        run = self.history.run
        axis = run.x_axes.get(name) if run is not None and isinstance(run.x_axes, dict) else None
        return axis if axis is not None and axis not in _RESERVED and self.history.steps.has(axis) else "step"

    def evaluations(self, column: str, axis: PlotAxis) -> Series:
        """A column of the evaluations over an axis."""
        evals = self.history.evals
        x, y = self.x_at(axis, evals["step"]), evals[column]
        shown = np.isfinite(x) & evals.present(column)
        return _in_order(x[shown], y[shown], axis)

    def source_of(self, name: str) -> str:
        """The source of a metric, as `Metric.source`; of one's own the table that has values of it."""
        declared, steps, evals = BY_KEY.get(name), self.history.steps, self.history.evals
        if declared is None:
            return "step" if steps.has(name) else "eval" if evals.has(name) else "system"
        # A loop of one's own may report under this name in its steps.
        moved = declared.source == "eval" and steps.has(name) and not evals.has(declared.column)
        return "step" if moved else declared.source

    def newest(self, metric: Metric) -> float | None:
        """The newest recorded value of a metric; None without any."""
        match self.source_of(metric.key):
            case "system":
                return self.history.system_columns.last(metric.key)
            case "eval":
                return self.history.evals.last(metric.column)
        return self.history.steps.last(metric.key)

    def _readings(self, name: str, axis: PlotAxis) -> Series:
        """Readings of the machine."""
        table = self.history.system_columns
        rows, y = table.points(name)
        x = (self.reading_times() if axis == "clock" else self.x_at(axis, table["step"]))[rows]
        known = np.isfinite(x)
        return Series(np.maximum.accumulate(x[known]), y[known])

    def reading_times(self) -> FloatArray:
        """Unix seconds of the readings of the machine: never decreasing, nan for unusable times."""
        return rising(self.history.system_columns["time"], LATEST_TIME)

    def superseded(self, name: str, axis: PlotAxis) -> tuple[list[Series], str]:
        """A metric at the steps that a later attempt repeated: a series for each piece, and the name of them all.

        The steps of a piece rise; only the newest pieces are returned.
        """
        table = self.history.superseded_steps
        steps = table["step"]
        ends = [0, *(np.flatnonzero(np.diff(steps) <= 0) + 1).tolist(), len(steps)]
        series = []
        for begin, end in pairwise(ends[-_MOST_PIECES - 1 :]) if table.has(name) else ():
            x = self.x_at(axis, steps[begin:end])
            known = np.isfinite(x) & table.present(name)[begin:end]
            series.append(_in_order(x[known], table[name][begin:end][known], axis))
        count = len(ends) - 1
        left_out = f", the newest {_MOST_PIECES} of {count:,} pieces" if count > _MOST_PIECES else ""
        return [each for each in series if len(each.x)], f"superseded{left_out}"

    def x_at(self, axis: PlotAxis, steps: FloatArray) -> FloatArray:
        """The positions of steps on an axis, between records interpolated; nan outside the log, but step 0 is at 0."""
        if axis == "step":
            return steps
        return interpolated(self.history, self._positions(axis), steps, from_zero=axis in ("tokens", "time", "flops"))

    def _positions(self, axis: PlotAxis) -> FloatArray:
        """The position of each row on an axis, on one of ours never decreasing; nan where it is not known."""
        return self._steps()["step"] if axis == "step" else self._column(axis)

    def _column(self, name: str) -> FloatArray:
        """A column of positions, or that of the seconds which each row stands for."""
        steps, kept = self._steps(), self._columns.get(name)
        if kept is None or len(kept) != len(steps):
            kept = self._columns[name] = self._compute(name)
        return kept

    def _compute(self, name: str) -> FloatArray:
        match name:
            case "seconds":
                return step_seconds(self.history)
            case "clock":
                # A clock that was set back must not draw the curve backwards.
                return rising(self.history.steps["time"], LATEST_TIME)
            case "time":
                seconds = self._column("seconds")
                return np.cumsum(np.nan_to_num(seconds)) if np.isfinite(seconds).any() else seconds
            case "tokens" | "flops":
                return x_values(self.history, name)
        # Of a metric: that of the row, else the newest before it.
        values = self._steps()[name]
        rows = np.where(np.isfinite(values), np.arange(len(values)), -1)
        newest = np.maximum.accumulate(rows)
        return np.where(newest >= 0, values[newest], np.nan)

    def mean(self, name: str) -> float | None:
        """The mean of a metric of the steps over the run, as `analysis.summary.mean_of`."""
        return mean_of(self.history, name, self._column("seconds"))

    def untimed_records(self) -> int:
        """How many records of steps have no usable time."""
        return int(np.isnan(self._column("clock")).sum())

    def projected_loss(self) -> Projection | None:
        """The projected loss at the end of the run; None where the records are too few or do not fit a law.

        The law is fitted again from time to time as the run grows, not at each call.
        """
        steps, run = self._steps(), self.history.run
        if run is None or not run.total_steps or not len(steps):
            return None
        if self._projection is None or len(steps) > self._projection[0] * _REFIT:
            # Imported here: only a live run has a projection.
            from tuitrain.analysis.power_law import project_loss

            warmup = self.history.section("schedule").get("warmup_steps")
            numbers, losses = steps.series("loss")
            law = project_loss(numbers, losses, run.total_steps, warmup if isinstance(warmup, int) else 0)
            self._projection = len(steps), law
        return self._projection[1]
