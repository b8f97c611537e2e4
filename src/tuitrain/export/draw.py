"""A plot on the axes of a matplotlib figure, with the limits and ticks that the terminal's charts have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.ticker import NullLocator

from tuitrain.analysis.limits import drawable
from tuitrain.analysis.metrics import BY_KEY
from tuitrain.export.draw_axes import add_second_axis, set_x, set_y
from tuitrain.export.draw_notes import add_legend, add_notes, write_reason
from tuitrain.export.draw_table import draw_texts
from tuitrain.export.style import (
    area,
    curve_colour,
    grey,
    ink,
    pale,
    run_marker,
    run_style,
    shades,
    thick,
    tick_label,
    tick_text,
    tint,
)
from tuitrain.plots.axes import Range, x_title
from tuitrain.plots.limits import Limits, limits, visible
from tuitrain.plots.model import NO_DATA, RAW, SUPERSEDED, ChartOptions, Curve, HeatMap, Plot, Points, TextTable
from tuitrain.plots.roles import RUN_COLOURS
from tuitrain.plots.strokes import stroke
from tuitrain.plots.ticks import x_ticks, y_ticks
from tuitrain.plots.x_scale import X_DOTS, IndexArray, XScale
from tuitrain.runs import FloatArray

PIXEL_COLUMNS = 2000
"""More columns than a panel has at any usual resolution, so that decimation cannot be seen."""
_MOST_CROSSES = 500
_CELLS = 1000, 600
"""Across and up: of the single points in each of these parts of the axes one is drawn."""
_CROWD = 60
"""More single points are smaller."""
_MOST_VECTORS = 5_000
"""More single points are stored as an image in a vector format."""
_DASHES: Any = (0, (5, 2))
_TITLES = {"mfu": "Model FLOPs utilisation", "tflops": "Achieved compute"}
EVENT_MARKERS = {
    "checkpoint": ("^", "checkpoint"),
    "eval": ("^", "evaluation"),
    "restart": ("|", "resumed"),
    "alert": ("$!$", "alert"),
}
"""Matplotlib's marker and the name of each kind of event."""


def draw(
    axes: Axes,
    plot: Plot | HeatMap | TextTable,
    options: ChartOptions | None = None,
    *,
    legend: bool = True,
    events: bool = True,
) -> None:
    """Draw a plot on empty axes, in the style that holds. legend: beside the title, of all that has a name.

    events: whether alerts and restarts are named in it too.
    """
    options = options or ChartOptions()
    axes.set_title(title_of(plot))
    if isinstance(plot, TextTable):
        draw_texts(axes, plot)
        return
    axes.set_xlabel("clock, local time" if plot.x_axis == "clock" else x_title(plot.x_axis))
    reason = _reason_for_no_data(plot)
    if reason:
        write_reason(axes, reason)
        axes.set_xticks([])
        axes.set_yticks([])
    elif isinstance(plot, HeatMap):
        _draw_map(axes, plot, options)
    else:
        _draw_plot(axes, plot, options, legend, events)


def title_of(plot: Plot | HeatMap | TextTable) -> str:
    """The title of a plot in a figure. The name of a metric of one's own stays as it is."""
    metric = BY_KEY.get(plot.metric) if isinstance(plot, Plot) else None
    title = plot.title
    if isinstance(plot, Plot) and plot.metric and metric is None:
        return title
    if metric is not None and title in (metric.title, metric.label):
        title = _TITLES.get(metric.key, metric.title)
    return title[:1].upper() + title[1:]


def _reason_for_no_data(plot: Plot | HeatMap) -> str:
    """Why there is nothing to draw; empty where there is something."""
    arrays = [plot.values.ravel()] if isinstance(plot, HeatMap) else [part.y for part in plot.data]
    if any(np.isfinite(drawable(values)).any() for values in arrays):
        return ""
    metric = BY_KEY.get(plot.metric) if isinstance(plot, Plot) else None
    title = metric.title if metric is not None else plot.title
    values = np.concatenate([*arrays, np.empty(0)])
    if len(values):
        return f"n/a: every {title} is {'nan' if np.isnan(values).all() else 'nan or inf'}"
    return f"n/a: the log has no {title}" if plot.empty == NO_DATA else plot.empty


def _draw_plot(axes: Axes, plot: Plot, options: ChartOptions, legend: bool, events: bool) -> None:
    shown = limits(plot, options)
    values = shown.x.values(shown.log_x)
    set_x(axes, plot.x_axis, shown, padded=options.zoom is None)
    set_y(axes, plot, shown.y)
    for number, curve in _by_order(plot.curves):
        _draw_curve(axes, plot, curve, shown, number)
    for points in plot.points:
        _draw_points(axes, points, shown, plot.log)
    broken = _draw_non_finite(axes, plot, values)
    _draw_lines(axes, plot, shown)
    _draw_events(axes, plot, values, named=events)
    if plot.second_axis is not None and not plot.log:
        add_second_axis(axes, plot.second_axis, shown.y)
    outliers = _count(shown.above, "above"), _count(shown.below, "below")
    beyond = ", ".join(filter(None, outliers))
    notes = [*plot.notes, smoothing_note(plot), f"{beyond} the range" if beyond else ""]
    if legend:
        add_legend(axes)
    elif broken:
        notes.append(f"×: {broken}")
    add_notes(axes, notes)


def _count(number: int, side: str) -> str:
    return f"{number:,} {'point' if number == 1 else 'points'} {side}" if number else ""


def smoothing_note(plot: Plot) -> str:
    """How the curves are smoothed, where their names do not say it; empty where none is."""
    smoothed = {curve.smoothing for curve in plot.curves if curve.smoothing and not curve.name.startswith("smooth")}
    windows = sorted(int(each) for each in smoothed if each >= 1)
    if windows:
        return f"smoothed over {'–'.join(f'{each:,}' for each in dict.fromkeys((windows[0], windows[-1])))} records"
    return ", ".join(f"smoothed: EMA {weight:g}" for weight in sorted(smoothed))


def _by_order(curves: Sequence[Curve]) -> list[tuple[int, Curve]]:
    """Curves with how far above others they lie, in the order of their names in the legend."""
    return sorted(enumerate(curves), key=lambda pair: (pair[1].role != SUPERSEDED, pair[1].order))


def run_of(part: Curve | Points) -> int | None:
    """The number of the run by which curves and points are coloured; None of what belongs to no run."""
    run = part.role.partition(".")[0].removeprefix("run")
    if not part.role.startswith("run") or not run.isdigit():
        return None
    return int(run) + RUN_COLOURS * (part.order // RUN_COLOURS)


def _has_several_runs(plot: Plot) -> bool:
    return any(curve.glyph and run_of(curve) is not None for curve in plot.curves)


def _draw_curve(axes: Axes, plot: Plot, curve: Curve, shown: Limits, number: int) -> None:
    """Draw a curve with its band."""
    x, y = _reduced(plot, curve, shown)
    y = np.where(y > 0, y, np.nan) if plot.log else y
    run, several = run_of(curve), _has_several_runs(plot)
    if plot.stacked:
        # The sums from the lowest: each covers those behind it but for its own part.
        colour = tint(curve_colour(curve.order), 0.3 * curve.order)
        bottom = axes.get_ylim()[0]
        axes.fill_between(x, y, bottom, color=colour, linewidth=0, label=curve.name, zorder=2 - curve.order / 100)
        return
    style: dict[str, Any] = {"color": grey(), "linewidth": thick(1.0)}
    zorder = 4.0
    if curve.role == SUPERSEDED:
        style, zorder = {"color": pale(), "linewidth": thick(0.7)}, 1.0
    elif curve.role == "val":
        style = {"color": curve_colour(1)}
    elif run is not None:
        style = run_style(run) if several else {"color": curve_colour(run)}
        if curve.role.endswith(".faint"):
            raw = {"linestyle": "-", "linewidth": thick(0.7), "alpha": 0.2 if several else 0.35}
            style |= raw if curve.name in ("", RAW) else _dashed()
            zorder = 2.0
    if len(x) == 1:
        style |= {"marker": "o", "markersize": thick(4)}
    axes.plot(x, y, label=curve.name if curve.name and len(x) else "_", zorder=zorder + number / 1000, **style)
    if curve.std is not None:
        part = slice(*visible(curve.x, shown.x.values(shown.log_x)))
        low, high = (edge.y[part] for edge in curve.band)
        axes.fill_between(curve.x[part], low, high, color=style["color"], alpha=0.18, linewidth=0, zorder=2)


def _reduced(plot: Plot, curve: Curve, shown: Limits) -> tuple[FloatArray, FloatArray]:
    """The visible points and the next one on either side; of very many only those that draw the same line (M4).

    A gap (nan, inf) stays a gap, as one nan.
    """
    first, stop = visible(curve.x, shown.x.values(shown.log_x))
    if first == stop and (first == 0 or stop == len(curve.x)):
        return np.empty(0), np.empty(0)
    first = max(first - 1, int(np.searchsorted(curve.x, 0.0, "right")) if shown.log_x else 0)
    part = slice(first, stop + 1)
    x, y = curve.x[part], drawable(curve.y[part].astype(np.float64))
    finite = np.isfinite(y)
    if len(x) <= 4 * PIXEL_COLUMNS:
        return x, np.where(finite, y, np.nan)
    scale = XScale(plot.x_axis, shown.x, PIXEL_COLUMNS // X_DOTS, shown.log_x)
    drawn = stroke(curve, scale, plot.log)
    at = shown.x.low + shown.x.span * drawn.x / (scale.pixels - 1)
    gaps = np.flatnonzero(~drawn.joined) + 1
    x, y = 10**at if shown.log_x else at, 10**drawn.y if plot.log else drawn.y
    return np.insert(x, gaps, x[gaps]), np.insert(y, gaps, np.nan)


def _draw_points(axes: Axes, points: Points, shown: Limits, log: bool) -> None:
    """Draw single points in the range: the validation of one run as stars, of several with the marker of each."""
    part = slice(*visible(points.x, shown.x.values(shown.log_x)))
    x, y, bounds = points.x[part], points.y[part], shown.y.values(log)
    rows = np.flatnonzero((y >= bounds.low) & (y <= bounds.high))
    rows = rows[_one_in_each_cell(axes, x[rows], y[rows])]
    x, y, run = x[rows], y[rows], run_of(points)
    style: dict[str, Any] = {"marker": "*", "s": area(48), "color": curve_colour(1), "edgecolors": axes.get_facecolor()}
    if run is not None:
        crowd = {"s": area(8), "alpha": 0.7} if len(x) > _CROWD else {"s": area(14)}
        style = {"marker": run_marker(run), "color": curve_colour(run), "linewidths": 0, **crowd}
    if points.shade is not None:
        shade = points.shade[part][rows]
        # The newest on top.
        order = np.argsort(shade, kind="stable")
        x, y = x[order], y[order]
        style = {"marker": "o", "s": area(9), "c": shade[order], "cmap": shades(), "linewidths": 0, "alpha": 0.8}
    if len(x):
        drawn = axes.scatter(
            x, y, zorder=5 if points.shade is None else 4, clip_on=False, label=points.name or "_",
            rasterized=len(x) > _MOST_VECTORS, **{"linewidths": thick(0.5), **style},
        )  # fmt: skip
        if points.shade is not None:
            _add_colours(axes, drawn, "step")


def _one_in_each_cell(axes: Axes, x: FloatArray, y: FloatArray) -> IndexArray:
    """Of very many points the indices of those that draw the same cloud."""
    if len(x) <= _MOST_VECTORS:
        return np.arange(len(x))
    shares = axes.transAxes.inverted().transform(axes.transData.transform(np.column_stack((x, y))))
    across, up = (np.round(shares[:, side] * cells).astype(np.intp) for side, cells in enumerate(_CELLS))
    _, first = np.unique(across * (_CELLS[1] + 2) + up, return_index=True)
    return np.asarray(first, dtype=np.intp)


def _add_colours(axes: Axes, drawn: ScalarMappable, label: str) -> None:
    """The meaning of the colours, at the right."""
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.015, aspect=30)
    bar.set_label(label)
    bar.outline.set_visible(False)
    low, high = drawn.get_clim()
    if low is None or high is None or not low < high:
        return
    if isinstance(drawn.norm, LogNorm):
        ticks = y_ticks(Range(float(np.log10(low)), float(np.log10(high))), 6, log=True)
    else:
        ticks = x_ticks("step", Range(low, high), 6)
    at = [10**position if isinstance(drawn.norm, LogNorm) else position for position, _ in ticks]
    bar.set_ticks(at, labels=[tick_label(text) for _, text in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())


def _draw_non_finite(axes: Axes, plot: Plot, values: Range) -> str:
    """A cross at the foot for each nan or inf of a run, as it was recorded; returns what they are, empty for none."""
    recorded: dict[int, Curve] = {}
    for curve in plot.curves:
        run = run_of(curve)
        if run is not None and not curve.forecast:
            recorded.setdefault(run, curve)
    rows = [(curve, slice(*visible(curve.x, values))) for curve in recorded.values()]
    x = np.concatenate([curve.x[part][~np.isfinite(curve.y[part])] for curve, part in rows] or [np.empty(0)])
    text = f"nan or inf ({len(x):,})" if len(x) else ""
    if text:
        some = x[:: -(-len(x) // _MOST_CROSSES)]
        axes.scatter(
            some, np.zeros(len(some)), marker="x", s=area(18), color=curve_colour(1), linewidths=thick(1),
            clip_on=False, zorder=6, transform=axes.get_xaxis_transform(), label=text,
        )  # fmt: skip
    return text


def _draw_lines(axes: Axes, plot: Plot, shown: Limits) -> None:
    """Levels and vertical lines, as far as they lie in the range."""
    accent = grey() if _has_several_runs(plot) else curve_colour(1)
    colours = {"level": accent, "clip": ink(), "grid": pale()}
    bounds = shown.y.values(plot.log)
    for level in plot.levels:
        if bounds.low <= level.y <= bounds.high:
            colour = colours.get(level.role, grey())
            axes.axhline(level.y, color=colour, zorder=3, label=level.name or "_", **_dashed())
    for line in plot.vertical_lines:
        axes.axvline(line.x, color=accent, zorder=2, label=line.name, **_dashed())


def _dashed() -> dict[str, Any]:
    return {"linewidth": thick(1.0), "linestyle": _DASHES}


def _draw_events(axes: Axes, plot: Plot, values: Range, *, named: bool) -> None:
    """Events as signs at the foot of the chart; where a run was resumed a line goes up from there."""
    for kind, (sign, name) in EVENT_MARKERS.items():
        x = np.array([marker.x for marker in plot.markers if marker.kind == kind])
        x = x[(x >= values.low) & (x <= values.high)]
        if not len(x):
            continue
        colour = curve_colour(1) if kind == "alert" else grey()
        hollow: dict[str, Any] = {"facecolors": "none", "edgecolors": colour} if kind == "eval" else {"color": colour}
        axes.scatter(
            x, np.full(len(x), 0.025), marker=sign, s=area(20), linewidths=thick(0.5), zorder=6,
            label=name if named else "_",
            transform=axes.get_xaxis_transform(), **hollow,
        )  # fmt: skip
        if kind == "restart":
            axes.vlines(x, 0, 1, transform=axes.get_xaxis_transform(), color=pale(), linewidth=thick(0.8), zorder=1)


def _draw_map(axes: Axes, heat: HeatMap, options: ChartOptions) -> None:
    """Rows over x as colours, logarithmic where every value is above zero."""
    everything = replace(heat.as_plot, curves=(Curve(heat.x, np.zeros(len(heat.x)), "run0"),))
    shown = limits(everything, options)
    set_x(axes, heat.x_axis, shown, padded=False)
    part = slice(*visible(heat.x, shown.x.values(shown.log_x)))
    values = np.where(np.isfinite(heat.values[part].T), heat.values[part].T, np.nan)
    finite = values[np.isfinite(values)]
    norm = LogNorm(float(finite.min()), float(finite.max())) if len(finite) and finite.min() > 0 else None
    rows = range(len(heat.rows))
    mesh = axes.pcolormesh(heat.x[part], rows, values, norm=norm, cmap=shades(), shading="nearest", rasterized=True)
    _add_colours(axes, mesh, heat.label)
    axes.grid(False)
    axes.set_ylabel("block")
    every = max(1, -(-len(rows) // 16))
    axes.set_yticks(rows[::every], [tick_text(name) for name in heat.rows[::every]])
