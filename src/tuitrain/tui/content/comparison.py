"""The comparison of runs: the runs in the header, the verdict, and the tables of metrics and of config keys."""

from __future__ import annotations

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.metric_rows import BEST, MetricRow
from tuitrain.analysis.points import as_target, position
from tuitrain.plots.groups import comparison_at, comparison_at_shared_point, grouped
from tuitrain.plots.request import run_names
from tuitrain.plots.roles import glyph, run_role
from tuitrain.text import clean
from tuitrain.tui.content.cells import Cells, Column
from tuitrain.tui.content.headline import status_span
from tuitrain.tui.text import Line, Span, join, line, width, wrap
from tuitrain.tui.view_state import ViewState

LEAST_CONFIG_CELLS = 60
"""Cells that the table of config keys needs beside the metrics."""
_METRIC_CELLS = 24
"""Cells that the names of the metrics need beside the columns of the runs."""
_AT_SHARED_POINT = (
    "final_loss", "final_val_loss", "best_val_loss", "final_perplexity", "final_accuracy", "training_time_s",
    "total_tokens", "total_flops",
)  # fmt: skip
"""The keys of the metrics that are compared at the farthest point that all runs have reached."""


def comparison_of(state: ViewState) -> Comparison:
    """The runs on the screen, or their groups, against the baseline, at their ends or at the chosen point."""
    return comparison_at(state, state.at)


def title_lines(state: ViewState, cells: int, next_key: str) -> list[Line]:
    """The runs with their status and step; below, the baseline of the deltas and the first sentence of the verdict."""
    if not state.runs:
        return [line(" ", Span("no runs to compare", "quiet")), ()]
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
    return [first, _second_line(state, next_key)]


def _heads(state: ViewState, compared: Comparison) -> list[tuple[str, str, str]]:
    """Glyph, role and name of each run or group."""
    indices = range(len(compared.groups)) if compared.groups else [view.index for view in state.runs]
    return [(glyph(index), run_role(index), name) for index, name in zip(indices, compared.names, strict=True)]


def _participant(state: ViewState, index: int, long: bool) -> Line:
    view = state.runs[index]
    step = view.history.step
    reading = "" if view.reading is None else f" · reading {100 * view.reading:.0f} %"
    return line(
        Span(f"{glyph(view.index)} ", run_role(view.index)),
        Span(run_names(state.runs)[index], "run.name"),
        " ",
        status_span(view.status, named=long),
        Span("" if step is None or not long else f" · step {step:,}", "quiet"),
        Span(reading, "warn"),
    )


def _second_line(state: ViewState, next_key: str) -> Line:
    """The baseline of the deltas, and the first sentence of the verdict."""
    compared = comparison_of(state)
    base = compared.names[compared.baseline]
    left = line(" ", Span("deltas against ", "quiet"), Span(base, "value"), Span(f" ({next_key}: next)", "quiet"))
    return (*left, Span("   "), Span(clean(compared.verdict[0]), "value")) if compared.verdict else left


def verdict_lines(state: ViewState, cells: int) -> list[Line]:
    """The sentences of the verdict, without the first one where the header shows all of it."""
    if not state.runs:
        return [line(" ", Span("nothing to compare", "quiet"))]
    first = 1 if width(_second_line(state, " ")) <= cells else 0
    sentences = comparison_of(state).verdict[first:]
    lines = [line(" ", row) for sentence in sentences for row in wrap(clean(sentence), cells - 2)]
    return [*lines, ()] if lines else []


def findings_lines(state: ViewState, cells: int) -> list[Line]:
    """The sentences of the verdict, then the findings; the further lines of a sentence are indented."""
    compared = comparison_of(state)
    lines: list[Line] = []
    for sentences in (compared.verdict, compared.findings):
        for sentence in sentences:
            first, *rest = wrap(clean(sentence), cells - 4)
            lines += [line(" ", first), *(line("   ", row) for row in rest)]
        lines += [()] if sentences else []
    return lines or [line(" ", Span("no findings: they compare several runs", "quiet")), ()]


def speed_table(state: ViewState, cells: int) -> tuple[list[Column], dict[str, Cells]]:
    """Columns and rows of what the speeds are made of, where it differs."""
    compared = comparison_of(state)
    columns = _columns(state, compared, "what the speeds are made of", cells)
    return columns, {row.metric.key: _metric_row(row, compared.baseline) for row in compared.speed}


def metrics_table(state: ViewState, cells: int) -> tuple[list[Column], dict[str, Cells]]:
    """Columns and rows of the metrics at the ends of the runs, then at the farthest point that all have reached.

    Each run has its value and its difference from the baseline; the best value is drawn as good, and has a mark.
    """
    compared, shared = comparison_of(state), comparison_at_shared_point(state) if state.at is None else None
    title = "mean ± std at the end" if compared.groups else "at the end of each run"
    if compared.at is not None:
        title = f"{'where each reached' if as_target(compared.at) else 'at'} {position(*compared.at)}"
        title = f"mean ± std {title}" if compared.groups else title
    columns = _columns(state, compared, title, cells)
    rows = {f"end {at}": _metric_row(row, compared.baseline) for at, row in enumerate(compared.metrics)}
    if shared is not None and shared.at is not None:
        point = line(Span(f"each run at {position(*shared.at)}", "quiet"))
        rows |= {"": [()] * len(columns), "shared": [point, *[()] * (len(columns) - 1)]}
        same = (row for row in shared.metrics if row.metric.key in _AT_SHARED_POINT)
        rows |= {f"shared {row.metric.key}": _metric_row(row, compared.baseline) for row in same}
    return columns, rows


def _columns(state: ViewState, compared: Comparison, title: str, cells: int) -> list[Column]:
    """The columns of a table of metrics: its title, then each run with its difference from the baseline."""
    columns = [Column("metric", title)]
    heads = _heads(state, compared)
    # Where the names do not fit, the glyph of a run replaces it, as in the header.
    named = _METRIC_CELLS + sum(len(name) + 4 for _, _, name in heads) <= cells
    for index, (mark, role, name) in enumerate(heads):
        columns.append(Column(str(index), f"{mark} {name}" if named else mark, right=True, longest=32, role=role))
        if index != compared.baseline:
            columns.append(Column(f"delta {index}", "Δ", right=True, rank=1))
    return columns


def _metric_row(row: MetricRow, baseline: int) -> Cells:
    cells = [line(Span(row.metric.title, "quiet"))]
    for index, value in enumerate(row.values):
        role = "quiet" if value is None else "good" if index == row.best else "value"
        # Before the value: blanks after it would be lost at the right edge.
        mark = f"{BEST} " if index == row.best else ""
        cells.append(line(Span(f"{mark}{row.value_text(index)}", role)))
        if index != baseline:
            cells.append(line(Span(row.delta_text(index), "quiet")))
    return cells


def config_table(state: ViewState) -> tuple[list[Column], dict[str, Cells]]:
    """Columns and rows of the config keys in which the runs differ; values other than the baseline's stand out."""
    compared = comparison_of(state)
    columns = [Column("key", "config")]
    if not compared.config:
        return columns, {"": [line(Span(clean(compared.configuration_note), "quiet"))]}
    for index, (mark, role, name) in enumerate(_heads(state, compared)):
        columns.append(Column(str(index), f"{mark} {name}", longest=36, role=role))
    rows: dict[str, Cells] = {}
    for row in compared.config:
        base = row.values[compared.baseline]
        values = [line(Span(clean(value), "value" if value == base else "accent")) for value in row.values]
        rows[row.key] = [line(Span(row.key, "quiet")), *values]
    return columns, rows
