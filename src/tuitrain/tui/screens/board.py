"""What the screens with charts have in common: header, charts, tabs, footer, and the keys that move among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen

from tuitrain.tui.actions import Place, footer
from tuitrain.tui.axes import X_AXES
from tuitrain.tui.layout import Arrangement, arrange
from tuitrain.tui.panels import Panel
from tuitrain.tui.state import SMOOTHINGS, Board
from tuitrain.tui.tabs import Tab
from tuitrain.tui.text import Line, Span, fit, join, line, width
from tuitrain.tui.widgets.chart import Chart
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.tui.app import TuitrainApp


class BoardScreen(Screen[None]):
    """Charts above, tabs below. A subclass says which, and what the header says."""

    DEFAULT_CSS = """
    BoardScreen { layout: vertical; overflow: hidden; }
    BoardScreen #charts { layout: grid; width: 1fr; height: 1fr; overflow: hidden; }
    BoardScreen Lines.bar { height: 1; overflow: hidden; }
    BoardScreen #header { height: 2; overflow: hidden; }
    """
    ENABLE_COMMAND_PALETTE = True

    place: ClassVar[Place]
    panels: ClassVar[tuple[Panel, ...]]
    tabs: ClassVar[tuple[Tab, ...]]
    pane_share: ClassVar[float] = 0.3

    app: TuitrainApp

    def __init__(self) -> None:
        super().__init__()
        self.focus_index = 0
        self.tab_index = 0
        self.tab_open = False
        self.zoomed = False
        self.arrangement = Arrangement(1, 1, 0)

    def compose(self) -> ComposeResult:
        yield Lines(id="header")
        with Container(id="charts"):
            for panel in self.panels:
                yield Chart(panel.id)
        yield Lines(id="selector", classes="bar")
        yield Pane(id="pane")
        yield Lines(id="footer", classes="bar")

    @property
    def board(self) -> Board:
        """The state, which this screen only reads but for its settings."""
        return self.app.board

    @property
    def charts(self) -> list[Chart]:
        """All charts in their order."""
        return list(self.query(Chart))

    @property
    def single(self) -> bool:
        """Whether one chart or one tab has the whole screen."""
        return self.arrangement.single or self.zoomed

    def header_lines(self, cells: int) -> list[Line]:
        """The two lines at the top."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.lay_out()

    def on_resize(self, event: events.Resize) -> None:
        self.lay_out()

    def on_screen_resume(self) -> None:
        self.lay_out()

    def lay_out(self) -> None:
        """Share the screen among charts and tabs, then draw all that is in sight."""
        size = self.app.size
        self.arrangement = arrange(size.width, size.height, len(self.panels), self.pane_share)
        tab_alone = self.tab_open and (self.arrangement.single or not self.arrangement.pane_rows)
        one = self.single or tab_alone
        container = self.query_one("#charts")
        container.display = not tab_alone
        container.styles.grid_size_columns = 1 if one else self.arrangement.columns
        container.styles.grid_size_rows = 1 if one else self.arrangement.rows
        for index, chart in enumerate(self.charts):
            chart.display = not tab_alone and (not one or index == self.focus_index)
        pane = self.query_one(Pane)
        pane.display = tab_alone or (self.arrangement.pane_rows > 0 and not self.zoomed)
        pane.styles.height = "1fr" if tab_alone else self.arrangement.pane_rows
        self.call_after_refresh(self.draw)
        self.draw()

    def draw(self) -> None:
        """Draw what is in sight from the state. What did not change sends nothing to the terminal."""
        if not self.is_mounted or not self.is_current:
            return
        cells = self.app.size.width
        with self.app.batch_update():
            self.query_one("#header", Lines).show(self.header_lines(cells))
            for index, (panel, chart) in enumerate(zip(self.panels, self.charts, strict=True)):
                if chart.display:
                    selected = index == self.focus_index and len(self.panels) > 1 and not self.single
                    chart.plot_data(panel.build(self.board), selected)
            self.query_one("#selector", Lines).show([fit(self._selector(cells), cells)])
            pane = self.query_one(Pane)
            if pane.display:
                tab = self.tabs[self.tab_index]
                pane.show(tab.lines(self.board, cells - 1), follow=tab.follow)
            self.query_one("#footer", Lines).show([fit(footer(self.place, cells), cells)])

    def repaint(self) -> None:
        """Draw everything again in new colours."""
        for widget in (*self.query(Lines), *self.query(Pane)):
            widget.repaint()

    def forget_axes(self) -> None:
        """Let all charts choose their ranges anew."""
        for chart in self.charts:
            chart.forget_axes()

    def _selector(self, cells: int) -> Line:
        """The line of tabs; where only one thing shows, the charts are in it too. Settings at its right."""
        showing_tab = self.query_one(Pane).display
        tabs = [
            self._entry(self._tab_title(tab), showing_tab and index == self.tab_index, f"screen.show_tab({index})")
            for index, tab in enumerate(self.tabs)
        ]
        bar = line(Span(" │ ", "frame"))
        left: Line = line(" ", *join(tabs, line(Span("  "))))
        if self.single:
            shorts = [
                self._entry(panel.short, not showing_tab and index == self.focus_index, f"screen.show_chart({index})")
                for index, panel in enumerate(self.panels)
            ]
            left = line(" ", *join(shorts, line(Span("  "))), *bar, *join(tabs, line(Span("  "))))
            if width(left) > cells - 1:
                left = line(" ", *join(shorts, line(" ")), *bar, *join(tabs, line(" ")))
        right = line(
            Span(f"x {self.board.x} · smooth {self.board.smoothing:g}{' · log' if self.board.log else ''} ", "quiet")
        )
        room = cells - width(left) - width(right)
        return (*left, Span(" " * room), *right) if room > 2 else left

    def _entry(self, title: str, on: bool, action: str) -> Line:
        return line(Span(title, "on" if on else "quiet", action))

    def _tab_title(self, tab: Tab) -> str:
        count = tab.count(self.board) if tab.count else 0
        return f"{tab.title} {count}" if count else tab.title

    def action_cycle_axis(self) -> None:
        board = self.board
        board.x = X_AXES[(X_AXES.index(board.x) + 1) % len(X_AXES)]
        self.draw()

    def action_cycle_smoothing(self) -> None:
        board = self.board
        board.smoothing = next((weight for weight in SMOOTHINGS if weight > board.smoothing), SMOOTHINGS[0])
        self.draw()

    def action_toggle_log(self) -> None:
        self.board.log = not self.board.log
        self.draw()

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
        self.focus_index, self.tab_open = index, False
        self.lay_out()

    def action_focus_next(self) -> None:
        self._move(1)

    def action_focus_previous(self) -> None:
        self._move(-1)

    def action_focus_below(self) -> None:
        self._move(1 if self.single else self.arrangement.columns)

    def action_focus_above(self) -> None:
        self._move(-1 if self.single else -self.arrangement.columns)

    def _move(self, by: int) -> None:
        self.focus_index = (self.focus_index + by) % len(self.panels)
        self.tab_open = self.tab_open and not self.arrangement.single and self.arrangement.pane_rows > 0
        if self.single:
            self.lay_out()
        else:
            self.draw()

    def action_next_run(self) -> None:
        self._step_run(1)

    def action_previous_run(self) -> None:
        self._step_run(-1)

    def _step_run(self, by: int) -> None:
        self.app.focus_run(by)

    def action_runs(self) -> None:
        self.app.show_screen("runs")

    def action_page_down(self) -> None:
        self.query_one(Pane).scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        self.query_one(Pane).scroll_page_up(animate=False)

    def action_first(self) -> None:
        self.query_one(Pane).scroll_home(animate=False)

    def action_last(self) -> None:
        self.query_one(Pane).scroll_end(animate=False)

    def on_chart_picked(self, event: Chart.Picked) -> None:
        self.focus_index = self.charts.index(event.chart)
        if event.twice:
            self.action_zoom()
        else:
            self.draw()
