"""A row of tabs, one line high."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from textual.content import Content
from textual.widgets import Tab, Tabs


class TabLine(Tabs, can_focus=False):
    """Textual's tabs without the line below them. Only a click posts `TabActivated`: `show_tabs` posts nothing."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tabs_shown: tuple[dict[str, str], str] = ({}, "")

    def show_tabs(self, titles: Mapping[str, str], active: str) -> None:
        """Show tabs with these titles by id. active: the id of the active one; "" is none."""
        self._tabs_shown = dict(titles), active
        if self._same_tabs():
            self._update_tabs()
        else:
            self.call_later(self._replace_tabs)

    def _same_tabs(self) -> bool:
        return [tab.id for tab in self.query(Tab)] == list(self._tabs_shown[0])

    async def _replace_tabs(self) -> None:
        """Mount other tabs."""
        if not self._same_tabs():
            # Textual raises ValueError where the app ends before the first tab is mounted.
            # One layout for all tabs.
            quiet = self.prevent(Tabs.TabActivated, Tabs.Cleared)
            with quiet, self.app.batch_update(), suppress(ValueError):
                await self.clear()
                for tab, title in self._tabs_shown[0].items():
                    if not self.is_attached:  # The user left the app in between.
                        return
                    await self.add_tab(Tab(Content(title), id=tab))
        if self._same_tabs():
            self._update_tabs()

    def _update_tabs(self) -> None:
        """Show the titles and the active tab."""
        titles, active = self._tabs_shown
        with self.prevent(Tabs.TabActivated, Tabs.Cleared):
            for tab in self.query(Tab):
                if tab.id is not None and tab.label_text != titles[tab.id]:
                    tab.label = Content(titles[tab.id])
            self.active = active
