"""The plot of one panel as a file: a figure, or the numbers behind it as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tuitrain.analysis.metrics import METRICS, Metric, metric_of
from tuitrain.export.documents import open_text
from tuitrain.export.errors import ExportError
from tuitrain.export.selection import listed
from tuitrain.plots.model import ChartOptions, Curve, HeatMap, Plot, Points
from tuitrain.plots.request import PlotRequest
from tuitrain.runs import FloatArray
from tuitrain.text import file_name

FORMATS = ("svg", "png", "csv")
SIZE_INCHES = (7.6, 4.4)
DPI = 200
CSV_X = {"step": "step", "tokens": "tokens", "time": "training_time_s", "clock": "unix_time_s", "flops": "flop"}

Column = tuple[str, FloatArray, FloatArray]
"""Heading, x and values."""


def export_panel(plot: Plot | HeatMap, out: Path, options: ChartOptions, runs: Sequence[tuple[str, str]] = ()) -> Path:
    """Write a plot as shown with `options`; the suffix of the file (`.svg`, `.png`, `.csv`) is the format.

    runs: name and id of each run of the request. Raises ExportError, also where no measured point is visible, and
    OSError.
    """
    kind = out.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise ExportError(f"{out.name}: a panel is written as {', '.join(FORMATS)}, not as {kind or 'nothing'}.")
    columns = _visible(panel_columns(plot, [name for name, _ in runs]), options)
    if not any(len(x) for _, x, _ in columns):
        raise ExportError(f"{plot.title} has nothing to export: no points are visible.")
    if kind == "csv":
        _write_csv(columns, CSV_X.get(plot.x_axis, plot.x_axis), out)
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    # Matplotlib is imported for figures only.
    from tuitrain.export.figures import panel_figure, save_figure
    from tuitrain.export.style import figure_style

    with figure_style():
        figure = panel_figure(plot, SIZE_INCHES, options, head=listed([run_id for _, run_id in runs], "  ·  ", 90))
        save_figure(figure, out.parent, out.stem, (kind,), DPI)
    return out


def panel_path(request: PlotRequest, panel: str, kind: str) -> Path:
    """`<run>/exports/<panel>-<x>-<step>.<kind>` for one run with a directory, else `./tuitrain-<panel>-<x>.<kind>`."""
    run, name = request.run, f"{file_name(panel)}-{request.x}"
    if len(request.runs) == 1 and run is not None and run.directory is not None and run.directory.path.is_dir():
        return run.directory.path / "exports" / f"{name}-{run.history.step or 0}.{kind}"
    return Path.cwd() / f"tuitrain-{name}.{kind}"


def _visible(columns: Sequence[Column], options: ChartOptions) -> list[Column]:
    zoom = options.zoom
    if zoom is None:
        return list(columns)
    masks = [(x >= zoom.low) & (x <= zoom.high) for _, x, _ in columns]
    return [(head, x[mask], y[mask]) for (head, x, y), mask in zip(columns, masks, strict=True)]


def panel_columns(plot: Plot | HeatMap, names: Sequence[str]) -> list[Column]:
    """The measured numbers of a plot: no projections, nothing that a later attempt did again. names: of the runs.

    A heading has the metric with its unit, the run, and the name of the curve where a run has several: `mfu_percent
    qwen3-tiny`, `data_time_ms qwen3-tiny data`. A group replaces a run; its `mean` and `std` are two columns.
    """
    if isinstance(plot, HeatMap):
        headings = [_joined(plot.title, *names[:1], row) for row in plot.rows]
        return [(heading, plot.x, plot.values[:, row]) for row, heading in enumerate(headings)]
    columns: list[Column] = []
    for curve in plot.curves:
        heading = _heading(plot, curve, names)
        if not curve.role.startswith("run") or curve.forecast:
            continue
        if curve.std is None:
            columns.append((heading, curve.x, curve.y))
        else:
            columns += [(f"{heading} mean", curve.x, curve.y), (f"{heading} std", curve.x, curve.std)]
    if plot.metric != "val_loss":
        # That curve goes through the points.
        columns += [(_heading(plot, points, names), points.x, points.y) for points in plot.points]
    headings = [heading for heading, _, _ in columns]
    counts = [headings[: at + 1].count(heading) for at, heading in enumerate(headings)]
    return [(f"{head} {n}" if n > 1 else head, x, y) for n, (head, x, y) in zip(counts, columns, strict=True)]


def _heading(plot: Plot, part: Curve | Points, names: Sequence[str]) -> str:
    metric = metric_of(plot.metric) if plot.metric else None
    alone = len(names) == 1
    run = names[0] if alone else names[part.order] if part.order < len(names) else ""
    if metric is None:
        return _joined(part.name or run)
    if isinstance(part, Points):
        return _joined(f"val_{_key(metric)}", run)
    if not alone:
        return _joined(_key(metric), part.name or run)
    parts = {each.legend or each.title: each for each in METRICS if each.panel == metric.panel}
    return _joined(_key(parts.get(part.name, metric)), run, part.name)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _key(metric: Metric) -> str:
    """The key of a metric, which ends in its unit where it has one."""
    return f"{metric.key}_percent" if metric.unit == "%" and not metric.key.endswith("percent") else metric.key


def _write_csv(columns: Sequence[Column], x_heading: str, out: Path) -> None:
    """A row for each x at which any column has a value; absent values are empty cells."""
    rows = np.unique(np.concatenate([x for _, x, _ in columns]))
    cells: list[list[str]] = []
    for _, x, y in columns:
        column = [""] * len(rows)
        for row, value in zip(np.searchsorted(rows, x).tolist(), y.tolist(), strict=True):
            column[row] = _number(value)
        cells.append(column)
    with open_text(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([x_heading, *(heading for heading, _, _ in columns)])
        writer.writerows(zip(map(_number, rows.tolist()), *cells, strict=True))


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
