"""The dialog that edits a layout: which panels it has, in which order, how many columns each takes."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tuitrain.plots.panels import PANELS, own_panel
from tuitrain.plots.panels.layouts import MOST_SIZE, OWN, Sizes
from tuitrain.tui.layouts import Layouts
from tuitrain.tui.screens.dialogs import Dialog
from tuitrain.tui.text import align

_KEYS = """\
[@click=screen.switch]space[/] on or off   [@click="screen.move(1)"]J[/] [@click="screen.move(-1)"]K[/] move   \
[@click="screen.resize(1)"]+[/] [@click="screen.resize(-1)"]-[/] size   [@click=screen.reset]r[/] reset   \
[@click=screen.keep_own]o[/] save as own
[@click=screen.keep]enter[/] save   [@click=screen.cancel]esc[/] cancel"""
_QUIET = "$foreground 65%"
_BY_ID = {panel.id: panel for panel in PANELS}


class PanelPicker(Dialog[tuple[str, Sizes]]):
    """Every panel in a line: those of the layout first, in their order. Gives name and panels, escape gives None.

    The list is an OptionList: a SelectionList has neither an order nor sizes.
    """

    BINDINGS: ClassVar = [
        Binding("j", "focused.cursor_down", show=False),
        Binding("k", "focused.cursor_up", show=False),
        Binding("g", "focused.first", show=False),
        Binding("G", "focused.last", show=False),
        Binding("space,x", "switch", show=False),
        Binding("J,shift+down", "move(1)", show=False),
        Binding("K,shift+up", "move(-1)", show=False),
        # The list has keys of its own for these.
        Binding("plus,equals_sign,right,l", "resize(1)", show=False, priority=True),
        Binding("minus,left,h", "resize(-1)", show=False, priority=True),
        Binding("enter", "keep", show=False, priority=True),
        Binding("r", "reset", show=False),
        Binding("o", "keep_own", show=False),
        Binding("q,P", "cancel", show=False),
    ]

    def __init__(self, layout: str, layouts: Layouts) -> None:
        self.layout_name = layout
        self.layouts = layouts
        self.sizes = dict(layouts.sizes(layout))
        self.entries = dict.fromkeys([*self.sizes, *layouts.original(layout), *_BY_ID])
        """All that can be chosen: the panels, and the metrics of one's own that the layout names."""
        self.panels = OptionList(id="panels")
        super().__init__(f"panels of {layout}", self.panels, Static(Content.from_markup(_KEYS), id="keys"))
        self.box.styles.max_height = len(PANELS) + 5

    def on_mount(self) -> None:
        self._show(0)

    @property
    def order(self) -> list[str]:
        """Ids of all panels as they are listed."""
        return [*self.sizes, *(name for name in self.entries if name not in self.sizes)]

    @property
    def highlighted(self) -> int:
        """The position of the panel under the cursor."""
        return self.panels.highlighted or 0

    def _show(self, highlighted: int) -> None:
        """List the panels anew, with the cursor at this position."""
        self.panels.set_options(Option(self._prompt(name)) for name in self.order)
        self.panels.highlighted = highlighted

    def _prompt(self, name: str) -> Content:
        panel, size = _BY_ID.get(name) or own_panel(name), self.sizes.get(name, 0)
        return Content.assemble(
            (" ■ ", "$primary") if size else (" □ ", _QUIET),
            (align(panel.title, 12), "$foreground" if size else _QUIET),
            (align("━━" * size, 2 * MOST_SIZE + 2), "$primary"),
            (f"{panel.description}: {panel.title}" if panel.own else panel.description, _QUIET),
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click: what is under the cursor changes."""
        self.action_switch()

    def action_switch(self) -> None:
        """Into the layout at its end, or out of it; the cursor stays with the panel."""
        name = self.order[self.highlighted]
        if self.sizes.pop(name, None) is None:
            self.sizes[name] = 1
        self._show(self.order.index(name))

    def action_move(self, by: int) -> None:
        entries, position = list(self.sizes.items()), self.highlighted
        if position < len(entries) and 0 <= position + by < len(entries):
            entries.insert(position + by, entries.pop(position))
            self.sizes = dict(entries)
            self._show(position + by)

    def action_resize(self, by: int) -> None:
        name = self.order[self.highlighted]
        if name in self.sizes:
            self.sizes[name] = min(max(self.sizes[name] + by, 1), MOST_SIZE)
            self._show(self.highlighted)

    def action_reset(self) -> None:
        """The panels of the layout as it was before any change."""
        self.sizes = dict(self.layouts.original(self.layout_name))
        self._show(0)

    def action_keep(self) -> None:
        self._keep(self.layout_name)

    def action_keep_own(self) -> None:
        self._keep(OWN)

    def _keep(self, name: str) -> None:
        if self.sizes:
            self.dismiss((name, self.sizes))
        else:
            self.app.notify("A layout has at least one panel: choose one with space.", severity="warning")
