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
from tuitrain.export.style import (
    ScaledFormatter,
    Size,
    font,
    grey,
    ink,
    new_figure,
    pale,
    run_marker,
    run_style,
    time_unit,
)
from tuitrain.runs import FloatArray, RunHistory

PANELS = ("loss", "val_loss", "throughput", "mfu")
"""The panels of the comparison figure, in their order."""
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


def comparison_figure(
    runs: Sequence[tuple[str, RunHistory]], axis: Axis = "step", size: Size | None = None, *, title: bool = True
) -> Figure:
    """Loss, validation loss, throughput and MFU of several runs over one x axis, and a table of their outcomes.

    size: of the whole figure in inches; title: whether the names of the runs stand above it.
    """
    comparison = compare_runs(runs)
    panel_height, row_height = 3.0, 0.27
    table_height = 0.65 + row_height * len(runs)
    legend_rows = -(-len(runs) // 4)
    heading = 0.42 if title else 0.05
    head = heading + 0.13 + 0.25 * legend_rows
    width, height = size or (11.0, head + 2 * panel_height + table_height)
    figure = new_figure(width, height, head)
    grid = figure.add_gridspec(3, 2, height_ratios=(panel_height, panel_height, table_height))
    views = _views(runs, comparison, axis)
    for number, name in enumerate(PANELS):
        _draw_panel(figure.add_subplot(grid[number // 2, number % 2]), name, views, comparison)
    _table(figure.add_subplot(grid[2, :]), comparison)
    if title:
        text = listed(comparison.names, ", ", 90)
        figure.text(0.012, 1 - 0.13 / height, text, fontsize=font(14), fontweight="bold", color=ink(), va="top")
    figure.legend(
        _handles(len(runs)), comparison.names, loc="upper left", bbox_to_anchor=(0.008, 1 - heading / height),
        ncols=min(len(runs), 4), fontsize=font(9), handlelength=2.8,
    )  # fmt: skip
    return figure


def comparison_panel(
    runs: Sequence[tuple[str, RunHistory]], name: str, axis: Axis, size: Size, *, title: bool = True
) -> Figure:
    """One of the PANELS of the comparison figure as a figure of its own, with the legend in its emptiest corner."""
    comparison = compare_runs(runs)
    figure = new_figure(*size, head=0.02)
    axes = figure.add_subplot()
    _draw_panel(axes, name, _views(runs, comparison, axis), comparison)
    if not title:
        axes.set_title("")
    axes.legend(
        _handles(len(runs)), comparison.names, loc="best", fontsize=font(8), handlelength=2.8, frameon=True,
        facecolor=axes.get_facecolor(), framealpha=0.75, edgecolor="none",
    )  # fmt: skip
    return figure


def _handles(count: int) -> list[Line2D]:
    return [Line2D([], [], linewidth=2, **run_style(index)) for index in range(count)]


def _draw_panel(axes: Axes, name: str, views: Sequence[View], comparison: Comparison) -> None:
    """Draw one of the PANELS."""
    set_x(axes, views)
    comparable = losses_are_comparable([view.history for view in views])
    caution = "" if comparable else "different tokenizers: losses per token\nare not comparable between runs"
    if name == "loss":
        _losses(axes, views, caution)
    elif name == "val_loss":
        _validation(axes, views, caution)
    elif name == "throughput":
        _level(axes, views, "tokens_per_sec", "Throughput", "throughput, tokens/s")
    elif any(summary.mean_mfu is not None for summary in comparison.summaries):
        _level(axes, views, "mfu", "Model FLOPs utilisation", "MFU, %")
    else:
        _level(axes, views, "tflops", "Achieved compute (MFU n/a: no known peak)", "TFLOP/s per device")


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
    _limit(axes, curves, "loss", "\n".join(filter(None, (caution, _smoothing(curves)))))


def _validation(axes: Axes, views: Sequence[View], caution: str) -> None:
    axes.set_title("Validation loss")
    curves = [view.evaluations() for view in views]
    for index, (x, loss) in enumerate(curves):
        style = {**run_style(index), "linewidth": 1.2, "marker": run_marker(index), "markersize": 4}
        axes.plot(x, loss, zorder=4, **style)
    _limit(axes, curves, "validation loss", caution)


def _smoothing(curves: Sequence[tuple[FloatArray, FloatArray]]) -> str:
    """Over how many records the curves are smoothed; empty where none is."""
    windows = sorted({smoothing_window(int(np.isfinite(y).sum())) for _, y in curves if len(y)})
    if not windows or windows[-1] < 2:
        return ""
    return f"smoothed over {'–'.join(str(count) for count in dict.fromkeys((windows[0], windows[-1])))} records"


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
    curves = [view.points(key) for view in views]
    for index, (x, values) in enumerate(curves):
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
    x, y = (np.concatenate(parts) for parts in zip(*((x, smoothed(y)) for x, y in curves), strict=True))
    note(axes, _smoothing(curves), x, y)


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
    axes.text(0.03, -0.25, "run", va="center", fontsize=font(8.5), color=grey())
    for column, row in enumerate(rows):
        axes.text(0.22 + (column + 1) * width, -0.25, TABLE_KEYS[row.metric.key], ha="right", va="center",
                  fontsize=font(7.8), color=grey())  # fmt: skip
    for index, name in enumerate(comparison.names):
        y = index + 0.8
        axes.plot([0.0, 0.022], [y, y], linewidth=2, **run_style(index))
        axes.text(0.03, y, name if len(name) <= 30 else f"{name[:29]}…", va="center", fontsize=font(8.5), color=ink())
        for column, row in enumerate(rows):
            _cell(axes, 0.22 + (column + 1) * width, y, row, index)


def _cell(axes: Axes, x: float, y: float, row: MetricRow, index: int) -> None:
    weight = "bold" if row.best == index else "normal"
    text = row.metric.text(row.values[index])
    axes.text(x, y, text, ha="right", va="center", fontsize=font(8.5), color=ink(), fontweight=weight)
