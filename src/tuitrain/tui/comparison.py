"""The comparison of runs as lines: who takes part, the table of metrics, the table of differing config keys."""

from __future__ import annotations

from itertools import zip_longest

from tuitrain.analysis.compare import Comparison, MetricRow, compare_runs
from tuitrain.tui.headline import STATUS_MARKS, STATUS_ROLES
from tuitrain.tui.state import Board, names
from tuitrain.tui.table import Column, table
from tuitrain.tui.tabs import Tab
from tuitrain.tui.text import Line, Span, clean, crop, fit, join, line, width, wrap
from tuitrain.tui.theme import glyph, run_role

_LEAST_CONFIG_CELLS = 60


def comparison_of(board: Board) -> Comparison:
    """The runs on the screen against the baseline."""
    runs = [(name, view.history) for name, view in zip(names(board.views), board.views, strict=True)]
    return compare_runs(runs, baseline=min(board.baseline, len(runs) - 1))


def title_lines(board: Board, cells: int) -> list[Line]:
    """The runs with colour, glyph, status and step; below, what deltas are taken against."""
    if not board.views:
        return [fit(line(" ", Span("no runs to compare", "quiet")), cells), fit((), cells)]
    labels = names(board.views)
    for long in (True, False):
        groups = []
        for view, name in zip(board.views, labels, strict=True):
            mark = STATUS_MARKS.get(view.status, "●")
            step = view.history.step
            groups.append(
                line(
                    Span(f"{glyph(view.index)} ", run_role(view.index)),
                    Span(name, "run.name"),
                    Span(f" {mark} {view.status}" if long else f" {mark}", STATUS_ROLES[view.status]),
                    Span("" if step is None or not long else f" · step {step:,}", "quiet"),
                )
            )
        first = line(" ", *join(groups, line("    " if long else "  ")))
        if sum(len(span.text) for span in first) <= cells:
            break
    base = labels[min(board.baseline, len(labels) - 1)]
    second = line(" ", Span("deltas against ", "quiet"), Span(base, "value"), Span(" (b: next)", "quiet"))
    return [fit(first, cells), fit(second, cells)]


def metrics_lines(board: Board, cells: int) -> list[Line]:
    """The verdict, then every metric of every run with its difference from the baseline; config beside it."""
    if not board.views:
        return [line(" ", Span("nothing to compare", "quiet"))]
    compared = comparison_of(board)
    lines = [line(" ", row) for sentence in compared.verdict for row in wrap(clean(sentence), cells - 2)]
    lines += [()] if lines else []
    metrics = _metrics_table(board, compared, cells - 2)
    left = max(width(row) for row in metrics) + 4
    room = cells - left - 1
    if room < _LEAST_CONFIG_CELLS:
        return [*lines, *(line(" ", *row) for row in metrics)]
    config = _config_table(board, compared, room)
    rows = zip_longest(metrics, config, fillvalue=())
    return [*lines, *(line(" ", *fit(metric, left), *differing) for metric, differing in rows)]


def _metrics_table(board: Board, compared: Comparison, cells: int) -> list[Line]:
    columns = [Column("metric")]
    for index, name in enumerate(compared.names):
        columns.append(Column(f"{glyph(board.views[index].index)} {name}", right=True, longest=32))
        if index != compared.baseline:
            columns.append(Column("Δ", right=True, rank=1))
    heading, body = table(columns, [_metric_row(row, compared.baseline) for row in compared.metrics], cells)
    return [heading, *body]


def _metric_row(row: MetricRow, baseline: int) -> list[Line]:
    cells = [line(Span(row.metric.title, "quiet"))]
    for index, value in enumerate(row.values):
        best = index == row.best
        role = "quiet" if value is None else "good" if best else "value"
        cells.append(line(Span(row.metric.text(value), role)))
        if index != baseline:
            cells.append(line(Span(row.delta_text(index), "quiet")))
    return cells


def config_lines(board: Board, cells: int) -> list[Line]:
    """The config keys in which the runs differ; what is not as in the baseline stands out."""
    if not board.views:
        return [line(" ", Span("nothing to compare", "quiet"))]
    return [line(" ", *row) for row in _config_table(board, comparison_of(board), cells - 2)]


def _config_table(board: Board, compared: Comparison, cells: int) -> list[Line]:
    if not compared.config:
        return [line(Span("all runs have the same configuration", "quiet"))]
    columns = [Column("config")]
    for view, name in zip(board.views, compared.names, strict=True):
        columns.append(Column(f"{glyph(view.index)} {name}", longest=36))
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
