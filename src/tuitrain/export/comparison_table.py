"""The table of the outcomes of several runs below their curves."""

from __future__ import annotations

from matplotlib.axes import Axes

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.metric_rows import MetricRow
from tuitrain.export.style import font, grey, inches_of, ink, pale, run_style, thick
from tuitrain.text import shortened

HEADINGS = {
    "params_total": "parameters",
    "total_tokens": "tokens",
    "final_loss": "mean at end",
    "last_loss": "last loss",
    "best_val_loss": "best val loss",
    "mean_mfu": "mean MFU",
    "mean_tokens_per_sec": "throughput",
    "peak_memory_gb": "peak memory",
    "training_time_s": "training time",
}
ROW_INCHES = 0.27
"""The height of a row at the usual size of text."""
_LEAST_WANTED = ("last_loss", "params_total", "training_time_s", "total_tokens", "peak_memory_gb", "mean_mfu",
                 "mean_tokens_per_sec", "best_val_loss")  # fmt: skip
"""The columns that a narrow table leaves out, in this order."""
_GAP, _SIGN = 0.18, 0.32
"""Inches between columns, and of the line that stands for a run, with the gap after it."""
_LONGEST_NAME = 30
_HEAD, _CELL = 7.8, 8.5
"""Sizes of text."""


def draw_table(axes: Axes, comparison: Comparison, inches: float) -> None:
    """Outcomes as in a paper: rules above, below and under the head, the best value of a column bold.

    inches: the width that there is; columns that do not fit are left out.
    """
    axes.axis("off")
    # Names of a sweep differ at their ends.
    names = [shortened(name, _LONGEST_NAME) for name in comparison.names]
    first = _SIGN * font(1) + max(inches_of(name, _CELL) for name in ("run", *names))
    rows = [row for row in comparison.metrics if row.metric.key in HEADINGS]
    rows.sort(key=lambda row: list(HEADINGS).index(row.metric.key))
    rows = _fitting(rows, inches - first)
    if not rows:
        return
    right = [first + (inches - first) * (column + 1) / len(rows) for column in range(len(rows))]
    count = len(names)
    axes.set_xlim(0, inches)
    axes.set_ylim(count + 0.6, -0.9)
    for y, weight in ((-0.75, 1.0), (0.25, 0.6), (count + 0.4, 1.0)):
        axes.axhline(y, color=ink() if weight == 1.0 else pale(), linewidth=thick(weight))
    at = _SIGN * font(1)
    axes.text(at, -0.25, "run", va="center", fontsize=font(_CELL), color=grey())
    for x, row in zip(right, rows, strict=True):
        axes.text(x, -0.25, HEADINGS[row.metric.key], ha="right", va="center", fontsize=font(_HEAD), color=grey())
    for index, name in enumerate(names):
        y = index + 0.8
        axes.plot([0.0, 0.75 * at], [y, y], linewidth=thick(2), **run_style(index))
        axes.text(at, y, name, va="center", fontsize=font(_CELL), color=ink())
        for x, row in zip(right, rows, strict=True):
            axes.text(
                x, y, row.metric.text(row.values[index]), ha="right", va="center", fontsize=font(_CELL), color=ink(),
                fontweight="bold" if row.best == index else "normal",
            )  # fmt: skip


def _fitting(rows: list[MetricRow], inches: float) -> list[MetricRow]:
    """The columns that fit side by side: all as wide as the widest."""
    widths = {
        row.metric.key: max(
            inches_of(HEADINGS[row.metric.key], _HEAD),
            *(inches_of(row.metric.text(value), _CELL, bold=True) for value in row.values),
        )
        for row in rows
    }
    for key in _LEAST_WANTED:
        if len(rows) * (max((widths[row.metric.key] for row in rows), default=0.0) + _GAP * font(1)) <= inches:
            break
        rows = [row for row in rows if row.metric.key != key]
    return rows
