"""A box in which the panels of a layout are chosen, put in order and given a size."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.style import Style
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tuitrain.plots.panels import PANELS, Panel
from tuitrain.tui.arrangement import MOST_SIZE
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.layouts import OWN, Layout, Layouts
from tuitrain.tui.text import align

_KEYS = (
    ("space", "switch", " on or off   "), ("J", "move(1)", " "), ("K", "move(-1)", " move   "),
    ("+", "resize(1)", " "), ("-", "resize(-1)", " size   "), ("r", "reset", " as it was   "),
    ("o", "keep_own", " keep as own\n"), ("enter", "keep", " keep   "), ("esc", "leave", " leave"),
)  # fmt: skip
"""Keys with their actions, and the text after each."""
_QUIET = "$foreground 65%"


class PanelPicker(ModalScreen["Layout | None"]):
    """Every panel in a line: those of the layout first, in their order. Gives the layout, escape gives None."""

    CSS_PATH = "../styles/panel_picker.tcss"
    BINDINGS: ClassVar = [
        Binding("down,j", "go(1)", show=False),
        Binding("up,k", "go(-1)", show=False),
        Binding("home,g", "go(-1000)", show=False),
        Binding("end,G", "go(1000)", show=False),
        Binding("space,x", "switch", show=False),
        Binding("J,shift+down", "move(1)", show=False),
        Binding("K,shift+up", "move(-1)", show=False),
        Binding("plus,equals_sign,right,l", "resize(1)", show=False),
        Binding("minus,left,h", "resize(-1)", show=False),
        Binding("r", "reset", show=False),
        Binding("o", "keep_own", show=False),
        Binding("enter", "keep", show=False),
        Binding("escape,q,P", "leave", show=False),
    ]

    app: BaseApp

    def __init__(self, layout: Layout, layouts: Layouts) -> None:
        super().__init__()
        self.layout_name = layout.name
        self.layouts = layouts
        self.sizes = dict(layout.sizes)
        """Sizes of the panels of the layout by their ids, in their order."""

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = Content(f"panels of {self.layout_name}")
            panels = OptionList(id="panels")
            # The keys are those of the screen: enter keeps the layout, and does not choose a panel.
            panels.can_focus = False
            yield panels
            keys = (
                Content.styled(key, Style.from_meta({"@click": f"screen.{action}"})) + text
                for key, action, text in _KEYS
            )
            yield Static(Content("").join(keys), id="keys")

    def on_mount(self) -> None:
        self._show(0)

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    @property
    def order(self) -> list[str]:
        """Ids of all panels as they are listed."""
        return [*self.sizes, *(panel.id for panel in PANELS if panel.id not in self.sizes)]

    @property
    def panels(self) -> OptionList:
        """The list."""
        return self.query_one(OptionList)

    @property
    def highlighted(self) -> int:
        """The position of the panel under the cursor."""
        return self.panels.highlighted or 0

    def _show(self, highlighted: int) -> None:
        """List the panels anew, with the cursor at this position."""
        by_id = {panel.id: panel for panel in PANELS}
        self.panels.set_options(Option(self._prompt(by_id[name]), id=name) for name in self.order)
        self.panels.highlighted = highlighted
        self._fit()

    def _fit(self) -> None:
        """Leave room for the keys below the list."""
        self.panels.styles.max_height = max(1, self.app.size.height - 6)

    def _prompt(self, panel: Panel) -> Content:
        size = self.sizes.get(panel.id, 0)
        return Content.assemble(
            (" ■ ", "$primary") if size else (" □ ", _QUIET),
            (align(panel.title, 12), "$foreground" if size else _QUIET),
            (align("━━" * size, 2 * MOST_SIZE + 2), "$primary"),
            (panel.description, _QUIET),
        )

    def action_go(self, by: int) -> None:
        self.panels.highlighted = min(max(self.highlighted + by, 0), len(PANELS) - 1)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click: what is under the cursor changes."""
        self.action_switch()

    def action_switch(self) -> None:
        """Into the layout at its end, or out of it; the cursor stays with the panel."""
        name = self.order[self.highlighted]
        if name in self.sizes:
            del self.sizes[name]
        else:
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
        if not self.sizes:
            self.app.notify("A layout has at least one panel: choose one with space.", severity="warning")
            return
        self.dismiss(Layout(name, tuple(self.sizes.items())))

    def action_leave(self) -> None:
        self.dismiss(None)
