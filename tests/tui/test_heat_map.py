"""Heat maps as text: shades, names of rows, the crosshair."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.tui.rich_run import records, view
from tuitrain.plots.axes import Range
from tuitrain.plots.charts.drawing import draw
from tuitrain.plots.model import ChartOptions, HeatMap
from tuitrain.plots.panels import panel_of
from tuitrain.tui.text import plain, width
from tuitrain.tui.view_state import ViewState


def heat(values: list[list[float]]) -> HeatMap:
    x = np.arange(1.0, len(values) + 1)
    return HeatMap("map", x, np.array(values), tuple(f"r{row}" for row in range(len(values[0]))))


def cells_of(heat_map: HeatMap, columns: int = 40, rows: int = 10, options: ChartOptions | None = None) -> list[str]:
    lines = draw(heat_map, columns, rows, options=options).lines
    assert {width(line) for line in lines} == {columns}
    return [plain(line) for line in lines]


def test_larger_values_are_darker() -> None:
    rows = cells_of(heat([[1e-4, 1e-2, 1.0]] * 20))[1:-1]
    named = {row[1:4].strip(): row[4:-2] for row in rows if row[1:4].strip()}
    assert set(named["r0"].strip()) == {"·"}
    assert set(named["r2"].strip()) == {"█"}
    assert set(named["r1"].strip()) <= set("░▒▓")


def test_a_value_that_is_not_finite_is_marked() -> None:
    values = [[0.1, 1.0]] * 10 + [[math.nan, 1.0]] + [[0.1, 1.0]] * 10
    assert sum("×" in row for row in cells_of(heat(values), rows=4)) == 1


def test_every_block_is_visible_where_there_are_more_blocks_than_rows() -> None:
    values = [[0.01] * 50 for _ in range(20)]
    for at in range(20):
        values[at][33] = 5.0
    assert sum("█" in row for row in cells_of(heat(values), rows=8)[1:-1]) == 1


def test_the_crosshair_names_the_largest_block() -> None:
    top = cells_of(heat([[0.1, 2.5, 1.0]] * 20), columns=60, options=ChartOptions(crosshair=10.0))[0]
    assert "largest 2.5" in top
    assert "in r1" in top


@pytest.mark.parametrize("columns", [30, 40, 50, 66, 100])
def test_both_ends_of_the_scale_can_be_read(columns: int) -> None:
    heat_map = replace(heat([[0.01, 1.0, 0.3]] * 20), title="gradient norm by block", value="largest 0.3 in 11")
    top = cells_of(heat_map, columns=columns)[0]
    assert "0.01 ··░░▒▒▓█ 1 ╮" in top
    assert ("largest" in top) == (columns >= 66)


@pytest.mark.parametrize("size", [(8, 3), (9, 4), (20, 5), (200, 50), (1, 1), (0, 0)])
def test_a_heat_map_survives_every_size(size: tuple[int, int]) -> None:
    heat_map = panel_of("layers").build(ViewState([view(records())]))
    assert isinstance(heat_map, HeatMap)
    for options in (
        ChartOptions(),
        ChartOptions(zoom=Range(100, 200)),
        ChartOptions(zoom=Range(5000, 6000)),
        ChartOptions(crosshair=5.0),
    ):
        lines = draw(heat_map, *size, options=options).lines
        assert len(lines) == size[1]
