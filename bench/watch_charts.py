"""CPU of a redraw of the dashboard's panels: with the rasteriser, and with plotext (`charts = "plotext"`)."""

from __future__ import annotations

import time

import numpy as np

from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import ChartOptions, Curve, Plot

PANELS, COLUMNS, ROWS, POINTS = 6, 58, 13, 464


def plots() -> list[Plot]:
    """Six charts of two noisy curves each: a raw and a smoothed one."""
    x = np.arange(float(POINTS))
    made = []
    for seed in range(PANELS):
        noise = np.random.default_rng(seed).standard_normal((2, POINTS))
        raw, smooth = 2 + noise[0], 2 + 0.5 * noise[1]
        made.append(Plot("loss", "2.31", (Curve(x, raw, "run0.faint", "raw"), Curve(x, smooth, "run0", "smooth 0.9"))))
    return made


def redraw_ms(plotext: bool, repeats: int) -> float:
    """Milliseconds of CPU to draw all six again: the median."""
    shown, options = plots(), ChartOptions(plotext=plotext)
    times = []
    # The first drawing imports and fills caches, and does not count.
    for _ in range(repeats + 1):
        begun = time.process_time()
        for plot in shown:
            draw(plot, COLUMNS, ROWS, options=options)
        times.append(1000 * (time.process_time() - begun))
    return float(np.median(times[1:]))
