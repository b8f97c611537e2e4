"""The dashboard of one run, or of several in the same charts."""

from __future__ import annotations

from functools import partial

from tuitrain.plots.panels import Panel, panel_of
from tuitrain.tui.content.tabs import alert_count, alerts, config, console, samples
from tuitrain.tui.layouts import Layout, Layouts
from tuitrain.tui.registry import bindings
from tuitrain.tui.screens.export_actions import ChartScreen
from tuitrain.tui.widgets.dashboard import Dashboard
from tuitrain.tui.widgets.tab_content import ChartTab, TabContent

WATCH_TABS = (
    ChartTab("Samples", partial(TabContent, samples)),
    ChartTab("Log", partial(TabContent, console, follow=True)),
    ChartTab("Alerts", partial(TabContent, alerts), alert_count),
    ChartTab("Config", partial(TabContent, config)),
)


class WatchScreen(ChartScreen):
    """The panels of a layout, four tabs."""

    BINDINGS = bindings("watch")
    screen_name = "watch"

    def __init__(self) -> None:
        super().__init__()
        self.layouts = Layouts(self.app.settings.layouts, self.app.session)
        self.present = self.layouts.get(self.app.settings.layout)
        """The layout that is shown."""
        panels, sizes = _panels(self.present)
        self.charts = Dashboard(panels, WATCH_TABS, sizes=sizes, layout_name=self._layout_name)
        panel, tab = (self.app.session.get(f"watch.{name}") for name in ("panel", "tab"))
        index = next((n for n, each in enumerate(panels) if each.id == panel), 0)
        self.charts.set_reactive(Dashboard.focus_index, index)
        index = next((n for n, each in enumerate(WATCH_TABS) if each.id == tab), 0)
        self.charts.set_reactive(Dashboard.tab_index, index)

    def on_mount(self) -> None:
        for name in ("focus_index", "tab_index"):
            self.watch(self.charts, name, self._remember, init=False)

    def _remember(self) -> None:
        """Keep for the next session which panel and which tab are in focus."""
        if self.charts.panels:
            self.app.session.set("watch.panel", self.charts.panels[self.charts.focus_index].id)
        self.app.session.set("watch.tab", WATCH_TABS[self.charts.tab_index].id)

    @property
    def _layout_name(self) -> str:
        return f"{self.present.name}*" if self.layouts.is_changed(self.present.name) else self.present.name

    def action_step_back(self) -> None:
        """Leave the crosshair, else the part of the axis that is zoomed in."""
        self.state.step_back()
        self.app.redraw()

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
        await self.charts.show_panels(*_panels(layout), self._layout_name)

    async def action_compare(self) -> None:
        await self.run_action("app.show('compare')")


def _panels(layout: Layout) -> tuple[tuple[Panel, ...], tuple[int, ...]]:
    return tuple(panel_of(name) for name, _ in layout.sizes), tuple(size for _, size in layout.sizes)
