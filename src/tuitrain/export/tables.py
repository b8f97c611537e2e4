"""A comparison as text: a table for the terminal, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tuitrain.analysis.compare import Comparison, MetricRow
from tuitrain.analysis.verdict import position
from tuitrain.events.text import clean
from tuitrain.export.documents import json_text
from tuitrain.export.errors import ExportError

FORMATS = ("table", "json", "markdown", "csv")
DEFAULT_WIDTH = 120
BEST = "*"


def render_comparison(
    comparison: Comparison,
    fmt: str = "table",
    width: int | None = None,
    color: bool = False,
    run_ids: Sequence[str] = (),
) -> str:
    """The comparison in a format, with a newline at its end. width (columns) and color are for the table.

    run_ids: of the runs, by which json has their values.

    The table and Markdown show values with their units, csv and json the values as stored. Raises ExportError for an
    unknown format.
    """
    match fmt:
        case "table":
            return _as_table(comparison, width or DEFAULT_WIDTH, color)
        case "markdown":
            return _as_markdown(comparison)
        case "csv":
            return _as_csv(comparison)
        case "json":
            return json_text(as_dict(comparison, run_ids))
    raise ExportError(f"{fmt!r} is not a format of a comparison; known: {', '.join(FORMATS)}.")


def as_dict(comparison: Comparison, run_ids: Sequence[str] = ()) -> dict[str, Any]:
    """The comparison as plain data, by run id; by the names of runs or groups where no ids tell them apart."""
    unique = len(set(run_ids)) == len(comparison.names) and not comparison.groups
    keys = list(run_ids) if unique else comparison.names

    def by_run(values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(keys, values, strict=True))

    return {
        "runs": by_run(comparison.names),
        "baseline": keys[comparison.baseline],
        "at": None if comparison.at is None else {comparison.at[0]: comparison.at[1]},
        "metrics": [
            {
                "key": row.metric.key,
                "title": row.metric.title,
                "unit": "" if row.metric.factor != 1 else row.metric.unit,
                "better": row.metric.better,
                "values": by_run(row.values),
                **({"spreads": by_run(row.spreads), "counts": by_run(row.counts)} if comparison.groups else {}),
                "deltas": by_run(row.deltas),
                "best": None if row.best is None else keys[row.best],
            }
            for row in comparison.metrics
        ],
        "config": [{"key": row.key, "values": by_run(row.values)} for row in comparison.config],
        **({"groups": by_run(comparison.groups)} if comparison.groups else {}),
        "broken_lines": by_run(comparison.broken_lines) if comparison.broken_lines else {},
        "verdict": comparison.verdict,
    }


def _heads(comparison: Comparison) -> list[str]:
    """Run names as column heads; of several the baseline is marked."""
    marked = len(comparison.names) > 1
    return [
        clean(f"{name} (baseline)" if marked and index == comparison.baseline else name)
        for index, name in enumerate(comparison.names)
    ]


def _caption(comparison: Comparison) -> str:
    where = f"at {position(*comparison.at)}" if comparison.at else "at the end of each run"
    return f"mean ± std {where}" if comparison.groups else where


def _as_table(comparison: Comparison, width: int, color: bool) -> str:
    parts: list[Table | Text] = [_metric_table(comparison)]
    if comparison.config:
        parts += [Text(), _config_table(comparison)]
    if comparison.verdict:
        parts += [Text(), *(Text(clean(sentence)) for sentence in comparison.verdict)]
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None,
        legacy_windows=False, emoji=False, markup=False, highlight=False,
    )  # fmt: skip
    console.print(Group(*parts))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _grid(caption: str, heads: Sequence[str]) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column(caption, overflow="fold")
    for head in heads:
        grid.add_column(Text(head), justify="right", overflow="fold")
    return grid


def _metric_table(comparison: Comparison) -> Table:
    grid = _grid(_caption(comparison), _heads(comparison))
    for row in comparison.metrics:
        cells = [Text(clean(row.metric.title))]
        for index in range(len(row.values)):
            best = row.best == index
            cell = Text(row.value_text(index), style="bold green" if best else "")
            cell.append(f" {BEST}" if best else "  ")
            if any(delta is not None for delta in row.deltas):
                cell.append(f" {row.delta_text(index):>8}", style="dim")
            cells.append(cell)
        grid.add_row(*cells)
    return grid


def _config_table(comparison: Comparison) -> Table:
    grid = _grid("what differs", [clean(name) for name in comparison.names])
    for row in comparison.config:
        grid.add_row(Text(clean(row.key)), *(Text(clean(value)) for value in row.values))
    return grid


def _as_markdown(comparison: Comparison) -> str:
    lines = _markdown_table(
        [_caption(comparison), *_heads(comparison)],
        [[row.metric.title, *(_markdown_cell(row, index) for index in range(len(row.values)))]
         for row in comparison.metrics],
    )  # fmt: skip
    if comparison.config:
        rows = [[f"`{row.key}`", *row.values] for row in comparison.config]
        lines += ["", *_markdown_table(["what differs", *comparison.names], rows)]
    if comparison.verdict:
        lines += ["", *(f"- {clean(sentence)}" for sentence in comparison.verdict)]
    return "\n".join(lines) + "\n"


def _markdown_cell(row: MetricRow, index: int) -> str:
    text = row.value_text(index)
    text = f"**{text}**" if row.best == index else text
    delta = row.delta_text(index)
    return f"{text} ({delta})" if delta else text


def _markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(clean(cell).replace("|", "\\|") for cell in row) + " |" for row in (head, rule, *rows)]


def _as_csv(comparison: Comparison) -> str:
    """One row for each metric, then one for each differing key; a column a run. Unknown is an empty cell.

    Of groups the values are means, and rows of the kind `std` follow with their standard deviations.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["kind", "key", "unit", *comparison.names])
    for row in comparison.metrics:
        unit = "" if row.metric.factor != 1 else row.metric.unit
        kinds = [("metric", row.values)] + ([("std", row.spreads)] if comparison.groups else [])
        for kind, values in kinds:
            writer.writerow([kind, row.metric.key, unit, *("" if value is None else value for value in values)])
    for difference in comparison.config:
        writer.writerow(["config", difference.key, "", *difference.values])
    return file.getvalue()
