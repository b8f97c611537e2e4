"""How a screen of charts and tabs shares its cells."""

from __future__ import annotations

from dataclasses import dataclass

HEADER_ROWS = 2
SELECTOR_ROWS = 1
FOOTER_ROWS = 1
LEAST_CHART_ROWS = 9


@dataclass(frozen=True)
class Arrangement:
    """columns × rows of charts, and the rows of the pane below; `single`: one thing at a time, chart or tab."""

    columns: int
    rows: int
    pane_rows: int

    @property
    def single(self) -> bool:
        """Whether there is room for only one chart or one tab."""
        return self.columns * self.rows == 1


def arrange(width: int, height: int, charts: int, pane_share: float) -> Arrangement:
    """The arrangement for a terminal of width × height; the pane gets about `pane_share` of what charts can spare."""
    columns = _columns(width, charts)
    rows = -(-charts // columns)
    free = height - HEADER_ROWS - SELECTOR_ROWS - FOOTER_ROWS
    if columns == 1 or free < rows * LEAST_CHART_ROWS:
        return Arrangement(1, 1, 0)
    pane = min(int(free * pane_share), free - rows * LEAST_CHART_ROWS)
    return Arrangement(columns, rows, pane if pane >= 3 else 0)


def _columns(width: int, charts: int) -> int:
    if charts <= 3:
        return charts if width >= 36 * charts else 1
    return 3 if width >= 150 else 2 if width >= 100 else 1
