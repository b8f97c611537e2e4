"""How a screen of charts and tabs shares its cells: rows of panels, pages of rows, a pane below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEADER_ROWS = 2
SELECTOR_ROWS = 1
LEAST_CHART_ROWS = 9
LEAST_PANE_ROWS = 3
GRID_UNITS = 12
"""Units a row is wide: one to four charts, or a wide one beside a narrow one, share it without a rest."""


Row = dict[int, int]
"""The panels of a row by their numbers, with how many of the GRID_UNITS each is wide."""


@dataclass(frozen=True)
class Arrangement:
    """Pages of rows of panels; `pane_rows` below them; `single`: there is room for one chart or one tab at a time."""

    pages: tuple[tuple[Row, ...], ...]
    pane_rows: int = 0
    single: bool = False

    @property
    def rows(self) -> list[Row]:
        """The rows of all pages."""
        return [row for page in self.pages for row in page]

    def page_of(self, panel: int) -> int:
        """The page a panel is on."""
        return next((n for n, page in enumerate(self.pages) if any(panel in row for row in page)), 0)

    def neighbour(self, panel: int, by: int) -> int:
        """The panel nearest to this one, `by` rows below (negative: above); after the last row comes the first."""
        rows = self.rows
        at = next((n for n, row in enumerate(rows) if panel in row), None)
        if at is None:
            return panel
        middle = _middles(rows[at])[panel]
        middles = _middles(rows[(at + by) % len(rows)])
        return min(middles, key=lambda other: abs(middles[other] - middle))


def _middles(row: Row) -> dict[int, float]:
    """Where the middle of each panel of a row is, in units."""
    middles, start = {}, 0
    for panel, span in row.items():
        middles[panel] = start + span / 2
        start += span
    return middles


def arrange(
    width: int, height: int, sizes: Sequence[int], pane_share: float, others: Sequence[int] = ()
) -> Arrangement:
    """The arrangement of panels of these sizes (in columns) for width × height cells above the foot.

    The pane gets `pane_share` of what the charts can spare. Rows that do not fit go to further pages, as evenly as
    they can. others: the sizes of panels on pages after these, which take nothing from the pane.
    """
    columns = _columns(width, sum(sizes))
    free = height - HEADER_ROWS - SELECTOR_ROWS
    fitting = free // LEAST_CHART_ROWS
    if fitting < (1 if columns > 1 else 3):
        return Arrangement(tuple(({panel: GRID_UNITS},) for panel in range(len(sizes) + len(others))), single=True)
    pages = _pages(_rows(sizes, columns), fitting)
    most = max((len(page) for page in pages), default=0)
    pane = min(int(free * pane_share), free - most * LEAST_CHART_ROWS)
    if others:
        rows = _rows(others, _columns(width, sum(others)))
        shifted = [{panel + len(sizes): span for panel, span in row.items()} for row in rows]
        pages += _pages(shifted, max(most, int(free * (1 - pane_share)) // LEAST_CHART_ROWS, 1))
    return Arrangement(pages, pane if pane >= LEAST_PANE_ROWS else 0)


def _pages(rows: Sequence[Row], fitting: int) -> tuple[tuple[Row, ...], ...]:
    return tuple(tuple(rows[n] for n in part) for part in _shares(len(rows), -(-len(rows) // fitting)))


def _columns(width: int, useful: int) -> int:
    """Columns of charts for a width, at most `useful`."""
    if useful <= 3:
        return max(useful, 1) if width >= 36 * useful else 1
    if width >= 240 and useful > 6:
        return 4
    return 3 if width >= 150 else 2 if width >= 100 else 1


def _rows(sizes: Sequence[int], columns: int) -> list[Row]:
    """Panels in order in as few rows as they need, the rows about equally full, each filled to its end."""
    sizes = [min(size, columns) for size in sizes]
    count = len(_filled(sizes, columns))
    # The narrowest rows that are no more than that: eight panels in three columns are 3, 3, 2, and four are 2, 2.
    narrowest = next(
        limit for limit in range(max(sizes, default=1), columns + 1) if len(_filled(sizes, limit)) == count
    )
    return [_stretched(row, sizes) for row in _filled(sizes, narrowest)]


def _filled(sizes: Sequence[int], columns: int) -> list[list[int]]:
    rows: list[list[int]] = []
    room = 0
    for panel, size in enumerate(sizes):
        if size > room:
            rows.append([])
            room = columns
        rows[-1].append(panel)
        room -= size
    return rows


def _stretched(row: Sequence[int], sizes: Sequence[int]) -> Row:
    total = sum(sizes[panel] for panel in row)
    return {panel: GRID_UNITS * sizes[panel] // total for panel in row}


def _shares(count: int, parts: int) -> list[range]:
    """0 … count - 1 in this many stretches of about equal length."""
    return [range(count * part // parts, count * (part + 1) // parts) for part in range(parts)]
