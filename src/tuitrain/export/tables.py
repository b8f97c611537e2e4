"""A comparison as text: a table for the terminal, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.metric_rows import BEST, MetricRow
from tuitrain.events.text import clean
from tuitrain.export import markdown
from tuitrain.export.documents import json_text
from tuitrain.export.errors import ExportError
from tuitrain.export.grids import Grid, comparison_grids, comparison_sentences
from tuitrain.export.latex import latex

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
    parts: list[Table | Text] = []
    for grid in comparison_grids(comparison):
        parts += [_rich_table(grid), Text()]
    for sentences in comparison_sentences(comparison):
        parts += [*(Text(clean(sentence)) for sentence in sentences), Text()]
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None,
        legacy_windows=False, emoji=False, markup=False, highlight=False,
    )  # fmt: skip
    console.print(Group(*parts[:-1]))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _rich_table(grid: Grid) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, head in enumerate(grid[0]):
        table.add_column(Text(clean(head.text)), justify="right" if number else "left", overflow="fold")
    has_best = any(cell.best for row in grid for cell in row)
    wide = max((len(cell.delta) for row in grid for cell in row), default=0)
    for first, *cells in grid[1:]:
        texts = [Text(clean(first.text))]
        has_delta = any(cell.delta for cell in cells)
        for cell in cells:
            text = Text(clean(cell.text), style="bold green" if cell.best else "")
            if has_best:
                text.append(f" {BEST}" if cell.best else "  ")
            if has_delta:
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
