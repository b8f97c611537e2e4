"""Several runs side by side: outcomes, differences of their configurations, and a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tuitrain.analysis.comparability import LOSS_KEYS, is_ranked
from tuitrain.analysis.config_rows import ConfigRow, config_rows, is_configured, listed_values, resolved_config
from tuitrain.analysis.description import unread_lines
from tuitrain.analysis.findings import best_sentences, speed_sentences
from tuitrain.analysis.metric_rows import MetricRow, metric_rows, own_rows, summary_rows
from tuitrain.analysis.points import Point, as_point
from tuitrain.analysis.power_law import Scaling
from tuitrain.analysis.scaling import scaling
from tuitrain.analysis.speed import account, named_accounts, speed_rows
from tuitrain.analysis.summary import Summary, summarize
from tuitrain.analysis.targets import axis_points, crossing_rows, crossing_sentences, crossings
from tuitrain.analysis.verdict import verdict
from tuitrain.runs import RunDirectory, RunHistory

T = TypeVar("T")
NOT_ON_TARGET = (LOSS_KEYS - {"final_accuracy"}) | {
    "training_time_s", "total_tokens", "total_flops", "gpu_hours", "cost_usd", "generalization_gap",
}  # fmt: skip
"""Keys of `Summary` that add nothing for runs at the same loss: losses, and what was spent by then."""


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, or groups of runs. at: the point at which they were compared, None for their ends.

    groups: the names of the runs in each group; empty where each column is one run, which alone have summaries.
    """

    names: list[str]
    baseline: int
    at: Point | None
    summaries: list[Summary]
    metrics: list[MetricRow]
    config: list[ConfigRow]
    verdict: list[str]
    groups: list[list[str]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    """The best of each metric, why the speeds differ, how the loss falls with compute."""
    speed: list[MetricRow] = field(default_factory=list)
    """What the speeds are made of, where it differs."""
    scaling: Scaling | None = None
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
        return f"unknown (none in the log of {listed_values(names)})"


def compare_runs(
    runs: Sequence[tuple[str, RunHistory]],
    *,
    baseline: int = 0,
    at: tuple[str, float] | None = None,
    usd_per_gpu_hour: float | None = None,
) -> Comparison:
    """Compare named runs by their outcomes, at the same point of an axis, `at=("tokens", 1e9)`, or where each of them
    first came down to a loss, `at=("val_loss", 2.5)`.

    Metrics that no run has are left out. Losses of different tokenizers get no delta and no best, for they are not
    measured in the same unit. Raises ValueError for no runs, a baseline that is none of them, or an unknown point.
    """
    if not runs:
        raise ValueError("There is nothing to compare: name at least one run.")
    if not 0 <= baseline < len(runs):
        raise ValueError(f"The baseline is run {baseline} of {len(runs)}.")
    point = None if at is None else as_point(*at)
    names, histories = [name for name, _ in runs], [history for _, history in runs]
    found = outcomes(runs, point, names, [[index] for index in range(len(runs))], baseline, usd_per_gpu_hour)
    configs = [resolved_config(history) for history in histories]
    return Comparison(
        names=names,
        baseline=baseline,
        at=point,
        summaries=found.summaries,
        metrics=found.rows,
        config=config_rows([[config] for config in configs]),
        verdict=[
            *unread_sentences(names, histories),
            *verdict(names, histories, found.summaries, point, found.on_target),
        ],
        findings=found.findings,
        speed=found.speed,
        scaling=found.scaling,
        broken_lines=[history.broken_count for history in histories],
        unconfigured=[not is_configured(config) for config in configs],
    )


@dataclass(frozen=True)
class Outcomes:
    """What runs reached, at their ends or at a point, and what follows from it: see `Comparison`.

    rows: of each column; on_target: which run reached a loss first.
    """

    summaries: list[Summary]
    rows: list[MetricRow]
    on_target: list[str]
    findings: list[str]
    speed: list[MetricRow]
    scaling: Scaling | None


def outcomes(
    runs: Sequence[tuple[str, RunHistory]],
    at: Point | None,
    columns: Sequence[str],
    members: Sequence[Sequence[int]],
    baseline: int,
    usd_per_gpu_hour: float | None = None,
) -> Outcomes:
    """The outcomes of named runs in named columns, each of one run or of a group. members: indices of its runs."""
    names, histories = [name for name, _ in runs], [history for _, history in runs]

    def arranged(values: Sequence[T]) -> list[list[T]]:
        return [[values[index] for index in column] for column in members]

    reached = crossings(histories, at, usd_per_gpu_hour)
    points = axis_points(at, reached, histories)
    summaries = [
        summarize(each, point, usd_per_gpu_hour=usd_per_gpu_hour) for each, point in zip(histories, points, strict=True)
    ]
    rows = [
        *metric_rows(histories, arranged(summaries), baseline, points),
        *own_rows(arranged(list(zip(histories, points, strict=True))), baseline),
        *(summary_rows(arranged(histories), baseline) if at is None else ()),
    ]
    spent, on_target = list[MetricRow](), list[str]()
    if at is not None and reached:
        spent = crossing_rows(arranged(reached), baseline, ranked=is_ranked(f"final_{at[0]}", histories))
        on_target = crossing_sentences(columns, spent, names, reached, at)
        rows = [row for row in rows if row.metric.key not in NOT_ON_TARGET]
    accounts = arranged([account(history, summary) for history, summary in zip(histories, summaries, strict=True)])
    law, on_scaling = scaling(histories, summaries) if at is None else (None, [])
    findings = [*best_sentences(columns, rows), *speed_sentences(named_accounts(columns, accounts)), *on_scaling]
    return Outcomes(summaries, [*spent, *rows], on_target, findings, speed_rows(accounts, baseline), law)


def unread_sentences(names: Sequence[str], histories: Sequence[RunHistory]) -> list[str]:
    """A caution for each run of whose log not every line could be read, by name."""
    return sorted(
        f"{name}: {unread_lines(history.broken_count)}, so its numbers may be incomplete."
        for name, history in zip(names, histories, strict=True)
        if history.broken_count
    )


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
