"""Several runs side by side: outcomes, differences of their configurations, and a verdict."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.description import unread_lines
from tuitrain.analysis.metrics import NOT_AVAILABLE, SUMMARY_METRICS, Metric, metric_of
from tuitrain.analysis.own_metrics import newest_own, own_metrics, own_values
from tuitrain.analysis.series import AXES, Axis, validation_curve, x_values
from tuitrain.analysis.summary import SLACK, Summary, rows_until, summarize
from tuitrain.analysis.verdict import losses_are_comparable, verdict
from tuitrain.config import flatten
from tuitrain.events import Run
from tuitrain.runs import RunDirectory, RunHistory

LOSS_KEYS = frozenset(
    {"final_loss", "last_loss", "final_val_loss", "best_val_loss", "final_perplexity", "final_accuracy"}
)
_VALUES_SHOWN = 4
_RESOLVED = "resolved."
SPEED_KEYS = frozenset({"mean_mfu", "mean_tokens_per_sec"})


@dataclass(frozen=True)
class MetricRow:
    """One metric of every run, as stored (not scaled by `metric.factor`).

    deltas: relative change against the baseline, 0.1 is 10 % more; None for the baseline itself and wherever it means
    nothing. best: index of the best run, None when there is no better or no other. baseline: index of that run.
    spreads, counts: of groups of runs, whose mean a value is, the standard deviation and how many runs have it.
    """

    metric: Metric
    values: list[float | None]
    deltas: list[float | None]
    best: int | None
    baseline: int = 0
    spreads: list[float | None] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def value_text(self, index: int) -> str:
        """The value of a run with its unit, of a group with its spread: `47.2 ± 0.3 %`."""
        text = self.metric.text(self.values[index])
        spread = self.spreads[index] if self.spreads else None
        if spread is None:
            return text
        deviation, unit = self.metric.text(spread), f" {self.metric.unit}"
        both = len(unit) > 1 and text.endswith(unit) and deviation.endswith(unit)
        return f"{text.removesuffix(unit)} ± {deviation}" if both else f"{text} ± {deviation}"

    def delta_text(self, index: int) -> str:
        """The difference of a run to the baseline as tables show it, empty where there is none.

        `−7.6 %`; of a metric in per cent the points, `+1.5 pt`; from ten times more on the ratio, `397×`.
        """
        delta, value, reference = self.deltas[index], self.values[index], self.values[self.baseline]
        if delta is None or value is None or reference is None:
            return ""
        if self.metric.unit == "%":
            return _signed(self.metric.factor * (value - reference), "pt")
        return f"{1 + delta:,.0f}×" if delta >= 10 else _signed(100 * delta, "%")


def _signed(value: float, unit: str) -> str:
    text = f"{value:+.1f} {unit}".replace("-", "−")
    return text[1:] if text[1:] == f"0.0 {unit}" else text


@dataclass(frozen=True)
class ConfigRow:
    """A key whose values differ, one text a run."""

    key: str
    values: list[str]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, or groups of runs. at: the point of an axis at which they were compared, None for their ends.

    groups: the names of the runs in each group; empty where each column is one run, which alone have summaries.
    """

    names: list[str]
    baseline: int
    at: tuple[Axis, float] | None
    summaries: list[Summary]
    metrics: list[MetricRow]
    config: list[ConfigRow]
    verdict: list[str]
    groups: list[list[str]] = field(default_factory=list)
    broken_lines: list[int] = field(default_factory=list)
    """How many lines of the logs of each column could not be read."""
    unconfigured: list[bool] = field(default_factory=list)
    """For each column whether a log in it holds no configuration, as many logs of other tools."""

    @property
    def configuration_note(self) -> str:
        """Where no configuration key differs: whether all have the same, or whether that is unknown."""
        if self.config or len(self.names) < 2:
            return ""
        names = [name for name, unknown in zip(self.names, self.unconfigured, strict=True) if unknown]
        if not names:
            return "the same in all runs"
        if len(names) == len(self.names):
            return "unknown (the logs hold none)"
        return f"unknown (none in the log of {_listed(names)})"


def compare_runs(
    runs: Sequence[tuple[str, RunHistory]], *, baseline: int = 0, at: tuple[str, float] | None = None
) -> Comparison:
    """Compare named runs by their outcomes, or at the same point of an axis: `at=("tokens", 1e9)`.

    Metrics that no run has are left out. Losses of different tokenizers get no delta and no best, for they are not
    measured in the same unit. Raises ValueError for no runs, a baseline that is none of them, or an unknown axis.
    """
    if not runs:
        raise ValueError("There is nothing to compare: name at least one run.")
    if not 0 <= baseline < len(runs):
        raise ValueError(f"The baseline is run {baseline} of {len(runs)}.")
    point = None if at is None else (as_axis(at[0]), at[1])
    names, histories = [name for name, _ in runs], [history for _, history in runs]
    summaries = [summarize(history, point) for history in histories]
    configs = [resolved_config(history.run) for history in histories]
    return Comparison(
        names=names,
        baseline=baseline,
        at=point,
        summaries=summaries,
        metrics=[
            *metric_rows(histories, [[summary] for summary in summaries], baseline, point),
            *own_rows([[history] for history in histories], baseline, point),
        ],
        config=config_rows([[config] for config in configs]),
        verdict=[*unread_sentences(names, histories), *verdict(names, histories, summaries, point)],
        broken_lines=[history.broken_count for history in histories],
        unconfigured=[not is_configured(config) for config in configs],
    )


def unread_sentences(names: Sequence[str], histories: Sequence[RunHistory]) -> list[str]:
    """A caution for each run of whose log not every line could be read."""
    return [
        f"{name}: {unread_lines(history.broken_count)}, so its numbers may be incomplete."
        for name, history in zip(names, histories, strict=True)
        if history.broken_count
    ]


def shared_point(histories: Sequence[RunHistory], axis: Axis) -> tuple[Axis, float] | None:
    """The farthest point of an axis that every run with steps has reached; None where there is none."""
    ends = [end_of(history, axis) for history in histories if len(history.steps)]
    reached = [end for end in ends if end is not None]
    return (axis, min(reached)) if reached and len(reached) == len(ends) else None


def equally_far(histories: Sequence[RunHistory], point: tuple[Axis, float]) -> bool:
    """Whether all runs end at this point, so that nothing is gained by comparing there."""
    ends = [end_of(history, point[0]) for history in histories if len(history.steps)]
    return all(end is not None and end - point[1] <= SLACK * abs(point[1]) for end in ends)


def end_of(history: RunHistory, axis: Axis) -> float | None:
    """Where a run ends on an axis; None without a finite position."""
    x = x_values(history, axis)
    finite = x[np.isfinite(x)]
    return float(finite[-1]) if len(finite) else None


def metrics_at(histories: Sequence[RunHistory], point: tuple[Axis, float] | None) -> list[Metric]:
    """The metrics of a comparison. At a point nothing is final, and what no evaluation measured there says so."""
    if point is None:
        return list(SUMMARY_METRICS)
    note = ", interpolated" if any(_between_evaluations(history, *point) for history in histories) else ""
    return [
        replace(metric, title=metric.title.removeprefix("final ") + note)
        if metric.key in ("final_val_loss", "final_perplexity")
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


def as_axis(name: str) -> Axis:
    """The axis with this name; raises ValueError for another name."""
    if name not in AXES:
        raise ValueError(f"{name!r} is not an x axis; known: {', '.join(AXES)}.")
    return name


def display_names(runs: Sequence[tuple[RunDirectory, RunHistory]]) -> list[str]:
    """A short name for each run, made unique by the end of its id where several share one."""
    plain = [history.run.name if history.run else directory.run_id for directory, history in runs]
    counts = Counter(plain)
    names = [
        f"{name} ({directory.run_id.rsplit('-', 1)[-1]})" if counts[name] > 1 else name
        for name, (directory, _) in zip(plain, runs, strict=True)
    ]
    if len(set(names)) == len(names):
        return names
    return [f"{name} #{number}" for number, name in enumerate(names, start=1)]


def metric_rows(
    histories: Sequence[RunHistory],
    columns: Sequence[Sequence[Summary]],
    baseline: int,
    point: tuple[Axis, float] | None,
) -> list[MetricRow]:
    """The metrics that any run has. columns: the summaries of one run, or of a group whose mean is shown."""
    comparable = losses_are_comparable(histories)
    # Of groups the spread of the runs says more than the scatter of their step times.
    scatter = max((column[0].step_time_scatter or 0.0 for column in columns if len(column) == 1), default=0.0)
    rows = (
        _metric_row(
            metric,
            [[getattr(summary, metric.key) for summary in column] for column in columns],
            baseline,
            ranked=comparable or metric.key not in LOSS_KEYS,
            scatter=scatter,
        )
        for metric in metrics_at(histories, point)
    )
    return [row for row in rows if any(value is not None for value in row.values)]


def own_rows(
    columns: Sequence[Sequence[RunHistory]], baseline: int, point: tuple[Axis, float] | None
) -> list[MetricRow]:
    """The newest values of the metrics of one's own that several runs have, of a run alone all; none of them is best.

    columns: the logs of one run, or of a group whose mean is shown. point: where the newest value is that before it.
    """
    names = Counter(name for column in columns for history in column for name in own_metrics([history]))
    least = min(2, sum(map(len, columns)))
    return [
        _metric_row(replace(metric_of(name), better=None), values, baseline)
        for name in own_metrics(history for column in columns for history in column)
        if names[name] >= least
        for values in [[[_own_value(history, name, point) for history in column] for column in columns]]
    ]


def _own_value(history: RunHistory, name: str, point: tuple[Axis, float] | None) -> float | None:
    if point is None:
        return newest_own(history, name)
    rows = rows_until(history, *point)
    steps, values = own_values(history, name)
    before = int(np.searchsorted(steps, history.steps["step"][rows - 1], "right")) if rows else 0
    return float(values[before - 1]) if before else None


def _metric_row(
    metric: Metric,
    raw: Sequence[Sequence[float | None]],
    baseline: int,
    *,
    ranked: bool = True,
    scatter: float = 0.0,
) -> MetricRow:
    measured = [[float(value) for value in column if value is not None] for column in raw]
    values = [sum(column) / len(column) if column else None for column in measured]
    reference = values[baseline]
    deltas = [
        value / reference - 1
        if ranked and index != baseline and value is not None and reference and math.isfinite(value / reference)
        else None
        for index, value in enumerate(values)
    ]
    best = best_of(metric, values, scatter) if ranked else None
    spreads = [
        statistics.stdev(column) if len(column) > 1 and all(map(math.isfinite, column)) else None for column in measured
    ]
    return MetricRow(metric, values, deltas, best, baseline, spreads, [len(column) for column in measured])


def best_of(metric: Metric, values: Sequence[float | None], scatter: float = 0.0) -> int | None:
    """The index of the best value.

    None where there is no better and no other, where the two best read alike, and for a speed where they differ by less
    than the relative scatter of the step times.
    """
    finite = [(value, index) for index, value in enumerate(values) if value is not None and math.isfinite(value)]
    if metric.better is None or len(finite) < 2:
        return None
    (best, index), (second, _) = sorted(finite, reverse=metric.better == "higher")[:2]
    if metric.text(best) == metric.text(second):
        return None
    return None if metric.key in SPEED_KEYS and abs(best - second) < scatter * abs(second) else index


def resolved_config(run: Run | None) -> dict[str, Any]:
    """The config of a run by dotted keys, and what `auto` and the machine made of it as far as known."""
    if run is None:
        return {}
    config = {key: value for key, value in flatten(run.config).items() if key not in ("name", "preset")}
    resolved = {
        "device": run.hardware.device if run.hardware else None,
        "processes": run.parallel.world_size if run.parallel else None,
        "strategy": run.parallel.strategy if run.parallel else None,
        "dtype": run.dtype,
        "compile": run.compile,
        "attention": run.attention_backend,
        "torch": run.software.torch if run.software else None,
        "git_commit": run.software.git_commit if run.software else None,
    }
    return config | {f"{_RESOLVED}{key}": value for key, value in resolved.items() if value is not None}


def is_configured(config: Mapping[str, Any]) -> bool:
    """Whether a resolved config has keys that the log's writer was given."""
    return any(not key.startswith(_RESOLVED) for key in config)


def config_rows(columns: Sequence[Sequence[Mapping[str, Any]]]) -> list[ConfigRow]:
    """Keys in which any two runs differ. columns: the configurations of one run, or of a group.

    A run without a configuration differs in no key that its log lacks; its values there are `n/a`.
    """
    configs = [config for column in columns for config in column]
    rows = []
    for key in dict.fromkeys(key for config in configs for key in config):
        values = [config.get(key) for config in configs if _is_known(key, config)]
        if any(value != values[0] for value in values[1:]):
            rows.append(ConfigRow(key, [_column_text(key, column) for column in columns]))
    return rows


def _is_known(key: str, config: Mapping[str, Any]) -> bool:
    """Whether the log says what the key is, or that it is unset."""
    return key in config or is_configured(config)


def _column_text(key: str, column: Sequence[Mapping[str, Any]]) -> str:
    return _listed(list(dict.fromkeys(config_text(key, config) for config in column)))


def config_text(key: str, config: Mapping[str, Any]) -> str:
    """The value of a key in a resolved config, `n/a` where the log holds no configuration."""
    return units.config_value(config.get(key)) if _is_known(key, config) else NOT_AVAILABLE


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _VALUES_SHOWN
    return ", ".join(texts[:_VALUES_SHOWN]) + (f" and {more} more" if more > 0 else "")
