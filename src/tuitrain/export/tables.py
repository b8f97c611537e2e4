"""A comparison as text: a table for the terminal, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.metric_rows import BEST, MetricRow
from tuitrain.export import markdown
from tuitrain.export.documents import json_text
from tuitrain.export.errors import ExportError
from tuitrain.export.grids import Grid, comparison_grids, comparison_sentences
from tuitrain.export.latex import latex
from tuitrain.text import clean

_ANY_WIDTH = 100_000
_GAP = 2
_LEAST_TITLE, _LEAST_NAME, _MOST = 16, 12, 32
"""Widths in a table that is too wide: at least of the titles of its rows and of the name of a run, at most of a run."""
FORMATS = ("table", "json", "markdown", "csv", "latex")


def render_comparison(
    comparison: Comparison,
    fmt: str = "table",
    width: int = 120,
    color: bool = False,
    run_ids: Sequence[str] = (),
) -> str:
    """The comparison in a format, with a newline at its end. width (columns) and color are for the table.

    run_ids: of the runs, by which json has their values.

    The table, Markdown and LaTeX show values with their units, csv and json the values as stored. Raises ExportError
    for an unknown format.
    """
    match fmt:
        case "table":
            return _as_text(comparison, width, color)
        case "markdown":
            return _as_markdown(comparison)
        case "csv":
            return _as_csv(comparison)
        case "latex":
            return latex(comparison)
        case "json":
            return json_text(as_dict(comparison, run_ids))
    raise ExportError(f"{fmt!r} is not a format of a comparison; known: {', '.join(FORMATS)}.")


def as_dict(comparison: Comparison, run_ids: Sequence[str] = ()) -> dict[str, Any]:
    """The comparison as plain data, by run id; by the names of runs or groups where no ids tell them apart."""
    unique = len(set(run_ids)) == len(comparison.names) and not comparison.groups
    keys = list(run_ids) if unique else comparison.names

    def by_run(values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(keys, values, strict=True))

    def metrics(rows: Sequence[MetricRow]) -> list[dict[str, Any]]:
        return [
            {
                "key": row.metric.key,
                "title": row.metric.title,
                "unit": "" if row.metric.factor != 1 else row.metric.unit,
                "better": row.metric.better,
                "values": by_run(row.values),
                **(_of_groups(row, by_run) if comparison.groups else {}),
                "deltas": by_run(row.deltas),
                "best": None if row.best is None else keys[row.best],
            }
            for row in rows
        ]

    return {
        "runs": by_run(comparison.names),
        "baseline": keys[comparison.baseline],
        "at": None if comparison.at is None else {comparison.at[0]: comparison.at[1]},
        "metrics": metrics(comparison.metrics),
        "config": [{"key": row.key, "values": by_run(row.values)} for row in comparison.config],
        "unconfigured": [key for key, unknown in zip(keys, comparison.unconfigured, strict=True) if unknown],
        **({"groups": by_run(comparison.groups)} if comparison.groups else {}),
        "broken_lines": by_run(comparison.broken_lines) if comparison.broken_lines else {},
        "verdict": comparison.verdict,
        "findings": comparison.findings,
        "speed": metrics(comparison.speed),
        "scaling": None if comparison.scaling is None else asdict(comparison.scaling),
    }


def _of_groups(row: MetricRow, by_run: Callable[[Sequence[Any]], dict[str, Any]]) -> dict[str, Any]:
    tests = [None if test is None else {"t": test.t, "df": test.df, "p": test.p} for test in row.tests]
    return {"spreads": by_run(row.spreads), "counts": by_run(row.counts), "tests": by_run(tests)}


def _as_text(comparison: Comparison, width: int, color: bool) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None,
        legacy_windows=False, emoji=False, markup=False, highlight=False,
    )  # fmt: skip
    parts: list[Table | Text] = []
    for grid in comparison_grids(comparison):
        for table in _tables(grid, console):
            parts += [table, Text()]
    for sentences in comparison_sentences(comparison):
        parts += [*(Text(clean(sentence)) for sentence in sentences), Text()]
    console.print(Group(*parts[:-1]))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _tables(grid: Grid, console: Console) -> list[Table]:
    """One table where it fits; else the differences stand below the values, and runs that do not fit side by side
    are in tables of their own."""
    table = _rich_table(grid)
    if console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum <= console.width:
        return [table]
    return [_rich_table(part, console.width) for part in _parts(grid, console.width)]


def _parts(grid: Grid, width: int) -> list[Grid]:
    """The columns of a grid by what fits into a width, each time beside the titles of the rows."""
    parts, free = [[0]], 0
    for column in range(1, len(grid[0])):
        need = _width_of(grid, column) + _GAP
        if column == 1 or need > free:
            parts = [[0]] if column == 1 else [*parts, [0]]
            free = width - _LEAST_TITLE - _GAP
        parts[-1].append(column)
        free -= need
    return [[[row[column] for column in part] for row in grid] for part in parts]


def _width_of(grid: Grid, column: int) -> int:
    """The width that the values of a column, their differences and the name, which may be wrapped, need."""
    mark = len(BEST) + 1 if any(cell.best for row in grid for cell in row) else 0
    values = (max(cell_len(clean(row[column].text)), len(row[column].delta)) + mark for row in grid[1:])
    return min(max(min(cell_len(clean(grid[0][column].text)), _LEAST_NAME), *values), _MOST)


def _rich_table(grid: Grid, stacked_in: int | None = None) -> Table:
    """stacked_in: the width of a table whose differences stand below the values; names of runs are wrapped."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    widths: list[int | None] = [None] * len(grid[0])
    if stacked_in is not None:
        values = [_width_of(grid, column) for column in range(1, len(grid[0]))]
        longest = max(cell_len(clean(row[0].text)) for row in grid)
        widths = [max(_LEAST_TITLE, min(longest, stacked_in - sum(values) - _GAP * len(values))), *values]
    for number, (head, width) in enumerate(zip(grid[0], widths, strict=True)):
        justify: Literal["right", "left"] = "right" if number else "left"
        table.add_column(Text(clean(head.text)), justify=justify, overflow="fold", width=width)
    has_best = any(cell.best for row in grid for cell in row)
    wide = max((len(cell.delta) for row in grid for cell in row), default=0)
    for first, *cells in grid[1:]:
        texts = [Text(clean(first.text))]
        has_delta = any(cell.delta for cell in cells)
        for cell in cells:
            text = Text(clean(cell.text), style="bold green" if cell.best else "")
            if has_best:
                text.append(f" {BEST}" if cell.best else "  ")
            if has_delta and stacked_in is not None:
                text.append(f"\n{cell.delta}{'  ' if has_best else ''}", style="dim")
            elif has_delta:
                text.append(f" {cell.delta:>{max(wide, 8)}}", style="dim")
            texts.append(text)
        table.add_row(*texts)
    return table


def _as_markdown(comparison: Comparison) -> str:
    parts = [markdown.table(grid) for grid in comparison_grids(comparison)]
    parts += [markdown.sentences(each) for each in comparison_sentences(comparison)]
    return "\n\n".join(parts) + "\n"


def _as_csv(comparison: Comparison) -> str:
    """One row for each metric, each differing key and each part of the speeds; a column a run. Unknown is empty.

    Of groups the values are means, and rows of the kind `std` follow with their standard deviations.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["kind", "key", "unit", *comparison.names])

    def write(kind: str, rows: Sequence[MetricRow]) -> None:
        for row in rows:
            unit = "" if row.metric.factor != 1 else row.metric.unit
            for name, values in ((kind, row.values), *((("std", row.spreads),) if comparison.groups else ())):
                writer.writerow([name, row.metric.key, unit, *("" if value is None else value for value in values)])

    write("metric", comparison.metrics)
    for difference in comparison.config:
        writer.writerow(["config", difference.key, "", *difference.values])
    write("speed", comparison.speed)
    return file.getvalue()
