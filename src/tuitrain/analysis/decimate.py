"""M4 decimation: as few points as draw the same line.

Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014: a line chart of a given width
is reproduced exactly by the first, last, lowest and highest point of each pixel column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tuitrain.runs import FloatArray

IndexArray = NDArray[np.intp]


def pixel(values: FloatArray, low: float, high: float, pixels: int) -> IndexArray:
    """The pixel of each value on an axis from low (middle of pixel 0) to high (middle of the last pixel)."""
    position = 0.5 + (pixels - 1) * (values - low) / (high - low)
    return np.floor(np.round(position, 8)).astype(np.intp)


def m4(columns: IndexArray, y: FloatArray) -> IndexArray:
    """Indices of the points that suffice to draw the line, at most four for each run of equal columns, in order.

    columns: the pixel column of each point, never decreasing; y: finite values.
    """
    if len(y) <= 4:
        return np.arange(len(y))
    starts = np.concatenate(([0], np.flatnonzero(np.diff(columns)) + 1))
    ends = np.concatenate((starts[1:], [len(y)]))
    counts = ends - starts
    lowest = _first_equal(y, np.repeat(np.minimum.reduceat(y, starts), counts), starts, counts)
    highest = _first_equal(y, np.repeat(np.maximum.reduceat(y, starts), counts), starts, counts)
    kept = np.zeros(len(y), dtype=bool)
    for indices in (starts, ends - 1, lowest, highest):
        kept[indices] = True
    return np.flatnonzero(kept)


def _first_equal(y: FloatArray, extreme: FloatArray, starts: IndexArray, counts: IndexArray) -> IndexArray:
    """For each group the index of the first point that equals the group's extreme."""
    hits = np.flatnonzero(y == extreme)
    groups = np.repeat(np.arange(len(starts)), counts)[hits]
    return hits[np.concatenate(([True], np.diff(groups) > 0))]
