"""Decimation: few points, the same picture."""

from __future__ import annotations

import numpy as np
import pytest

from tuitrain.plots.axes import Range
from tuitrain.plots.model import Curve
from tuitrain.plots.strokes import Stroke, stroke
from tuitrain.plots.x_scale import X_DOTS, XScale, pixel

COLUMNS, ROWS = 120, 80


def segments(columns: np.ndarray, rows: np.ndarray) -> tuple[list[tuple[int, int, int]], set[tuple[int, ...]]]:
    """The pixels of a line chart: the vertical extent of each column, and the strokes between columns."""
    extent = [
        (int(c), int(rows[columns == c].min()), int(rows[columns == c].max())) for c in np.unique(columns).tolist()
    ]
    change = np.flatnonzero(np.diff(columns))
    strokes = {(int(columns[i]), int(rows[i]), int(columns[i + 1]), int(rows[i + 1])) for i in change}
    return extent, strokes


def shapes(count: int) -> dict[str, np.ndarray]:
    t, random = np.linspace(0, 1, count), np.random.default_rng(1)
    spikes = np.zeros(count)
    spikes[count // 3], spikes[count // 2] = 50, -50
    return {
        "noise": random.normal(size=count),
        "walk": random.normal(size=count).cumsum(),
        "sine": np.sin(40 * t),
        "fast sine": np.sin(9000 * t),
        "spikes": spikes,
        "constant": np.ones(count),
        "steps": np.floor(10 * t),
    }


def reduced(y: np.ndarray) -> Stroke:
    """A whole series over the width of the canvas."""
    scale = XScale("step", Range(0.0, max(len(y) - 1.0, 1.0)), COLUMNS // X_DOTS)
    return stroke(Curve(np.arange(float(len(y))), y, "run0"), scale, log_y=False)


@pytest.mark.parametrize("count", [1, 2, 7, 500, 50_000])
@pytest.mark.parametrize("name", shapes(2))
def test_the_decimated_picture_equals_the_full_one(name: str, count: int) -> None:
    y = shapes(count)[name]
    columns = pixel(np.arange(float(count)), 0, max(count - 1, 1), COLUMNS)
    drawn, ends = reduced(y), (float(y.min()) - 1, float(y.max()) + 1)
    assert segments(drawn.x, pixel(drawn.y, *ends, ROWS)) == segments(columns, pixel(y, *ends, ROWS))
    assert len(drawn.x) <= 4 * COLUMNS
    assert drawn.joined.all()


def test_one_spike_among_a_million_points_is_kept() -> None:
    y = np.zeros(1_000_000)
    y[654_321] = 1
    drawn = reduced(y)
    assert drawn.y.max() == 1
    assert len(drawn.x) <= 4 * COLUMNS


def test_an_empty_series_stays_empty() -> None:
    assert len(reduced(np.empty(0)).x) == 0


def test_the_ends_of_an_axis_map_to_its_first_and_last_pixel() -> None:
    assert pixel(np.array([2.0, 4.0]), 2, 4, 10).tolist() == [0, 9]
