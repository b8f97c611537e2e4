"""The table of the outcomes of several runs below their curves."""

from __future__ import annotations

from matplotlib.axes import Axes

from tuitrain.analysis.compare import Comparison
from tuitrain.export.style import font, grey, ink, pale, run_style

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
_LONGEST_NAME = 30


def draw_table(axes: Axes, comparison: Comparison) -> None:
    """Outcomes as in a paper: rules above, below and under the head, the best value of a column bold."""
    axes.axis("off")
    rows = [row for row in comparison.metrics if row.metric.key in HEADINGS]
    rows.sort(key=lambda row: list(HEADINGS).index(row.metric.key))
    right = [0.22 + (column + 1) * 0.78 / len(rows) for column in range(len(rows))]
    count = len(comparison.names)
    axes.set_xlim(0, 1)
    axes.set_ylim(count + 0.6, -0.9)
    for y, weight in ((-0.75, 1.0), (0.25, 0.6), (count + 0.4, 1.0)):
        axes.axhline(y, color=ink() if weight == 1.0 else pale(), linewidth=weight)
    axes.text(0.03, -0.25, "run", va="center", fontsize=font(8.5), color=grey())
    for x, row in zip(right, rows, strict=True):
        heading = HEADINGS[row.metric.key]
        axes.text(x, -0.25, heading, ha="right", va="center", fontsize=font(7.8), color=grey())
    for index, name in enumerate(comparison.names):
        y = index + 0.8
        axes.plot([0.0, 0.022], [y, y], linewidth=2, **run_style(index))
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        axes.text(0.03, y, short, va="center", fontsize=font(8.5), color=ink())
        for x, row in zip(right, rows, strict=True):
            axes.text(
                x, y, row.metric.text(row.values[index]), ha="right", va="center", fontsize=font(8.5), color=ink(),
                fontweight="bold" if row.best == index else "normal",
            )  # fmt: skip
