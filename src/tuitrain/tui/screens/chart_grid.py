"""What the screens with charts have in common: header, charts, tabs, footer, and the keys that move among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.containers import Container
from textual.widget import Widget

from tuitrain.plots.panels import Panel
from tuitrain.tui.actions import foot_rows
from tuitrain.tui.arrangement import GRID_UNITS, Arrangement, arrange
from tuitrain.tui.content.selector import Settings, selector
from tuitrain.tui.content.tabs import Tab
from tuitrain.tui.screens.chart_actions import ChartActions
from tuitrain.tui.text import fit
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane


class ChartGridScreen(ChartActions):
    """Charts above, tabs below. A subclass says which, and what the header says."""

    DEFAULT_CSS = """
    ChartGridScreen #charts { layout: grid; width: 1fr; height: 1fr; overflow: hidden; }
    """

    panels: tuple[Panel, ...]
    tabs: ClassVar[tuple[Tab, ...]]
    pane_share: ClassVar[float] = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.sizes: tuple[int, ...] = (1,) * len(self.panels)
        """Columns that each panel takes."""
        self.focus_index = 0
        self.tab_index = 0
        self.tab_open = False
        self.zoomed = False
        self.arrangement = Arrangement(())

    def compose_body(self) -> Iterable[Widget]:
        yield Container(*(Chart(panel.id) for panel in self.panels), id="charts")
        yield Lines(id="selector", classes="bar")
        yield Pane(id="pane")

    @property
    def charts(self) -> list[Chart]:
        """All charts in their order."""
        return list(self.query(Chart))

    @property
    def single(self) -> bool:
        """Whether one chart or one tab has the whole screen."""
        return self.arrangement.single or self.zoomed

    @property
    def page(self) -> int:
        """The page of charts that is shown, from 0: the one with the focus."""
        return self.arrangement.page_of(self.focus_index)

    async def show_panels(self, panels: Sequence[Panel], sizes: Sequence[int]) -> None:
        """Show these panels in place of the present ones; the focus stays with its panel where that is among them."""
        focused = self.panels[self.focus_index].id if self.panels else ""
        self.panels, self.sizes = tuple(panels), tuple(sizes)
        self.focus_index = next((n for n, panel in enumerate(panels) if panel.id == focused), 0)
        container = self.query_one("#charts")
        with self.app.batch_update():
            await container.remove_children()
            await container.mount(*(Chart(panel.id) for panel in panels))
            self.lay_out()

    def lay_out(self) -> None:
        """Share the screen among charts and tabs, then draw all that is in sight."""
        size = self.app.size
        rows = size.height - foot_rows(size.height)
        self.arrangement = arrange(size.width, rows, self.sizes, self.pane_share)
        tab_alone = self.tab_open and (self.arrangement.single or not self.arrangement.pane_rows)
        one = self.single or tab_alone
        container = self.query_one("#charts")
        container.display = not tab_alone
        page = self.arrangement.pages[self.page] if self.arrangement.pages else ()
        spans = {self.panels[cell.panel].id: cell.span for row in page for cell in row}
        if one and self.panels:
            spans = {self.panels[self.focus_index].id: GRID_UNITS}
        container.styles.grid_size_columns = GRID_UNITS
        container.styles.grid_size_rows = 1 if one else max(len(page), 1)
        for chart in self.charts:
            chart.display = not tab_alone and chart.panel in spans
            chart.styles.column_span = spans.get(chart.panel, 1)
        pane = self.query_one(Pane)
        pane.display = tab_alone or (self.arrangement.pane_rows > 0 and not self.zoomed)
        pane.styles.height = "1fr" if tab_alone else self.arrangement.pane_rows
        super().lay_out()

    def draw_body(self, cells: int) -> None:
        charts = {chart.panel: chart for chart in self.charts if chart.display}
        for index, panel in enumerate(self.panels):
            chart = charts.get(panel.id)
            if chart is not None:
                selected = index == self.focus_index and len(self.panels) > 1 and not self.single
                chart.show_plot(panel.build(self.state), selected)
        self.query_one("#selector", Lines).show([fit(selector(self._shown(), cells), cells)])
        pane = self.query_one(Pane)
        if pane.display:
            tab = self.tabs[self.tab_index]
            pane.show(tab.lines(self.state, cells - 1), follow=tab.follow)

    def forget_axes(self) -> None:
        for chart in self.charts:
            chart.forget_axes()

    def layout_name(self) -> str:
        """The name of the set of panels, for a screen that has several."""
        return ""

    def _shown(self) -> Settings:
        showing_tab = self.query_one(Pane).display
        return Settings(
            state=self.state,
            tabs=[tab.title_of(self.state) for tab in self.tabs],
            tab=self.tab_index if showing_tab else None,
            panels=[panel.title for panel in self.panels] if self.single else [],
            panel=None if self.single and showing_tab else self.focus_index,
            layout=self.layout_name(),
            page=self.page,
            pages=1 if self.single else len(self.arrangement.pages),
        )

    def action_zoom(self) -> None:
        self.zoomed = not self.zoomed
        self.tab_open = False
        self.lay_out()

    def action_next_tab(self) -> None:
        if self.query_one(Pane).display:
            self.tab_index += 1
            if self.tab_index == len(self.tabs):
                self.tab_index = 0
                self.tab_open = False
        else:
            self.tab_open, self.zoomed = True, False
        self._tab_changed()

    def action_show_tab(self, index: int) -> None:
        self.tab_index, self.tab_open, self.zoomed = index, True, False
        self._tab_changed()

    def _tab_changed(self) -> None:
        self.lay_out()
        pane = self.query_one(Pane)
        if self.tabs[self.tab_index].follow:
            self.call_after_refresh(pane.scroll_end, animate=False)
        else:
            pane.scroll_home(animate=False)

    def action_show_chart(self, index: int) -> None:
        self.tab_open = False
        self._focus(index)

    def action_next_page(self) -> None:
        """The first panel of the next page of charts."""
        page = self.arrangement.pages[(self.page + 1) % len(self.arrangement.pages)]
        self._focus(page[0][0].panel)

    def action_focus_next(self) -> None:
        self._move(1)

    def action_focus_previous(self) -> None:
        self._move(-1)

    def move_focus(self, columns: int, rows: int) -> None:
        if rows and not self.single:
            self._focus(self.arrangement.neighbour(self.focus_index, rows))
        else:
            self._move(columns + rows)

    def _move(self, by: int) -> None:
        self._focus((self.focus_index + by) % max(len(self.panels), 1))

    def _focus(self, index: int) -> None:
        """Put a panel in focus, and its page in sight."""
        page = self.page
        self.focus_index = index
        self.tab_open = self.tab_open and not self.arrangement.single and self.arrangement.pane_rows > 0
        if self.single or self.page != page or not self.query_one("#charts").display:
            self.lay_out()
        else:
            self.draw()

    def on_chart_picked(self, event: Chart.Picked) -> None:
        self.focus_index = next(n for n, panel in enumerate(self.panels) if panel.id == event.chart.panel)
        if event.twice:
            self.action_zoom()
        else:
            self.draw()
