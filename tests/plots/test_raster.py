"""Lines to braille, against plotext as the reference."""

from __future__ import annotations

import numpy as np
import pytest

from tuitrain.plots import text
from tuitrain.plots.axes import Range
from tuitrain.plots.layers import Rasterize
from tuitrain.plots.model import Curve
from tuitrain.plots.raster import BLANK, rasterize
from tuitrain.plots.strokes import Stroke, stroke
from tuitrain.plots.x_scale import XScale
from tuitrain.runs import FloatArray
from tuitrain.seven_bit import seven_bit

COLUMNS, ROWS = 60, 14
UNIT = Range(0.0, 1.0)


def across(y: FloatArray) -> Stroke:
    """A whole series over the width and the height of the canvas."""
    heights = (y - y.min()) / (float(np.ptp(y)) or 1.0)
    ends = Range(0.0, float(max(len(y) - 1, 1)))
    return stroke(Curve(np.arange(float(len(y))), heights, "run0"), XScale("step", ends, COLUMNS), log_y=False)


def cells(*strokes: Stroke, draw: Rasterize = rasterize) -> list[str]:
    dots, _ = draw(strokes, UNIT, COLUMNS, ROWS)
    return ["".join(chr(BLANK + value) if value else " " for value in row) for row in dots.tolist()]


def by_plotext(*strokes: Stroke) -> list[str]:
    """The same lines drawn by plotext, whose limits are set to the pixels of the canvas."""
    return cells(*strokes, draw=text.rasterize)


NOISE = np.random.default_rng(7)
SHAPES = {
    "falling": 2 + 8 * (np.arange(3000) + 10) ** -0.45,
    "noise": NOISE.standard_normal(50_000),
    "spike": np.where(np.arange(20_000) == 7777, 5.0, np.sin(np.arange(20_000) / 900)),
    "steps": np.repeat([0.0, 3.0, 1.0, 2.0], 400),
    "a few points": np.array([0.0, 5.0, 1.0, 4.0, 4.5]),
    "one point": np.array([1.0]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_cells_equal_those_of_plotext(name: str) -> None:
    drawn = across(SHAPES[name])
    ours, theirs = "".join(cells(drawn)), "".join(by_plotext(drawn))
    assert any(cell != " " for cell in ours)
    # plotext's floating-point steps sometimes end just short of a whole pixel.
    assert sum(a != b for a, b in zip(ours, theirs, strict=True)) <= 2


def test_a_later_line_is_drawn_over_an_earlier_one() -> None:
    below, above = across(SHAPES["noise"]), across(SHAPES["falling"])
    _, owner = rasterize((below, above), UNIT, COLUMNS, ROWS)
    _, alone = rasterize((above,), UNIT, COLUMNS, ROWS)
    assert (owner[alone == 0] == 1).all()
    assert (owner == 0).any()
    ours, theirs = "".join(cells(below, above)), "".join(by_plotext(below, above))
    assert sum(a != b for a, b in zip(ours, theirs, strict=True)) <= 2


def test_a_gap_is_not_drawn_over() -> None:
    y = np.zeros(81)
    y[21:60] = np.nan
    gap = stroke(Curve(np.arange(81.0), y, "run0"), XScale("step", Range(0, 119), COLUMNS), log_y=False)
    bottom = cells(gap)[-1]
    assert bottom[:11].strip() and bottom[30:41].strip()
    assert not bottom[11:30].strip()


def test_an_empty_series_gives_an_empty_canvas() -> None:
    empty = stroke(Curve(np.empty(0), np.empty(0), "run0"), XScale("step", UNIT, 5), log_y=False)
    dots, owner = rasterize((empty,), UNIT, 5, 3)
    assert not dots.any()
    assert (owner == -1).all()


def test_a_line_keeps_its_slope_in_seven_bits() -> None:
    rising = across(np.arange(2.0 * ROWS))
    flat = stroke(Curve(np.arange(20.0), np.zeros(20), "run0"), XScale("step", Range(0, 119), COLUMNS), log_y=False)
    assert "_" in seven_bit(cells(flat)[-1]) or "-" in seven_bit(cells(flat)[-1])
    assert len({seven_bit(row).rstrip() for row in cells(rising)}) == ROWS
