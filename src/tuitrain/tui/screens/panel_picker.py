"""A box in which the panels of a layout are chosen, put in order and given a size."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.content import Content
from textual.screen import ModalScreen

from tuitrain.plots.panels import PANELS
from tuitrain.tui.arrangement import MOST_SIZE
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.layouts import OWN, Layout, Layouts
from tuitrain.tui.text import Line, Span, align, line
from tuitrain.tui.widgets.lines import Lines
from tuitrain.tui.widgets.pane import Pane

_KEYS = (
    (("space", "switch"), "on or off"),
    (("J", "move(1)"), ("K", "move(-1)"), "move"),
    (("+", "resize(1)"), ("-", "resize(-1)"), "size"),
    (("r", "reset"), "as it was"),
    (("o", "keep_own"), "keep as own"),
    (("enter", "keep"), "keep"),
    (("esc", "leave"), "leave"),
)
"""Keys with their actions, and what they do."""
_WIDTH = 78


class PanelPicker(ModalScreen["Layout | None"]):
    """Every panel in a line: those of the layout first, in their order. Gives the layout, escape gives None."""

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
    DEFAULT_CSS = """
    PanelPicker { align: center middle; background: $background 60%; }
    PanelPicker #box { width: 78; max-width: 100%; height: auto; max-height: 100%; border: round $primary;
                       border-title-color: $foreground; background: $background; padding: 0 1; }
    PanelPicker Pane { height: auto; }
    PanelPicker Lines { height: auto; }
    """

    app: BaseApp

    def __init__(self, layout: Layout, layouts: Layouts) -> None:
        super().__init__()
        self.layout_name = layout.name
        self.layouts = layouts
        self.chosen: list[tuple[str, int]] = list(layout.sizes)
        """Ids and sizes of the panels of the layout, in their order."""
        self.at = 0

    def compose(self) -> ComposeResult:
        box = Container(id="box")
        box.border_title = Content(f"panels of {self.layout_name}")
        with box:
            yield Pane(id="panels")
            yield Lines(id="keys")

    def on_mount(self) -> None:
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        self._show()

    @property
    def order(self) -> list[str]:
        """Ids of all panels as they are listed."""
        inside = [name for name, _ in self.chosen]
        return [*inside, *(panel.id for panel in PANELS if panel.id not in inside)]

    @property
    def _place(self) -> int | None:
        """The place of the panel under the cursor in the layout; None when it is not in it."""
        return self.at if self.at < len(self.chosen) else None

    def _show(self) -> None:
        keys = _key_lines(min(_WIDTH, self.app.size.width) - 4)
        rows = max(1, min(len(PANELS), self.app.size.height - 3 - len(keys)))
        pane = self.query_one(Pane)
        pane.styles.height = rows
        about = {panel.id: panel for panel in PANELS}
        sizes = dict(self.chosen)
        lines = []
        for index, name in enumerate(self.order):
            lines.append(_row(about[name].title, about[name].description, sizes.get(name), index))
        pane.show(lines)
        pane.move_cursor(self.at)
        self.query_one("#keys", Lines).show([(), *keys])

    def action_go(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), len(PANELS) - 1)
        self._show()

    def action_pick(self, index: int) -> None:
        """A click: the cursor goes there, and what is under it changes."""
        self.at = index
        self.action_switch()

    def action_switch(self) -> None:
        """Into the layout at its end, or out of it; the cursor stays with the panel."""
        name, place = self.order[self.at], self._place
        if place is not None:
            del self.chosen[place]
        else:
            self.chosen.append((name, 1))
        self.at = self.order.index(name)
        self._show()

    def action_move(self, by: int) -> None:
        place = self._place
        if place is None or not 0 <= place + by < len(self.chosen):
            return
        self.chosen.insert(place + by, self.chosen.pop(place))
        self.at = place + by
        self._show()

    def action_resize(self, by: int) -> None:
        place = self._place
        if place is not None:
            name, size = self.chosen[place]
            self.chosen[place] = name, min(max(size + by, 1), MOST_SIZE)
            self._show()

    def action_reset(self) -> None:
        """The panels of the layout as it was before any change."""
        self.chosen = list(self.layouts.original(self.layout_name))
        self.at = 0
        self._show()

    def action_keep(self) -> None:
        self._keep(self.layout_name)

    def action_keep_own(self) -> None:
        self._keep(OWN)

    def _keep(self, name: str) -> None:
        if not self.chosen:
            self.app.notify("A layout has at least one panel: choose one with space.", severity="warning")
            return
        self.dismiss(Layout(name, tuple(self.chosen)))

    def action_leave(self) -> None:
        self.dismiss(None)


def _row(short: str, about: str, size: int | None, index: int) -> Line:
    action = f"screen.pick({index})"
    mark = Span(" ■ ", "accent", action) if size else Span(" □ ", "quiet", action)
    wide = "━━" * size if size else ""
    return line(
        mark,
        Span(align(short, 12), "value" if size else "quiet", action),
        Span(align(wide, 2 * MOST_SIZE + 2), "accent", action),
        Span(about, "quiet", action),
    )


def _key_lines(cells: int) -> list[Line]:
    """The keys in as many lines as they need."""
    rows: list[Line] = [()]
    for *keys, text in _KEYS:
        entry = line(*(Span(f"{key} ", "key", f"screen.{action}") for key, action in keys), Span(f"{text}   ", "quiet"))
        if rows[-1] and sum(len(span.text) for span in (*rows[-1], *entry)) > cells:
            rows.append(())
        rows[-1] = (*rows[-1], *entry)
    return rows
