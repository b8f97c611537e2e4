"""The dashboard of one run, or of several in the same charts."""

from __future__ import annotations

from tuitrain.plots.panels import OVERVIEW, Panel, panel_of
from tuitrain.tui.actions import bindings
from tuitrain.tui.content.tabs import WATCH_TABS
from tuitrain.tui.layouts import Layout, Layouts
from tuitrain.tui.screens.chart_grid import ChartGridScreen
from tuitrain.tui.screens.export_actions import PanelActions


class WatchScreen(ChartGridScreen, PanelActions):
    """The panels of a layout, four tabs."""

    BINDINGS = bindings("watch")
    place = "watch"
    panels = OVERVIEW
    tabs = WATCH_TABS

    def __init__(self) -> None:
        super().__init__()
        self.layouts = Layouts(self.app.settings.layouts, self.app.session)
        self.present = self.layouts.get(self.app.settings.layout)
        """The layout that is shown."""
        self.panels, self.sizes = _panels(self.present)
        panel, tab = (self.app.session.get(f"watch.{name}") for name in ("panel", "tab"))
        self.focus_index = next((n for n, each in enumerate(self.panels) if each.id == panel), 0)
        self.tab_index = next((n for n, each in enumerate(self.tabs) if each.id == tab), 0)

    def remember(self) -> None:
        """Keep for the next visit which panel and which tab were in focus."""
        if self.panels:
            self.app.session.set("watch.panel", self.panels[self.focus_index].id)
        self.app.session.set("watch.tab", self.tabs[self.tab_index].id)

    def on_mount(self) -> None:
        super().on_mount()
        if self.layouts.problem:
            self.app.notify(self.layouts.problem, severity="error")

    def layout_name(self) -> str:
        return f"{self.present.name}*" if self.layouts.is_changed(self.present.name) else self.present.name

    async def action_next_layout(self) -> None:
        await self._show_layout(self.layouts.after(self.present.name))
        self.layouts.choose(self.present.name)

    async def action_show_layout(self, name: str) -> None:
        """Show the layout of this name."""
        await self._show_layout(self.layouts.get(name))
        self.layouts.choose(self.present.name)

    def action_edit_layout(self) -> None:
        """Choose panels in a box; the layout is shown and remembered as it was left there."""
        from tuitrain.tui.screens.panel_picker import PanelPicker

        self.app.push_screen(PanelPicker(self.present, self.layouts), self._edited)

    async def _edited(self, layout: Layout | None) -> None:
        if layout is not None:
            self.layouts.keep(layout)
            await self._show_layout(self.layouts.get(layout.name))

    async def _show_layout(self, layout: Layout) -> None:
        self.present = layout
        panels, sizes = _panels(layout)
        self.zoomed = self.tab_open = False
        await self.show_panels(panels, sizes)

    def action_compare(self) -> None:
        self.app.action_show_compare()


def _panels(layout: Layout) -> tuple[tuple[Panel, ...], tuple[int, ...]]:
    return tuple(panel_of(name) for name, _ in layout.sizes), tuple(size for _, size in layout.sizes)
