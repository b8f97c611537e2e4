"""A comparison as grids of texts, which the terminal's tables, Markdown and LaTeX show."""

from __future__ import annotations

from typing import NamedTuple

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.metric_rows import MetricRow
from tuitrain.analysis.points import position


class Cell(NamedTuple):
    """A text, whether it is the best of its row, the difference to the baseline, and whether it is a key."""

    text: str
    best: bool = False
    delta: str = ""
    is_key: bool = False


Grid = list[list[Cell]]
"""Rows of cells; the first row has the names of the columns."""


def comparison_grids(comparison: Comparison) -> list[Grid]:
    """The metrics, and what differs of the configurations and of what the speeds are made of, where anything does.

    Of several runs the baseline is marked.
    """
    where = f"at {position(*comparison.at)}" if comparison.at else "at the end of each run"
    caption = f"mean ± std {where}" if comparison.groups else where
    names = list(comparison.names)
    if len(names) > 1:
        names[comparison.baseline] += " (baseline)"
    config = [[Cell(row.key, is_key=True), *map(Cell, row.values)] for row in comparison.config]
    grids = [[[*map(Cell, [caption, *names])], *map(_metric_cells, comparison.metrics)]]
    if config:
        grids.append([[*map(Cell, ["what differs", *comparison.names])], *config])
    if comparison.speed:
        speed = map(_metric_cells, comparison.speed)
        grids.append([[*map(Cell, ["what the speeds are made of", *comparison.names])], *speed])
    return grids


def _metric_cells(row: MetricRow) -> list[Cell]:
    values = (Cell(row.value_text(at), row.best == at, row.delta_text(at)) for at in range(len(row.values)))
    return [Cell(row.metric.title), *values]


def comparison_sentences(comparison: Comparison) -> list[list[str]]:
    """The verdict, with what is said of the configurations where no key differs, and the findings; no empty ones."""
    note = comparison.configuration_note
    verdict = [*([f"Configuration: {note}."] if note else []), *comparison.verdict]
    return [sentences for sentences in (verdict, comparison.findings) if sentences]
