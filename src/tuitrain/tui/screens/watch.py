"""The dashboard of one run, or of several in the same charts."""

from __future__ import annotations

from functools import partial

from tuitrain.plots.panels.choice import PanelSizes, layout_panels
from tuitrain.plots.panels.layouts import Sizes
from tuitrain.tui.content.tabs import alert_count, alerts, config, console, samples
from tuitrain.tui.layouts import Layouts
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
        super().__init__(self._panels_of_layout, self._title_of_layout)
        self.layouts = Layouts(self.app.settings.layouts, self.app.session)
        self.layout_name = self.layouts.known(self.app.settings.layout)
        panels = self.layout_panels()
        self.charts = Dashboard(panels, WATCH_TABS, layout_name=self.layout_title())
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
            self.app.session.set("watch.panel", self.charts.focused_panel)
        self.app.session.set("watch.tab", WATCH_TABS[self.charts.tab_index].id)

    def _panels_of_layout(self) -> PanelSizes:
        return layout_panels(self.layouts.sizes(self.layout_name), self.state)

    def _title_of_layout(self) -> str:
        return f"{self.layout_name}*" if self.layouts.is_changed(self.layout_name) else self.layout_name

    def action_step_back(self) -> None:
        """Leave the crosshair, else the part of the axis that is zoomed in, else the search."""
        self.step_back()

    def action_next_layout(self) -> None:
        self.action_show_layout(self.layouts.after(self.layout_name))

    def action_show_layout(self, name: str) -> None:
        """Show the layout of this name, and remember that it is shown."""
        self.layout_name = self.layouts.known(name)
        self.app.session.set("layout", self.layout_name)
        self.charts.zoomed = self.charts.tab_open = False
        self.charts.rearrange()

    def action_edit_layout(self) -> None:
        """Choose panels in a box; the layout is shown and remembered as it was left there."""
        # With the box: the first frame does without.
        from tuitrain.tui.screens.panel_picker import PanelPicker

        self.app.push_screen(PanelPicker(self.layout_name, self.layouts), self._edited)

    def _edited(self, layout: tuple[str, Sizes] | None) -> None:
        if layout is not None:
            self.layouts.keep(*layout)
            self.action_show_layout(layout[0])

    async def action_compare(self) -> None:
        await self.run_action("app.show('compare')")
