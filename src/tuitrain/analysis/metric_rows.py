"""The metrics of several runs, or of groups of runs, side by side: values, differences to a baseline, the best."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.comparability import LOSS_KEYS, is_ranked
from tuitrain.analysis.metrics import SUMMARY_METRICS, Metric, metric_of
from tuitrain.analysis.own_metrics import newest_own, own_metrics, own_values
from tuitrain.analysis.points import AxisPoint
from tuitrain.analysis.series import Axis, validation_curve
from tuitrain.analysis.student import Sample, Welch, welch
from tuitrain.analysis.summary import SLACK, Summary, rows_until
from tuitrain.analysis.verdict import NOTICEABLE
from tuitrain.config import flatten
from tuitrain.runs import RunHistory

BEST = "*"
"""The mark of the best value in tables, which needs no colour."""
SPEED_KEYS = frozenset({"mean_mfu", "mean_tokens_per_sec"})


@dataclass(frozen=True)
class MetricRow:
    """One metric of every run, as stored (not scaled by `metric.factor`).

    deltas: relative change against the baseline, 0.1 is 10 % more; None for the baseline itself and wherever it
    means nothing. best: index of the best run, None when there is no better or no other, or where the second best
    is practically the same; of groups only one whose mean differs from the second best by more than chance. A run
    that diverged, or a group with one, is not the best in a loss. baseline: index of that run. ranked: whether the
    values are measured in the same unit. spreads, counts: of groups of runs, whose mean a value is, the standard
    deviation and how many runs have it; tests: Welch's test of each group against the baseline, None where there
    can be none.
    """

    metric: Metric
    values: list[float | None]
    deltas: list[float | None]
    best: int | None
    baseline: int = 0
    spreads: list[float | None] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    ranked: bool = True
    tests: list[Welch | None] = field(default_factory=list)
    unranked: frozenset[int] = frozenset()
    """Columns that are not the best, whatever their values."""

    @property
    def ranked_values(self) -> list[float | None]:
        """The values, None of columns that are not ranked."""
        return [None if index in self.unranked else value for index, value in enumerate(self.values)]

    def sample(self, index: int) -> Sample:
        """The group of a column; its value must be known."""
        value = self.values[index]
        return Sample(self.counts[index], math.nan if value is None else value, self.spreads[index])

    def is_clear(self, one: int, other: int) -> bool:
        """Whether two groups differ by more than chance: by Welch's test, or because neither of them scatters."""
        test = welch(self.sample(one), self.sample(other))
        return self.spreads[one] == self.spreads[other] == 0 if test is None else test.is_significant

    def value_text(self, index: int) -> str:
        """The value of a run with its unit, of a group with its spread: `47.2 ± 0.3 %`."""
        text = self.metric.text(self.values[index])
        spread = self.spreads[index] if self.spreads else None
        if spread is None:
            return text
        deviation, unit = self.metric.text(spread), f" {self.metric.unit}"
        # A duration of several units keeps its last one.
        both = len(unit) > 1 and text.endswith(unit) and deviation.endswith(unit) and self.metric.unit != "s"
        return f"{text.removesuffix(unit)} ± {deviation}" if both else f"{text} ± {deviation}"

    def delta_text(self, index: int) -> str:
        """The difference of a run to the baseline as tables show it, empty where there is none.

        `−7.6 %`; of a metric in per cent the points, `+1.5 pt`; from ten times more on the ratio, `397×`; of groups
        with the p of Welch's test: `−7.6 %, p = 0.012`.
        """
        text, test = self._difference_text(index), self.tests[index] if self.tests else None
        return f"{text}, {p_text(test.p)}" if text and test is not None else text

    def _difference_text(self, index: int) -> str:
        delta, value, reference = self.deltas[index], self.values[index], self.values[self.baseline]
        if delta is None or value is None or reference is None:
            return ""
        if self.metric.unit == "%":
            return _signed(self.metric.factor * (value - reference), "pt")
        return f"{1 + delta:,.0f}×" if delta >= 10 else _signed(100 * delta, "%")


def _signed(value: float, unit: str) -> str:
    text = units.with_minus(f"{value:+.1f} {unit}")
    return text[1:] if text[1:] == f"0.0 {unit}" else text


def metrics_at(histories: Sequence[RunHistory], points: Sequence[AxisPoint | None]) -> list[Metric]:
    """The metrics of a comparison. At a point nothing is final, and what no evaluation measured there says so."""
    if None in points:
        return list(SUMMARY_METRICS)
    located = zip(histories, points, strict=True)
    note = ", interpolated" if any(point and _between_evaluations(each, *point) for each, point in located) else ""
    return [
        replace(metric, title=metric.title.removeprefix("final ") + note)
        if metric.key in ("final_val_loss", "final_perplexity", "final_bits_per_byte")
        else metric
        for metric in SUMMARY_METRICS
    ]


def _between_evaluations(history: RunHistory, axis: Axis, limit: float) -> bool:
    """Whether the run's validation loss at a point lies between two evaluations, so that it is interpolated."""
    x, _ = validation_curve(history, axis)
    x = x[np.isfinite(x)]
    if not len(x) or not x[0] < limit < x[-1]:
        return False
    return not bool((np.abs(x - limit) <= SLACK * abs(limit)).any())


def metric_rows(
    histories: Sequence[RunHistory],
    columns: Sequence[Sequence[Summary]],
    baseline: int,
    points: Sequence[AxisPoint | None],
) -> list[MetricRow]:
    """The metrics that any run has. columns: the summaries of one run, or of a group whose mean is shown.

    points: where each run was summarized.
    """
    # Of groups the spread of the runs says more than the scatter of their step times.
    scatter = max((column[0].step_time_scatter or 0.0 for column in columns if len(column) == 1), default=0.0)
    diverged = frozenset(at for at, column in enumerate(columns) if any(each.has_diverged for each in column))
    rows = (
        metric_row(
            metric,
            [[getattr(summary, metric.key) for summary in column] for column in columns],
            baseline,
            ranked=is_ranked(metric.key, histories),
            scatter=scatter,
            unranked=diverged if metric.key in LOSS_KEYS else frozenset(),
        )
        for metric in metrics_at(histories, points)
    )
    return [row for row in rows if any(value is not None for value in row.values)]


def own_rows(columns: Sequence[Sequence[tuple[RunHistory, AxisPoint | None]]], baseline: int) -> list[MetricRow]:
    """The newest values of the metrics of one's own that several runs have, of a run alone all; none of them is best.

    columns: the logs of one run, or of a group whose mean is shown, each with the point at which the newest value is
    that before it.
    """
    histories = [history for column in columns for history, _ in column]
    names = Counter(name for history in histories for name in own_metrics([history]))
    least = min(2, sum(map(len, columns)))
    return [
        metric_row(replace(metric_of(name), better=None), values, baseline)
        for name in own_metrics(histories)
        if names[name] >= least
        for values in [[[_own_value(history, name, point) for history, point in column] for column in columns]]
    ]


def summary_rows(columns: Sequence[Sequence[RunHistory]], baseline: int) -> list[MetricRow]:
    """The numbers that programs say of their outcomes themselves, as `own_rows`."""
    tables = [[flatten(history.logged_summary) for history in column] for column in columns]
    names = Counter(name for column in tables for table in column for name, value in table.items() if _is_number(value))
    least = min(2, sum(map(len, columns)))
    rows = []
    for name in sorted(name for name, count in names.items() if count >= least):
        values = [[value if _is_number(value := table.get(name)) else None for table in column] for column in tables]
        title = f"{name} (summary)"
        rows.append(metric_row(replace(metric_of(title), better=None), values, baseline))
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _own_value(history: RunHistory, name: str, point: AxisPoint | None) -> float | None:
    if point is None:
        return newest_own(history, name)
    rows = rows_until(history, *point)
    steps, values = own_values(history, name)
    before = int(np.searchsorted(steps, history.steps["step"][rows - 1], "right")) if rows else 0
    return float(values[before - 1]) if before else None


def metric_row(
    metric: Metric,
    raw: Sequence[Sequence[float | None]],
    baseline: int,
    *,
    ranked: bool = True,
    scatter: float = 0.0,
    unranked: frozenset[int] = frozenset(),
) -> MetricRow:
    """The row of a metric. raw: its values in the runs of each column.

    ranked: whether they are measured in the same unit. scatter: relative difference below which speeds are equal.
    """
    measured = [[float(value) for value in column if value is not None] for column in raw]
    values = [statistics.fmean(column) if column else None for column in measured]
    reference = values[baseline]
    deltas = [
        _relative(value, reference) if ranked and index != baseline else None for index, value in enumerate(values)
    ]
    spreads = [
        statistics.stdev(column) if len(column) > 1 and all(map(math.isfinite, column)) else None for column in measured
    ]
    row = MetricRow(metric, values, deltas, None, baseline, spreads, [len(column) for column in measured], ranked,
                    unranked=unranked)  # fmt: skip
    tests = [
        welch(row.sample(index), row.sample(baseline)) if ranked and index != baseline else None
        for index in range(len(values))
    ]
    best = best_of(metric, row.ranked_values, scatter) if ranked else None
    if best is not None and max(row.counts) > 1 and not row.is_clear(*ranking(metric, row.ranked_values)[:2]):
        best = None
    return replace(row, tests=tests, best=best)


def _relative(value: float | None, reference: float | None) -> float | None:
    """The relative difference to a reference; None where one is unknown, not finite or a zero that means nothing."""
    if value is None or reference is None or not (math.isfinite(value) and math.isfinite(reference)):
        return None
    if value == reference:
        return 0.0
    return change if reference and math.isfinite(change := value / reference - 1) else None


def best_of(metric: Metric, values: Sequence[float | None], scatter: float = 0.0) -> int | None:
    """The index of the best value.

    None where there is no better and no other, where the two best read alike, for a loss or a speed where they are
    practically the same (NOTICEABLE), and for a speed where they differ by less than the relative scatter of the step
    times.
    """
    ranked = ranking(metric, values)
    if metric.better is None or len(ranked) < 2:
        return None
    best, second = (values[index] or 0.0 for index in ranked[:2])
    least = {**dict.fromkeys(LOSS_KEYS, NOTICEABLE), **dict.fromkeys(SPEED_KEYS, max(NOTICEABLE, scatter))}
    if metric.text(best) == metric.text(second) or abs(best - second) < least.get(metric.key, 0.0) * abs(second):
        return None
    return ranked[0]


def ranking(metric: Metric, values: Sequence[float | None]) -> list[int]:
    """The indices of the finite values, the best first; of equals the first."""
    sign = -1 if metric.better == "higher" else 1
    finite = [(sign * value, index) for index, value in enumerate(values) if value is not None and math.isfinite(value)]
    return [index for _, index in sorted(finite)]


def p_text(p: float) -> str:
    """A probability as papers write it: `p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
