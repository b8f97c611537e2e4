"""A plot on the axes of a matplotlib figure, with the limits and ticks that the terminal's charts have."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.text import Text
from matplotlib.ticker import NullLocator

from tuitrain.analysis.limits import SMALLEST, drawable
from tuitrain.analysis.metrics import BY_KEY
from tuitrain.export.style import curve_colour, font, grey, ink, pale, run_marker, run_style, tick_label, tick_text
from tuitrain.plots.axes import X_TITLES, Range, XAxis
from tuitrain.plots.limits import Limits, limits, visible
from tuitrain.plots.model import NO_DATA, RAW, SUPERSEDED, ChartOptions, Curve, HeatMap, Plot, Points, SecondAxis
from tuitrain.plots.roles import RUN_COLOURS
from tuitrain.plots.strokes import stroke
from tuitrain.plots.ticks import x_ticks, y_ticks
from tuitrain.plots.x_scale import X_DOTS, XScale
from tuitrain.runs import FloatArray

PIXEL_COLUMNS = 2000
"""More columns than a panel has at any usual resolution, so that decimation cannot be seen."""
_MOST_CROSSES = 500
_MOST_ROWS = 4
"""Of a legend between the curves, before it has two columns."""
_MOST_IN_SECOND_AXIS = 1e15
_PADDING = 0.015
"""Room to the left and to the right of the data, as a share of the axis."""
_DASHED: dict[str, Any] = {"linewidth": 1.0, "linestyle": (0, (5, 2))}
_TITLES = {"mfu": "Model FLOPs utilisation", "tflops": "Achieved compute"}
_Y_LABELS = {
    "loss": "loss, nats per token",
    "val_loss": "loss, nats per token",
    "tokens": "cumulative tokens",
    "mfu": "MFU, %",
    "tflops": "TFLOP/s per device",
    "tokens_per_sec": "throughput, tokens/s",
    "mem_peak_gb": "memory per device, GB",
}
"""Labels of the vertical axis by metric, where they say more than the metric's own."""
EVENT_MARKERS = {
    "checkpoint": ("^", "checkpoint"),
    "eval": ("^", "evaluation"),
    "restart": ("|", "resumed"),
    "alert": ("$!$", "alert"),
}
"""Matplotlib's marker and the name of each kind of event."""


def draw(axes: Axes, plot: Plot | HeatMap, options: ChartOptions | None = None, *, legend: bool = True) -> None:
    """Draw a plot on empty axes, in the style that holds. legend: beside the title, of all that has a name."""
    options = options or ChartOptions()
    axes.set_title(title_of(plot))
    axes.set_xlabel("clock, local time" if plot.x_axis == "clock" else X_TITLES[plot.x_axis])
    reason = _reason_for_no_data(plot)
    if reason:
        axes.text(0.5, 0.5, textwrap.fill(reason, 40), transform=axes.transAxes, ha="center", va="center",
                  color=grey(), fontsize=font(9))  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
    elif isinstance(plot, HeatMap):
        _draw_map(axes, plot, options)
    else:
        _draw_plot(axes, plot, options)
        if legend:
            _add_legend(axes)


def title_of(plot: Plot | HeatMap) -> str:
    """The title of a plot in a figure."""
    metric = BY_KEY.get(plot.metric) if isinstance(plot, Plot) else None
    title = plot.title
    if metric is not None and title in (metric.title, metric.label):
        title = _TITLES.get(metric.key, metric.title)
    return title[:1].upper() + title[1:]


def _y_label(plot: Plot) -> str:
    metric = BY_KEY.get(plot.metric)
    if metric is None:
        return plot.title
    if metric.key in _Y_LABELS:
        return _Y_LABELS[metric.key]
    if plot.title.startswith(metric.title) or not metric.unit:
        return metric.label if plot.title.startswith(metric.title) else plot.title
    return plot.title if plot.title.endswith(metric.unit) else f"{plot.title}, {metric.unit}"


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


def _draw_plot(axes: Axes, plot: Plot, options: ChartOptions) -> None:
    shown = limits(plot, options)
    values = shown.x.values(shown.log_x)
    _set_x(axes, plot.x_axis, shown, padded=options.zoom is None)
    _set_y(axes, plot, shown.y)
    drawn = [_draw_curve(axes, plot, curve, shown, number) for number, curve in _by_order(plot.curves)]
    drawn += [_draw_points(axes, points, shown, plot.log) for points in plot.points]
    _draw_non_finite(axes, plot, values)
    _draw_lines(axes, plot, shown)
    _draw_events(axes, plot, values)
    if plot.second_axis is not None and not plot.log:
        _add_second_axis(axes, plot.second_axis, shown.y)
    outliers = _count(shown.above, "above"), _count(shown.below, "below")
    beyond = ", ".join(filter(None, outliers))
    notes = [*plot.notes, smoothing_note(plot), f"{beyond} the range" if beyond else ""]
    _add_notes(axes, [textwrap.fill(note, 44) for note in notes if note], np.concatenate(drawn))


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


def _draw_curve(axes: Axes, plot: Plot, curve: Curve, shown: Limits, number: int) -> FloatArray:
    """Draw a curve with its band; returns the points drawn."""
    x, y = _reduced(plot, curve, shown)
    y = np.where(y > 0, y, np.nan) if plot.log else y
    run, several = run_of(curve), _has_several_runs(plot)
    style: dict[str, Any] = {"color": grey(), "linewidth": 1.0}
    zorder = 4.0
    if curve.role == SUPERSEDED:
        style, zorder = {"color": pale(), "linewidth": 0.7}, 1.0
    elif curve.role == "val":
        style = {"color": curve_colour(1)}
    elif run is not None:
        style = run_style(run) if several else {"color": curve_colour(run)}
        if curve.role.endswith(".faint"):
            raw = {"linestyle": "-", "linewidth": 0.7, "alpha": 0.2 if several else 0.35}
            style |= raw if curve.name in ("", RAW) else _DASHED
            zorder = 2.0
    if len(x) == 1:
        style |= {"marker": "o", "markersize": 4}
    axes.plot(x, y, label=curve.name if curve.name and len(x) else "_", zorder=zorder + number / 1000, **style)
    if curve.std is not None:
        part = slice(*visible(curve.x, shown.x.values(shown.log_x)))
        low, high = (edge.y[part] for edge in curve.band)
        axes.fill_between(curve.x[part], low, high, color=style["color"], alpha=0.18, linewidth=0, zorder=2)
    return np.column_stack((x, y))


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


def _draw_points(axes: Axes, points: Points, shown: Limits, log: bool) -> FloatArray:
    """Draw single points in the range: the validation of one run as stars, of several with the marker of each."""
    part = slice(*visible(points.x, shown.x.values(shown.log_x)))
    x, y, bounds = points.x[part], points.y[part], shown.y.values(log)
    inside = (y >= bounds.low) & (y <= bounds.high)
    x, y = x[inside], y[inside]
    run = run_of(points)
    style: dict[str, Any] = {"marker": "*", "s": 48, "color": curve_colour(1), "edgecolors": axes.get_facecolor()}
    if run is not None:
        style = {"marker": run_marker(run), "s": 14, "color": curve_colour(run), "linewidths": 0}
    if len(x):
        axes.scatter(x, y, zorder=5, clip_on=False, label=points.name or "_", **{"linewidths": 0.5, **style})
    return np.column_stack((x, y))


def _draw_non_finite(axes: Axes, plot: Plot, values: Range) -> None:
    """A cross at the foot for each nan or inf of a run, as it was recorded."""
    recorded: dict[int, Curve] = {}
    for curve in plot.curves:
        run = run_of(curve)
        if run is not None and not curve.forecast:
            recorded.setdefault(run, curve)
    rows = [(curve, slice(*visible(curve.x, values))) for curve in recorded.values()]
    x = np.concatenate([curve.x[part][~np.isfinite(curve.y[part])] for curve, part in rows] or [np.empty(0)])
    if len(x):
        some = x[:: -(-len(x) // _MOST_CROSSES)]
        axes.scatter(
            some, np.zeros(len(some)), marker="x", s=18, color=curve_colour(1), linewidths=1.0, clip_on=False,
            zorder=6, transform=axes.get_xaxis_transform(), label=f"nan or inf ({len(x):,})",
        )  # fmt: skip


def _draw_lines(axes: Axes, plot: Plot, shown: Limits) -> None:
    """Levels and vertical lines, as far as they lie in the range."""
    accent = grey() if _has_several_runs(plot) else curve_colour(1)
    colours = {"level": accent, "clip": ink(), "grid": pale()}
    bounds = shown.y.values(plot.log)
    for level in plot.levels:
        if bounds.low <= level.y <= bounds.high:
            colour = colours.get(level.role, grey())
            axes.axhline(level.y, color=colour, zorder=3, label=level.name or "_", **_DASHED)
    for line in plot.vertical_lines:
        axes.axvline(line.x, color=accent, zorder=2, label=line.name, **_DASHED)


def _draw_events(axes: Axes, plot: Plot, values: Range) -> None:
    """Events as signs at the foot of the chart; where a run was resumed a line goes up from there."""
    for kind, (sign, name) in EVENT_MARKERS.items():
        x = np.array([marker.x for marker in plot.markers if marker.kind == kind])
        x = x[(x >= values.low) & (x <= values.high)]
        if not len(x):
            continue
        colour = curve_colour(1) if kind == "alert" else grey()
        hollow: dict[str, Any] = {"facecolors": "none", "edgecolors": colour} if kind == "eval" else {"color": colour}
        axes.scatter(
            x, np.full(len(x), 0.025), marker=sign, s=20, linewidths=0.5, zorder=6, label=name,
            transform=axes.get_xaxis_transform(), **hollow,
        )  # fmt: skip
        if kind == "restart":
            axes.vlines(x, 0, 1, transform=axes.get_xaxis_transform(), color=pale(), linewidth=0.8, zorder=1)


def _draw_map(axes: Axes, heat: HeatMap, options: ChartOptions) -> None:
    """Rows over x as colours, logarithmic where every value is above zero."""
    everything = replace(heat.as_plot, curves=(Curve(heat.x, np.zeros(len(heat.x)), "run0"),))
    shown = limits(everything, options)
    _set_x(axes, heat.x_axis, shown, padded=False)
    part = slice(*visible(heat.x, shown.x.values(shown.log_x)))
    values = np.where(np.isfinite(heat.values[part].T), heat.values[part].T, np.nan)
    finite = values[np.isfinite(values)]
    norm = LogNorm(float(finite.min()), float(finite.max())) if len(finite) and finite.min() > 0 else None
    rows = range(len(heat.rows))
    mesh = axes.pcolormesh(heat.x[part], rows, values, norm=norm, cmap="cividis", shading="nearest", rasterized=True)
    axes.figure.colorbar(mesh, ax=axes, pad=0.01)
    axes.grid(False)
    every = max(1, -(-len(rows) // 16))
    axes.set_yticks(rows[::every], [tick_text(name) for name in heat.rows[::every]])


def _set_x(axes: Axes, name: XAxis, shown: Limits, *, padded: bool) -> None:
    """Scale, limits and ticks of the x axis."""
    room = _PADDING * shown.x.span if padded else 0.0
    bounds = Range(shown.x.low - room, shown.x.high + room).values(shown.log_x)
    if shown.log_x:
        axes.set_xscale("log")
    axes.set_xlim(bounds.low, bounds.high)
    ticks = x_ticks(name, shown.x, _tick_count(axes.get_window_extent().width, 0.8, axes), shown.log_x)
    positions = [10**at if shown.log_x else at for at, _ in ticks]
    plain = name == "step" and positions and max(positions) < 1e6
    texts = [f"{at:,.0f}" if plain else tick_label(text) for at, (_, text) in zip(positions, ticks, strict=True)]
    axes.set_xticks(positions, texts)
    axes.xaxis.set_minor_locator(NullLocator())


def _set_y(axes: Axes, plot: Plot, shown: Range) -> None:
    """Label, scale, limits and ticks of the y axis."""
    bounds = shown.values(plot.log)
    if plot.log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(bounds.low, bounds.high)
    axes.set_ylabel(_y_label(plot))
    ticks = y_ticks(shown, _tick_count(axes.get_window_extent().height, 0.3, axes), plot.log)
    axes.set_yticks([10**at if plot.log else at for at, _ in ticks], [tick_label(text) for _, text in ticks])
    axes.yaxis.set_minor_locator(NullLocator())


def _tick_count(pixels: float, inches: float, axes: Axes) -> int:
    """How many ticks there are on so many pixels, one for each so many inches at the usual size of text."""
    return max(3, round(pixels / axes.figure.dpi / inches / font(1)))


def _add_second_axis(axes: Axes, second: SecondAxis, shown: Range) -> None:
    """A second scale at the right; left out where its values would be no numbers of any use."""
    low, high = (float(each) for each in second.forward(np.array([shown.low, shown.high])))
    if not SMALLEST < low < high < _MOST_IN_SECOND_AXIS:
        return
    right = axes.secondary_yaxis("right", functions=(second.forward, second.inverse))
    right.set_ylabel(second.title)
    count = _tick_count(axes.get_window_extent().height, 0.3, axes)
    ticks = y_ticks(Range(float(np.log10(low)), float(np.log10(high))), count, log=True)
    right.set_yticks([10**at for at, _ in ticks], [tick_label(text) for _, text in ticks])
    right.yaxis.set_minor_locator(NullLocator())
    right.tick_params(labelsize=font(8))


_NOTE_POSITIONS = {"top": (0.68, 1.0, 0.97), "bottom": (0.0, 0.32, 0.03), "center": (0.34, 0.66, 0.5)}
"""Positions of notes by vertical alignment, as shares of the axes: their lowest and highest extent, and the anchor."""


def _add_notes(axes: Axes, notes: Sequence[str], points: FloatArray) -> None:
    """Write small grey text where these points cover least of the left or right edge."""
    if not notes:
        return
    points = points[np.isfinite(points).all(axis=1)]
    shares = axes.transAxes.inverted().transform(axes.transData.transform(points)) if len(points) else points
    across, up = shares[(shares[:, 1] >= 0) & (shares[:, 1] <= 1)].T
    covered = {
        (side, height): int(((across > 0.45 if side == "right" else across < 0.55) & (up > low) & (up < high)).sum())
        for height, (low, high, _) in _NOTE_POSITIONS.items()
        for side in ("right", "left")
    }
    side, height = min(covered, key=lambda position: covered[position])
    axes.text(
        0.985 if side == "right" else 0.02, _NOTE_POSITIONS[height][2], "\n".join(notes), transform=axes.transAxes,
        fontsize=font(7.5), color=grey(), ha=side, va=height, zorder=7, linespacing=1.35,
        bbox={"facecolor": axes.get_facecolor(), "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _add_legend(axes: Axes) -> None:
    """The legend in one line to the right of the title, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        crowded = len(handles) > 2
        axes.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(handles), borderaxespad=0.1,
            handlelength=1.1 if crowded else 1.6, handletextpad=0.4, columnspacing=0.7 if crowded else 1.1,
            fontsize=font(8 if not crowded else 7.2 if len(handles) == 3 else 6.2),
        )  # fmt: skip


def place_legend(axes: Axes) -> None:
    """Move the legend into the axes where it would touch the title or the edge, with the notes that it would cover.

    The layout of the figure must be done.
    """
    legend, title = axes.get_legend(), axes.get_title(loc="left")
    if legend is None:
        return
    # The label of the vertical axis, which may read the same, is turned.
    titles = [each for each in axes.findobj(Text) if title and each.get_text() == title and not each.get_rotation()]
    extent = legend.get_window_extent()
    if extent.x0 < axes.get_window_extent().x0 or any(extent.overlaps(each.get_window_extent()) for each in titles[:1]):
        texts = legend.get_texts()
        legend = axes.legend(
            *axes.get_legend_handles_labels(), loc="best", fontsize=texts[0].get_fontsize(), frameon=True,
            ncols=1 if len(texts) <= _MOST_ROWS else 2, columnspacing=1.0, facecolor=axes.get_facecolor(),
            framealpha=0.75, edgecolor="none",
        )  # fmt: skip
    for text in list(axes.texts):
        if legend.get_window_extent().overlaps(text.get_window_extent()):
            legend.set_title(text.get_text(), prop=text.get_fontproperties())
            legend.get_title().set_color(text.get_color())
            text.remove()
