"""The comparison figure: the curves of several runs over each other, and their outcomes in a table below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tuitrain.analysis.compare import Comparison, MetricRow, compare_runs
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.series import Axis, x_values
from tuitrain.analysis.verdict import losses_are_comparable
from tuitrain.export.lines import level_limits, loss_limits, smoothed, smoothing_window, thin
from tuitrain.export.marks import absence, alone, note, say
from tuitrain.export.panels import View, set_x
from tuitrain.export.style import ScaledFormatter, grey, ink, new_figure, pale, run_style, time_unit
from tuitrain.runs import FloatArray, RunHistory

TABLE_KEYS = {
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


def comparison_figure(runs: Sequence[tuple[str, RunHistory]], axis: Axis = "step") -> Figure:
    """Loss, validation loss, throughput and MFU of several runs over one x axis, and a table of their outcomes."""
    comparison = compare_runs(runs)
    panel_height, row_height = 3.0, 0.27
    table_height = 0.65 + row_height * len(runs)
    legend_rows = -(-len(runs) // 4)
    head = 0.55 + 0.25 * legend_rows
    height = head + 2 * panel_height + table_height
    figure = new_figure(11.0, height, head)
    grid = figure.add_gridspec(3, 2, height_ratios=(panel_height, panel_height, table_height))
    views = _views(runs, comparison, axis)
    panels = [figure.add_subplot(grid[row, column]) for row in range(2) for column in range(2)]
    for axes in panels:
        set_x(axes, views)
    comparable = losses_are_comparable([history for _, history in runs])
    caution = "" if comparable else "different tokenizers: losses per token\nare not comparable between runs"
    _losses(panels[0], views, caution)
    _validation(panels[1], views, caution)
    _level(panels[2], views, "tokens_per_sec", "Throughput", "tokens/s")
    if any(summary.mean_mfu is not None for summary in comparison.summaries):
        _level(panels[3], views, "mfu", "Model FLOPs utilisation", "MFU, %")
    else:
        _level(panels[3], views, "tflops", "Achieved compute (MFU n/a: no known peak)", "TFLOP/s per device")
    _table(figure.add_subplot(grid[2, :]), comparison)
    title = listed(comparison.names, ", ", 90)
    figure.text(0.012, 1 - 0.13 / height, title, fontsize=14, fontweight="bold", color=ink(), va="top")
    handles = [Line2D([], [], linewidth=2, **run_style(index)) for index in range(len(runs))]
    figure.legend(
        handles, comparison.names, loc="upper left", bbox_to_anchor=(0.008, 1 - 0.42 / height), ncols=min(len(runs), 4),
        fontsize=9, handlelength=2.2,
    )  # fmt: skip
    return figure


def listed(names: Sequence[str], separator: str, longest: int) -> str:
    """Names in a row; those that would make it longer than `longest` characters are counted: `a, b, 3 more`."""
    text, shown = separator.join(names), len(names)
    while len(text) > longest and shown > 1:
        shown -= 1
        text = separator.join((*names[:shown], f"{len(names) - shown} more"))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _views(runs: Sequence[tuple[str, RunHistory]], comparison: Comparison, axis: Axis) -> list[View]:
    unit, scale = "", 1.0
    if axis == "time":
        ends = [x_values(history, axis) for _, history in runs]
        unit, scale = time_unit(max((float(np.nanmax(x)) for x in ends if np.isfinite(x).any()), default=0.0))
    return [
        View(history, summary, axis, unit, scale)
        for (_, history), summary in zip(runs, comparison.summaries, strict=True)
    ]


def _losses(axes: Axes, views: Sequence[View], caution: str) -> None:
    axes.set_title("Training loss")
    curves = [view.points("loss") for view in views]
    for index, (x, loss) in enumerate(curves):
        style = run_style(index)
        if smoothing_window(len(loss)) > 1:
            axes.plot(*thin(x, loss), color=style["color"], linewidth=0.6, alpha=0.2, zorder=2)
        axes.plot(*thin(x, smoothed(loss)), zorder=4, **style, **alone(len(loss)))
    _limit(axes, curves, "loss", caution)


def _validation(axes: Axes, views: Sequence[View], caution: str) -> None:
    axes.set_title("Validation loss")
    curves = [view.evaluations() for view in views]
    for index, (x, loss) in enumerate(curves):
        axes.plot(x, loss, zorder=4, marker="o", markersize=3, **{**run_style(index), "linewidth": 1.2})
    _limit(axes, curves, "validation loss", caution)


def _limit(axes: Axes, curves: Sequence[tuple[FloatArray, FloatArray]], title: str, caution: str) -> None:
    """The y range of a panel of losses, and what must be said about it."""
    limits = loss_limits(*(y for _, y in curves))
    if limits is None:
        say(axes, absence(title, *(y for _, y in curves)))
        return
    axes.set_ylim(limits.low, limits.high)
    axes.set_ylabel("loss, nats per token")
    x, y = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    lines = [caution, f"{limits.note} the range" if limits.note else ""]
    note(axes, "\n".join(filter(None, lines)), x, y)


def _level(axes: Axes, views: Sequence[View], key: str, title: str, label: str) -> None:
    axes.set_title(title)
    shown: list[FloatArray] = []
    for index, view in enumerate(views):
        x, values = view.points(key)
        curve = smoothed(values)
        axes.plot(*thin(x, curve), zorder=4, **run_style(index), **alone(len(values)))
        shown.append(curve)
    limits = [found for values in shown if (found := level_limits(values)) is not None]
    if not limits:
        say(axes, absence(metric(key).title, *shown))
        return
    axes.set_ylim(min(found.low for found in limits), max(found.high for found in limits))
    axes.yaxis.set_major_formatter(ScaledFormatter())
    axes.set_ylabel(label)


def _table(axes: Axes, comparison: Comparison) -> None:
    """Outcomes as in a paper: rules above, below and under the head, the best value of a column bold."""
    axes.axis("off")
    rows = [row for row in comparison.metrics if row.metric.key in TABLE_KEYS]
    rows.sort(key=lambda row: list(TABLE_KEYS).index(row.metric.key))
    width = 0.78 / max(len(rows), 1)
    count = len(comparison.names)
    axes.set_xlim(0, 1)
    axes.set_ylim(count + 0.6, -0.9)
    for y, weight in ((-0.75, 1.0), (0.25, 0.6), (count + 0.4, 1.0)):
        axes.axhline(y, color=ink() if weight == 1.0 else pale(), linewidth=weight)
    axes.text(0.025, -0.25, "run", va="center", fontsize=8.5, color=grey())
    for column, row in enumerate(rows):
        axes.text(0.22 + (column + 1) * width, -0.25, TABLE_KEYS[row.metric.key], ha="right", va="center",
                  fontsize=7.8, color=grey())  # fmt: skip
    for index, name in enumerate(comparison.names):
        y = index + 0.8
        axes.plot([0.002, 0.018], [y, y], linewidth=2.5, **run_style(index))
        axes.text(0.025, y, name if len(name) <= 30 else f"{name[:29]}…", va="center", fontsize=8.5, color=ink())
        for column, row in enumerate(rows):
            _cell(axes, 0.22 + (column + 1) * width, y, row, index)


def _cell(axes: Axes, x: float, y: float, row: MetricRow, index: int) -> None:
    weight = "bold" if row.best == index else "normal"
    text = row.metric.text(row.values[index])
    axes.text(x, y, text, ha="right", va="center", fontsize=8.5, color=ink(), fontweight=weight)
