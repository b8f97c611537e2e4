"""The row below the charts: the panels where one has the screen, the tabs, and the options of the charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from tuitrain.tui.text import Line, Span, join, line, width
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.tab_line import TabLine

PADDING = 2
"""Cells of a tab beside its title."""


class ChartTabs(Horizontal):
    """Panels, tabs and options in one row. A click on a tab posts `TabActivated` with its id, as `tab-0` or `panel-0`.

    The tabs have all of their cells; the panels and the options have what fits.
    """

    def compose(self) -> ComposeResult:
        yield TabLine(id="panel")
        yield Static("│", id="bar")
        yield TabLine(id="tab")
        yield Static(id="space")
        yield Lines(id="options")

    def show(
        self,
        tabs: Sequence[str],
        tab: int | None,
        panels: Mapping[int, str],
        panel: int | None,
        options: Sequence[Line],
    ) -> None:
        """Show the titles of tabs and panels, the active ones by index, and the first form of the options that fits."""
        room = self.app.size.width - 1
        for kind, titles, active in (("tab", dict(enumerate(tabs)), tab), ("panel", panels, panel)):
            row = self.query_one(f"#{kind}", TabLine)
            cells = max(min(sum(len(title) + PADDING for title in titles.values()), room), 0)
            room -= cells
            row.display, row.styles.width = bool(titles), cells
            names = {f"{kind}-{index}": title for index, title in titles.items()}
            row.show_tabs(names, f"{kind}-{active}" if active is not None and titles else "")
        self.query_one("#bar").display = bool(panels)
        form = next((form for form in options if width(form) < room), ())
        shown = self.query_one("#options", Lines)
        shown.styles.width = width(form)
        shown.show([form])


def chart_options(state: ViewState, layout: str, page: int, pages: int) -> list[Line]:
    """The layout, the page (from 0) and the options of the charts, in full and in shorter forms."""
    name = line(Span(layout, "accent", "screen.next_layout")) if layout else ()
    number = line(Span(f"page {page + 1} of {pages}", "accent", "focused.turn_page(1)")) if pages > 1 else ()
    axis = line(Span(f"x {state.x}", "quiet", "focused.cycle_axis"))
    smooth = line(Span(f"smooth {state.smoothing:g}", "quiet", "focused.cycle_smoothing"))
    log = line(Span("log y", "quiet", "focused.toggle_option('log')")) if state.log else ()
    forms = ([name, number, axis, smooth, log], [name, number, axis], [name, number], [number])
    return [(*join(parts, line(Span(" · ", "quiet"))), Span(" ")) for parts in forms]
