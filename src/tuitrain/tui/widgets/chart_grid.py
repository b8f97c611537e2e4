"""A grid of charts with tabs below it: which panels are shown, which has the focus, which tab is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.reactive import reactive
from textual.widgets import ContentSwitcher, Tabs

from tuitrain.plots.axes import X_AXES, XAxis
from tuitrain.plots.model import HeatMap, Plot
from tuitrain.plots.panels import Panel
from tuitrain.tui.arrangement import GRID_UNITS, SELECTOR_ROWS, Arrangement, arrange
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.chart_tabs import ChartTabs, chart_options
from tuitrain.tui.widgets.key_bar import key_bar_rows
from tuitrain.tui.widgets.tab_content import ChartTab, TabContent

_MOST_NAMED = 12
"""Panels that are named below the one that has the screen; of more the neighbours are."""


class ChartGrid(Vertical, can_focus=True):
    """Charts above, tabs below. It has the focus, and so the keys, of the screen that it is on.

    panels: with the columns that each takes; pane_share: the share of the spare rows that the tabs get; layout_name:
    what the line above the tabs calls the set of panels; axes: the horizontal axes that can be chosen. There may be
    hundreds of panels: only the visible ones have charts.
    """

    app: BaseApp
    focus_index = reactive(0, repaint=False)
    """The panel with the focus."""
    tab_index = reactive(0, repaint=False)
    """The tab that is shown when one is."""

    def __init__(
        self,
        panels: Mapping[Panel, int],
        tabs: Sequence[ChartTab],
        *,
        pane_share: float = 0.3,
        layout_name: str = "",
        axes: Sequence[XAxis] = X_AXES,
    ) -> None:
        super().__init__()
        self.panels = tuple(panels)
        self.sizes = tuple(panels.values())
        self.first = len(self.panels)
        self.in_sight: list[int] = []
        """The panels that have a chart, by their numbers, in the order of the charts."""
        self.tabs = tuple(tabs)
        self.pane_share = pane_share
        self.layout_name = layout_name
        self.axes = axes
        self.tab_open = False
        self.zoomed = False
        self.tab_shown = False
        self.arrangement = Arrangement(())
        self._generation = 0

    def compose(self) -> ComposeResult:
        yield Container(id="charts")
        yield Vertical(id="below")

    def on_mount(self) -> None:
        # The charts are drawn before the tabs are composed.
        self.app.call_after_reading(self._mount_tabs)

    async def _mount_tabs(self) -> None:
        if not self.is_attached:
            return
        contents = ContentSwitcher(*(tab.content(id=tab.id) for tab in self.tabs), initial=self.tabs[self.tab_index].id)
        contents.display = self.tab_shown
        await self.query_one("#below").mount(ChartTabs(), contents)
        self.app.redraw()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Keep the styles: none depends on the focus of the grid, and Textual would apply those of all it holds."""

    @property
    def state(self) -> ViewState:
        return self.app.state

    @property
    def charts(self) -> list[Chart]:
        """All charts in their order."""
        return list(self.query(Chart))

    @property
    def focused_chart(self) -> Chart | None:
        """The chart that has the focus, else the first visible one; None while a tab has the screen."""
        charts = [chart for chart in self.charts if chart.display and chart.region]
        return next((chart for chart in charts if chart.selected), charts[0] if charts else None)

    @property
    def tab_content(self) -> TabContent:
        """The content of the tab that is shown when one is."""
        return self.query_one(ContentSwitcher).get_child_by_id(self.tabs[self.tab_index].id, TabContent)

    @property
    def single(self) -> bool:
        """Whether one chart or one tab has the whole screen."""
        return self.arrangement.single or self.zoomed

    @property
    def page(self) -> int:
        """The page of charts that is shown, from 0: the one with the focus."""
        return self.arrangement.page_of(self.focus_index)

    def plot(self, chart: Chart, state: ViewState) -> Plot | HeatMap | None:
        """What a chart shows with these settings; None when its panel is not shown any more."""
        return next((panel.build(state) for panel in self.panels if panel.id == chart.panel), None)

    @property
    def focused_panel(self) -> str:
        """The id of the panel that has the focus; empty without panels."""
        return self.panels[self.focus_index].id if self.panels else ""

    def show_panel(self, name: str) -> None:
        """Give the panel with this id the focus where it is shown."""
        if (index := next((n for n, panel in enumerate(self.panels) if panel.id == name), None)) is not None:
            self._focus_panel(index)

    def show_panels(self, panels: Mapping[Panel, int], first: int) -> None:
        """Show these panels in place of the present ones; the focus stays with its panel where that is among them.

        first: how many are on pages of their own before the others.
        """
        if (self.panels, self.sizes, self.first) == (tuple(panels), tuple(panels.values()), first):
            return
        focused, self.first = self.focused_panel, first
        self.panels, self.sizes = tuple(panels), tuple(panels.values())
        self.focus_index = next((n for n, panel in enumerate(panels) if panel.id == focused), 0)
        self.lay_out()

    def lay_out(self) -> None:
        """Share the screen among charts and tabs."""
        size = self.app.size
        height = size.height - key_bar_rows(size.height)
        first, others = self.sizes[: self.first], self.sizes[self.first :]
        self.arrangement = arrange(size.width, height, first, self.pane_share, others)
        tab_alone = self.tab_open and (self.arrangement.single or not self.arrangement.pane_rows)
        one = self.single or tab_alone
        container = self.query_one("#charts")
        container.display = not tab_alone
        page = self.arrangement.pages[self.page] if self.arrangement.pages else ()
        spans = {panel: span for row in page for panel, span in row.items()}
        if one and self.panels:
            spans = {self.focus_index: GRID_UNITS}
        self.in_sight = [] if tab_alone else list(spans)
        container.styles.grid_size_columns = GRID_UNITS
        container.styles.grid_size_rows = 1 if one else max(len(page), 1)
        if (missing := len(self.in_sight) - len(self.charts)) > 0:
            container.mount(*(Chart() for _ in range(missing)))
        for number, chart in enumerate(self.charts):
            chart.display = number < len(self.in_sight)
            if chart.display:
                chart.styles.column_span = spans[self.in_sight[number]]
        self.tab_shown = tab_alone or (self.arrangement.pane_rows > 0 and not self.zoomed)
        below = self.query_one("#below")
        below.styles.height = "1fr" if tab_alone else SELECTOR_ROWS + self.arrangement.pane_rows * self.tab_shown
        for contents in self.query(ContentSwitcher):
            contents.display = self.tab_shown

    def rearrange(self) -> None:
        """Share the screen anew and draw; a chart that gets another size draws itself once more."""
        self.lay_out()
        self.app.redraw()

    def draw(self) -> None:
        """Draw the charts and the tab that are visible."""
        reset = self._generation != self.state.generation
        self._generation = self.state.generation
        for index, chart in zip(self.in_sight, self.charts, strict=False):
            if reset:
                chart.forget_axes()
            panel, selected = self.panels[index], index == self.focus_index and len(self.panels) > 1 and not self.single
            chart.show_plot(panel.id, panel.build(self.state), selected)
        for row in self.query(ChartTabs):
            if self.tab_shown:
                self.tab_content.draw_state(self.state)
            pages = 1 if self.single else len(self.arrangement.pages)
            row.show(
                [tab.title_for(self.state) for tab in self.tabs],
                self.tab_index if self.tab_shown else None,
                self._named() if self.single else {},
                None if self.single and self.tab_shown else self.focus_index,
                chart_options(self.state, self.layout_name, self.page, pages),
            )

    def _named(self) -> dict[int, str]:
        """The titles by number of the panels that are named below the one that has the screen."""
        named = range(len(self.panels))
        if len(named) > _MOST_NAMED:
            first = self.focus_index - self.focus_index % _MOST_NAMED
            named = named[first : first + _MOST_NAMED]
        return {number: self.panels[number].title for number in named}

    def watch_tab_index(self, index: int) -> None:
        for contents in self.query(ContentSwitcher):
            contents.current = self.tabs[index].id

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        kind, _, index = (event.tab.id or "").partition("-")
        if kind == "tab":
            self.action_show_tab(int(index))
        else:
            self.action_show_chart(int(index))

    def action_zoom(self) -> None:
        self.zoomed = not self.zoomed
        self.tab_open = False
        self.rearrange()

    def action_next_tab(self) -> None:
        if self.tab_shown:
            # After the last tab the charts have the screen again, and the first tab is the next.
            self.tab_open = self.tab_open and self.tab_index + 1 < len(self.tabs)
            self.tab_index = (self.tab_index + 1) % len(self.tabs)
        else:
            self.tab_open, self.zoomed = True, False
        self._tab_changed()

    def action_show_tab(self, index: int) -> None:
        self.tab_index, self.tab_open, self.zoomed = index, True, False
        self._tab_changed()

    def _tab_changed(self) -> None:
        self.rearrange()
        content = self.tab_content
        if content.follow:
            self.call_after_refresh(content.scroll_end, animate=False)
        else:
            content.scroll_home(animate=False)

    def action_show_chart(self, index: int) -> None:
        self.tab_open = False
        self._focus_panel(index)

    def action_turn_page(self, by: int) -> None:
        """The first panel of the next page of charts, or of the one before; after the last page comes the first."""
        if pages := self.arrangement.pages:
            self._focus_panel(next(iter(pages[(self.page + by) % len(pages)][0])))

    def action_move_focus(self, columns: int, rows: int) -> None:
        """Go to a panel beside, below or above the one in focus."""
        if rows and not self.single:
            self._focus_panel(self.arrangement.neighbour(self.focus_index, rows))
        else:
            self._focus_panel((self.focus_index + columns + rows) % max(len(self.panels), 1))

    def _focus_panel(self, index: int) -> None:
        """Focus a panel, and show its page."""
        page = self.page
        self.focus_index = index
        self.tab_open = self.tab_open and not self.arrangement.single and self.arrangement.pane_rows > 0
        if self.single or self.page != page or not self.query_one("#charts").display:
            self.rearrange()
        else:
            self.app.redraw()
