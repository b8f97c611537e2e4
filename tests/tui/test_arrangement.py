"""The arrangement of charts on a screen of any size."""

from __future__ import annotations

from itertools import product

import pytest

from tuitrain.tui.arrangement import GRID_UNITS, HEADER_ROWS, LEAST_CHART_ROWS, SELECTOR_ROWS, arrange


@pytest.mark.parametrize(
    ("size", "sizes", "rows"),
    [
        ((200, 50), (1,) * 6, [[4, 4, 4], [4, 4, 4]]),
        ((120, 35), (1,) * 6, [[6, 6], [6, 6], [6, 6]]),
        ((120, 35), (1,) * 3, [[4, 4, 4]]),
        ((300, 50), (1,) * 8, [[3, 3, 3, 3], [3, 3, 3, 3]]),
        # Rows hold about the same number of charts and are filled to the full width.
        ((200, 50), (1,) * 4, [[6, 6], [6, 6]]),
        ((200, 50), (1,) * 7, [[4, 4, 4], [4, 4, 4], [12]]),
        ((200, 50), (2, 1, 1, 1, 1), [[8, 4], [4, 4, 4]]),
        ((200, 50), (1, 3, 1), [[12], [12], [12]]),
        ((200, 50), (1,), [[12]]),
    ],
)
def test_charts_share_the_rows(size: tuple[int, int], sizes: tuple[int, ...], rows: list[list[int]]) -> None:
    arrangement = arrange(*size, sizes, 0.3)
    assert [list(row.values()) for row in arrangement.rows] == rows
    assert [panel for row in arrangement.rows for panel in row] == list(range(len(sizes)))
    assert len(arrangement.pages) == 1
    assert not arrangement.single


@pytest.mark.parametrize(("size", "count"), [((80, 24), 6), ((80, 24), 3), ((10, 3), 1), ((200, 11), 6), ((1, 1), 12)])
def test_a_small_screen_shows_one_chart_at_a_time(size: tuple[int, int], count: int) -> None:
    arrangement = arrange(*size, (1,) * count, 0.3)
    assert arrangement.single
    assert arrangement.pane_rows == 0
    assert [arrangement.page_of(panel) for panel in range(count)] == list(range(count))


@pytest.mark.parametrize("size", list(product((100, 120, 160, 200, 300), (20, 35, 50, 100))))
@pytest.mark.parametrize("count", range(1, 13))
def test_any_number_of_panels_fits_on_pages(size: tuple[int, int], count: int) -> None:
    arrangement = arrange(*size, (1,) * count, 0.3)
    most = max(len(page) for page in arrangement.pages)
    assert sorted(panel for row in arrangement.rows for panel in row) == list(range(count))
    assert all(sum(row.values()) == GRID_UNITS for row in arrangement.rows)
    assert arrangement.pane_rows + most * LEAST_CHART_ROWS + HEADER_ROWS + SELECTOR_ROWS <= size[1]
    # Pages differ by at most one row.
    assert most - min(len(page) for page in arrangement.pages) <= 1


def test_up_and_down_select_the_panel_above_and_below() -> None:
    arrangement = arrange(200, 50, (2, 1, 1, 1, 1), 0.3)
    assert [arrangement.neighbour(panel, 1) for panel in range(5)] == [2, 4, 0, 0, 1]
    assert [arrangement.neighbour(panel, -1) for panel in range(5)] == [2, 4, 0, 0, 1]
