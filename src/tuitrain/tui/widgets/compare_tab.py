"""The tables of a comparison below the charts: metrics with their differences, and the config keys that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal

from tuitrain.tui.content.cells import Cells, Column
from tuitrain.tui.content.comparison import LEAST_CONFIG_CELLS, config_table, metrics_table, verdict_lines
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.tab_content import TabContent
from tuitrain.tui.widgets.table import Table, table_width


class CompareTab(TabContent):
    """The verdict on the runs, their metrics and the config keys in which they differ; or the config alone."""

    def __init__(self, *, id: str, metrics: bool) -> None:
        super().__init__(verdict_lines, id=id)
        self._metrics = metrics

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Horizontal(Table(id="metrics-table", show_cursor=False), Table(id="config-table", show_cursor=False))

    def draw_state(self, state: ViewState) -> None:
        cells = self.app.size.width - 1
        self.show(verdict_lines(state, cells) if self._metrics or not state.runs else [])
        metrics, config = self.query_one("#metrics-table", Table), self.query_one("#config-table", Table)
        metrics.display = config.display = bool(state.runs)
        if not state.runs:
            return
        metrics.display = self._metrics
        if self._metrics:
            columns, rows = metrics_table(state, cells)
            needed = table_width(columns, rows)
            config.display = cells - needed >= LEAST_CONFIG_CELLS
            metrics.styles.width = needed if config.display else "1fr"
            _show(metrics, columns, rows)
        if config.display:
            _show(config, *config_table(state))


def _show(table: Table, columns: Sequence[Column], rows: Mapping[str, Cells]) -> None:
    """Show a table as high as its rows and their heading."""
    table.styles.height = len(rows) + 1
    table.show(columns, rows)
