"""A run's numbers as one table: a row for each step that has a record or an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tuitrain.events import Eval
from tuitrain.runs import Columns, RunHistory
from tuitrain.runs.columns import numeric_fields

WHOLE_NUMBERS = frozenset({"step", "tokens", "slowest_rank"})
_LARGEST = 2**63 - 1
"""The largest count that a log holds; a column of floats rounds it up."""
_EVAL_KEYS = {
    **{key: key for key in ("loss", "accuracy", "perplexity", "bits_per_byte")}, "duration_ms": "time_ms",
}  # fmt: skip

Table = dict[str, "np.ma.MaskedArray[Any, Any]"]
"""Columns by name, masked where they have no value; a measured nan is a value. Counts are int64, others float64."""


def table(history: RunHistory) -> Table:
    """Columns of all kept records in the order of steps; columns without any value are left out.

    Evaluations stand in the row of their step as val_loss, val_accuracy, val_perplexity, val_bits_per_byte and
    val_time_ms; one at a step without a record, such as the one before the first, has a row of its own with its time
    and tokens. Those of a split
    other than the validation split stand in columns of their own: eval/wiki/loss for one that is called wiki.
    A metric of one's own that only the evaluations have stands under its name, in those of another split after
    eval/wiki/.
    """
    evals = {_prefix(split, history): history.evals_of(split) for split in history.splits}
    steps = np.unique(np.concatenate([history.steps["step"], *(rows["step"] for rows in evals.values())]))

    def column(key: str, *sources: Columns) -> np.ma.MaskedArray[Any, Any]:
        """The values of a key; where several sources have one, the last."""
        values = np.ma.array(np.zeros(len(steps)), mask=True)
        for source in sources:
            present = source.present(key)
            values[np.searchsorted(steps, source["step"][present])] = source[key][present]
        return _counts(values) if key in WHOLE_NUMBERS else values

    columns = {"step": _counts(np.ma.array(steps))}
    for key in dict.fromkeys(("time", "tokens", *history.steps.keys)):
        if key != "step":
            columns[key] = column(key, *(reversed(evals.values()) if key in ("time", "tokens") else ()), history.steps)
    for prefix, rows in evals.items():
        columns |= {f"{prefix}{name}": column(key, rows) for key, name in _EVAL_KEYS.items()}
        own = [key for key in rows.keys if key not in numeric_fields(Eval)]
        columns |= {f"{prefix if '/' in prefix or key in columns else ''}{key}": column(key, rows) for key in own}
    return {name: values for name, values in columns.items() if values.count()}


def _prefix(split: str, history: RunHistory) -> str:
    return "val_" if split == history.validation_split else f"eval/{split}/"


def _counts(values: np.ma.MaskedArray[Any, Any]) -> np.ma.MaskedArray[Any, Any]:
    """Values as integers; as they are where one is not finite."""
    numbers = values.filled(0)
    if not np.isfinite(numbers).all():
        return values
    too_large = numbers >= 2.0**63
    counts = np.where(too_large, 0, numbers).astype(np.int64)
    counts[too_large] = _LARGEST
    return np.ma.array(counts, mask=np.ma.getmaskarray(values))


def iterate(columns: Table) -> Iterator[dict[str, int | float]]:
    """The rows as dicts that hold only the values that are there."""
    for row in zip(*(values.tolist() for values in columns.values()), strict=True):
        yield {name: value for name, value in zip(columns, row, strict=True) if value is not None}
