"""The axes of a figure: limits, ticks and labels, as the terminal's charts have them, and a second scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from tuitrain.analysis.limits import SMALLEST
from tuitrain.analysis.metrics import BY_KEY
from tuitrain.export.style import font, tick_label
from tuitrain.plots.axes import PlotAxis, Range
from tuitrain.plots.limits import Limits
from tuitrain.plots.model import Plot, SecondAxis
from tuitrain.plots.ticks import x_ticks, y_ticks

_PADDING = 0.015
"""Room around the data, as a share of the axis, so that a line at its end is not cut in half."""
_MOST_IN_SECOND_AXIS = 1e15
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


def set_x(axes: Axes, name: PlotAxis, shown: Limits, *, padded: bool) -> None:
    """Scale, limits and ticks of the x axis."""
    room = _PADDING * shown.x.span if padded else 0.0
    around = Range(shown.x.low - room, shown.x.high + room)
    bounds = around.values(shown.log_x)
    if shown.log_x:
        axes.set_xscale("log")
    axes.set_xlim(bounds.low, bounds.high)
    ticks = x_ticks(name, around, _tick_count(axes.get_window_extent().width, 0.8, axes), shown.log_x)
    positions = [10**at if shown.log_x else at for at, _ in ticks]
    plain = name == "step" and positions and max(positions) < 1e6
    texts = [f"{at:,.0f}" if plain else tick_label(text) for at, (_, text) in zip(positions, ticks, strict=True)]
    axes.set_xticks(positions, texts)
    axes.xaxis.set_minor_locator(NullLocator())


def set_y(axes: Axes, plot: Plot, shown: Range) -> None:
    """Label, scale, limits and ticks of the y axis."""
    room = _PADDING * shown.span
    bounds = Range(shown.low - room, shown.high + room).values(plot.log)
    if plot.log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(bounds.low, bounds.high)
    axes.set_ylabel(_y_label(plot))
    ticks = y_ticks(shown, _tick_count(axes.get_window_extent().height, 0.3, axes), plot.log)
    positions, texts = [at for at, _ in ticks], [text for _, text in ticks]
    if plot.log:
        positions, texts = [10**at for at in positions], _alike(positions, texts)
    axes.set_yticks(positions, [tick_label(text) for text in texts])
    axes.yaxis.set_minor_locator(NullLocator())


def _alike(positions: Sequence[float], texts: Sequence[str]) -> list[str]:
    """The labels of a logarithmic axis, all with a power of ten where one has it. positions: log10 of the values."""
    if not any("e" in text for text in texts):
        return list(texts)
    powers = [math.floor(position + 1e-9) for position in positions]
    return [f"{10 ** (at - power):.3g}e{power}" for at, power in zip(positions, powers, strict=True)]


def _tick_count(pixels: float, inches: float, axes: Axes) -> int:
    """How many ticks there are on so many pixels, one for each so many inches at the usual size of text."""
    return max(3, round(pixels / axes.figure.dpi / inches / font(1)))


def add_second_axis(axes: Axes, second: SecondAxis, shown: Range) -> None:
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


def _y_label(plot: Plot) -> str:
    metric = BY_KEY.get(plot.metric)
    if metric is None:
        return plot.title
    if metric.key in _Y_LABELS:
        return _Y_LABELS[metric.key]
    if plot.title.startswith(metric.title) or not metric.unit:
        return metric.label if plot.title.startswith(metric.title) else plot.title
    return plot.title if plot.title.endswith(metric.unit) else f"{plot.title}, {metric.unit}"
