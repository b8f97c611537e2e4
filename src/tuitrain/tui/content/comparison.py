"""The comparison of runs as lines: who takes part, who is better, metrics with deltas, differing config keys."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from tuitrain.analysis.compare import Comparison, MetricRow, compare_runs, equally_far, shared_point
from tuitrain.analysis.series import Axis
from tuitrain.analysis.verdict import position
from tuitrain.events.text import clean
from tuitrain.plots.groups import cached_comparison, group_members, grouped
from tuitrain.plots.request import run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.runs import RunHistory
from tuitrain.tui.content.headline import STATUS_MARKS, STATUS_ROLES
from tuitrain.tui.content.table import Column, table
from tuitrain.tui.content.tabs import Tab
from tuitrain.tui.text import Line, Span, crop, fit, join, line, width, wrap
from tuitrain.tui.view_state import ViewState

_LEAST_CONFIG_CELLS = 60
_METRIC_CELLS = 24
"""Cells that the names of the metrics need beside the columns of the runs."""
_AT_THE_SAME = (
    "final_loss", "final_val_loss", "best_val_loss", "final_perplexity", "final_accuracy", "training_time_s",
    "total_tokens", "total_flops",
)  # fmt: skip
"""What is worth knowing of runs at the same point."""


def comparison_of(state: ViewState) -> Comparison:
    """The runs on the screen, or their groups, against the baseline."""
    if (groups := grouped(state)) is not None:
        return groups
    found = cached_comparison(state, "end", lambda runs, baseline: compare_runs(runs, baseline=baseline))
    assert found is not None
    return found


def comparison_at_shared(state: ViewState) -> Comparison | None:
    """The same at the farthest point of the axis that all runs have come to; None where all end there, or none is."""

    def make(runs: Sequence[tuple[str, RunHistory]], baseline: int) -> Comparison | None:
        histories = [history for _, history in runs]
        point = shared_point(histories, compare_axis(state))
        if point is None or equally_far(histories, point):
            return None
        groups = group_members(state, runs, baseline, point) if state.group_by else None
        return groups or compare_runs(runs, baseline=baseline, at=point)

    return cached_comparison(state, f"{compare_axis(state)} {state.group_by}", make)


def compare_axis(state: ViewState) -> Axis:
    """The axis on which runs are aligned. The clock aligns nothing: runs of different days have no time in common."""
    return "time" if state.x == "clock" else state.x


def title_lines(state: ViewState, cells: int, next_key: str) -> list[Line]:
    """The runs with colour, glyph, status and step; below, what deltas are taken against and who is better."""
    if not state.runs:
        return [fit(line(" ", Span("no runs to compare", "quiet")), cells), fit((), cells)]
    compared = grouped(state)
    for long in (True, False):
        if compared is not None:
            groups = [
                line(Span(f"{mark} ", role), Span(clean(name), "run.name"))
                for mark, role, name in _heads(state, compared)
            ]
        else:
            groups = [_participant(state, index, long) for index in range(len(state.runs))]
        first = line(" ", *join(groups, line("    " if long else "  ")))
        if width(first) <= cells:
            break
    return [fit(first, cells), fit(_second_line(state, next_key), cells)]


def _heads(state: ViewState, compared: Comparison) -> list[tuple[str, str, str]]:
    """Glyph, role and name of each run or group."""
    indices = range(len(compared.groups)) if compared.groups else [view.index for view in state.runs]
    return [(glyph(index), run_role(index), name) for index, name in zip(indices, compared.names, strict=True)]


def _participant(state: ViewState, index: int, long: bool) -> Line:
    view = state.runs[index]
    mark, step = STATUS_MARKS.get(view.status, "●"), view.history.step
    reading = "" if view.reading is None else f" · reading {100 * view.reading:.0f} %"
    return line(
        Span(f"{glyph(view.index)} ", run_role(view.index)),
        Span(run_names(state.runs)[index], "run.name"),
        Span(f" {mark} {view.status}" if long else f" {mark}", STATUS_ROLES[view.status]),
        Span("" if step is None or not long else f" · step {step:,}", "quiet"),
        Span(reading, "warn"),
    )


def _second_line(state: ViewState, next_key: str) -> Line:
    """What deltas are taken against, and the first sentence of the verdict."""
    compared = comparison_of(state)
    base = compared.names[compared.baseline]
    left = line(" ", Span("deltas against ", "quiet"), Span(base, "value"), Span(f" ({next_key}: next)", "quiet"))
    return (*left, Span("   "), Span(clean(compared.verdict[0]), "value")) if compared.verdict else left


def metrics_lines(state: ViewState, cells: int) -> list[Line]:
    """The verdict, then every metric of every run with its difference from the baseline; config beside it."""
    if not state.runs:
        return [line(" ", Span("nothing to compare", "quiet"))]
    compared = comparison_of(state)
    # A first sentence that stands whole in the header is not said again.
    said = 1 if width(_second_line(state, " ")) <= cells else 0
    lines = [line(" ", row) for sentence in compared.verdict[said:] for row in wrap(clean(sentence), cells - 2)]
    lines += [()] if lines else []
    metrics = _metrics_table(state, compared, comparison_at_shared(state), cells - 2)
    left = max(width(row) for row in metrics) + 4
    room = cells - left - 1
    if room < _LEAST_CONFIG_CELLS:
        return [*lines, *(line(" ", *row) for row in metrics)]
    config = _config_table(state, compared, room)
    rows = zip_longest(metrics, config, fillvalue=())
    return [*lines, *(line(" ", *fit(metric, left), *differing) for metric, differing in rows)]


def _metrics_table(state: ViewState, compared: Comparison, shared: Comparison | None, cells: int) -> list[Line]:
    """The metrics at the ends of the runs, then those at the farthest point that all have reached."""
    columns = [Column("mean ± std at the end" if compared.groups else "at the end of each run")]
    heads = _heads(state, compared)
    # Where names do not fit, a glyph stands for its run: the header says which is which.
    named = _METRIC_CELLS + sum(len(name) + 4 for _, _, name in heads) <= cells
    for index, (mark, role, name) in enumerate(heads):
        title = f"{mark} {name}" if named else mark
        columns.append(Column(title, right=True, longest=32, role=role))
        if index != compared.baseline:
            columns.append(Column("Δ", right=True, rank=1))
    rows = [_metric_row(row, compared.baseline) for row in compared.metrics]
    same = [row for row in shared.metrics if row.metric.key in _AT_THE_SAME] if shared is not None else []
    heading, body = table(columns, [*rows, *(_metric_row(row, compared.baseline) for row in same)], cells)
    if shared is None or shared.at is None:
        return [heading, *body]
    point = line(Span(f"at {position(*shared.at)}, which all have reached", "quiet"))
    return [heading, *body[: len(rows)], (), crop(point, cells), *body[len(rows) :]]


def _metric_row(row: MetricRow, baseline: int) -> list[Line]:
    cells = [line(Span(row.metric.title, "quiet"))]
    for index, value in enumerate(row.values):
        best = index == row.best
        role = "quiet" if value is None else "good" if best else "value"
        cells.append(line(Span(row.value_text(index), role)))
        if index != baseline:
            cells.append(line(Span(row.delta_text(index), "quiet")))
    return cells


def config_lines(state: ViewState, cells: int) -> list[Line]:
    """The config keys in which the runs differ; what is not as in the baseline stands out."""
    if not state.runs:
        return [line(" ", Span("nothing to compare", "quiet"))]
    return [line(" ", *row) for row in _config_table(state, comparison_of(state), cells - 2)]


def _config_table(state: ViewState, compared: Comparison, cells: int) -> list[Line]:
    if not compared.config:
        return [line(Span("all runs have the same configuration", "quiet"))]
    columns = [Column("config")]
    columns += [Column(f"{mark} {name}", longest=36, role=role) for mark, role, name in _heads(state, compared)]
    rows = []
    for row in compared.config:
        base = row.values[compared.baseline]
        shown = [line(Span(clean(value), "value" if value == base else "accent")) for value in row.values]
        rows.append([line(Span(row.key, "quiet")), *shown])
    heading, body = table(columns, rows, cells)
    return [crop(each, cells) for each in (heading, *body)]


COMPARE_TABS: tuple[Tab, ...] = (
    Tab("metrics", "Metrics", metrics_lines),
    Tab("config", "Config", config_lines),
)
