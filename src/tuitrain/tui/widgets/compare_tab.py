"""The tabs of a comparison below the charts: metrics with their differences, findings, config keys that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal

from tuitrain.tui.content.cells import Cells, Column
from tuitrain.tui.content.comparison import (
    LEAST_CONFIG_CELLS,
    config_table,
    findings_lines,
    metrics_table,
    speed_table,
    verdict_lines,
)
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.tab_content import TabContent
from tuitrain.tui.widgets.table import Table, table_width

CompareContent = Literal["metrics", "findings", "config"]


class CompareTab(TabContent):
    """The verdict with the metrics and, where there is room, the config keys; or the findings; or the config alone."""

    def __init__(self, *, id: str, content: CompareContent) -> None:
        super().__init__(verdict_lines, id=id)
        self._content = content

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Horizontal(Table(id="metrics-table", show_cursor=False), Table(id="config-table", show_cursor=False))

    def draw_state(self, state: ViewState) -> None:
        cells, content = self.app.size.width - 1, self._content
        make_lines = {"metrics": verdict_lines, "findings": findings_lines}.get(content)
        self.show(verdict_lines(state, cells) if not state.runs else make_lines(state, cells) if make_lines else [])
        metrics, config = self.query_one("#metrics-table", Table), self.query_one("#config-table", Table)
        metrics.display = bool(state.runs) and content != "config"
        config.display = bool(state.runs) and content == "config"
        if metrics.display:
            columns, rows = (speed_table if content == "findings" else metrics_table)(state, cells)
            needed = table_width(columns, rows)
            metrics.display = bool(rows)
            config.display = content == "metrics" and cells - needed >= LEAST_CONFIG_CELLS
            metrics.styles.width = needed if config.display else "1fr"
            _show(metrics, columns, rows)
        if config.display:
            _show(config, *config_table(state))


def _show(table: Table, columns: Sequence[Column], rows: Mapping[str, Cells]) -> None:
    """Show a table as high as its rows and their heading."""
    table.styles.height = len(rows) + 1
    table.show(columns, rows)
