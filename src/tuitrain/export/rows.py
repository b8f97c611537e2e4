"""A run's numbers as one table: a row for each step that has a record or an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuitrain.runs import Columns, FloatArray, RunHistory

WHOLE_NUMBERS = frozenset({"step", "tokens", "slowest_rank"})
_MOST_WHOLE = 2**63 - 1
"""The largest that a log holds; a column of floats rounds it up."""
_EVAL_KEYS = {"loss": "loss", "accuracy": "accuracy", "perplexity": "perplexity", "duration_ms": "time_ms"}


@dataclass(frozen=True)
class Column:
    """One column: its values, and where it has any; a measured nan is a value."""

    key: str
    values: FloatArray
    present: NDArray[np.bool_]

    @property
    def whole(self) -> bool:
        """Whether its numbers are counts."""
        return self.key in WHOLE_NUMBERS

    def numbers(self) -> list[int | float]:
        """Its values, counts as integers."""
        return [_number(self, value) for value in self.values.tolist()]


def table(history: RunHistory) -> list[Column]:
    """Columns of all kept records in the order of steps; columns without any value are left out.

    Evaluations stand in the row of their step as val_loss, val_accuracy, val_perplexity and val_time_ms; one at a step
    without a record, such as the one before the first, has a row of its own with its time and tokens. Those of a split
    other than the validation split stand in columns of their own: eval/wiki/loss for one that is called wiki.
    """
    evals = {_prefix(split, history): history.evals_of(split) for split in history.splits}
    steps = np.unique(np.concatenate([history.steps["step"], *(rows["step"] for rows in evals.values())]))
    from_steps = np.searchsorted(steps, history.steps["step"])
    from_evals = {prefix: np.searchsorted(steps, rows["step"]) for prefix, rows in evals.items()}
    columns = [Column("step", steps, np.ones(len(steps), dtype=bool))]
    for key in dict.fromkeys(("time", "tokens", *history.steps.keys)):
        if key == "step":
            continue
        column = _empty(key, len(steps))
        if key in ("time", "tokens"):
            for prefix, rows in reversed(evals.items()):
                _fill(column, from_evals[prefix], rows, key)
        _fill(column, from_steps, history.steps, key)
        columns.append(column)
    for prefix, rows in evals.items():
        for key, name in _EVAL_KEYS.items():
            column = _empty(f"{prefix}{name}", len(steps))
            _fill(column, from_evals[prefix], rows, key)
            columns.append(column)
    return [column for column in columns if column.present.any()]


def _prefix(split: str, history: RunHistory) -> str:
    return "val_" if split == history.validation_split else f"eval/{split}/"


def _empty(key: str, length: int) -> Column:
    return Column(key, np.full(length, np.nan), np.zeros(length, dtype=bool))


def _fill(column: Column, rows: NDArray[np.intp], source: Columns, key: str) -> None:
    present = source.present(key)
    column.values[rows[present]] = source[key][present]
    column.present[rows[present]] = True


def iterate(columns: list[Column]) -> Iterator[dict[str, int | float]]:
    """The rows as dicts that hold only the values that are there."""
    lists = [(column.key, column.numbers(), column.present.tolist()) for column in columns]
    for row in range(len(columns[0].values) if columns else 0):
        yield {key: values[row] for key, values, present in lists if present[row]}


def _number(column: Column, value: float) -> int | float:
    return min(int(value), _MOST_WHOLE) if column.whole and np.isfinite(value) else value
