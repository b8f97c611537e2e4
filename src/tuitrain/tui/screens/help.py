"""The keys of a screen, from the action registry, grouped by what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import ModalScreen

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.registry import CHARTS, Action, ScreenName, actions_of, bindings, key_text
from tuitrain.tui.text import Line, Span, align, line, wrap
from tuitrain.tui.widgets.pane import Pane

LEAST_CELLS, MOST_CELLS = 66, 86
"""Of a column."""
KEY_CELLS = 19
FRAME_CELLS = 4

_MOVING = frozenset((
    "next_tab", "focus_next", "focus_previous", "go_right", "go_left", "focus_below", "focus_above", "cursor_down",
    "cursor_up", "page_down", "page_up", "first", "last", "next_part", "previous_part",
))  # fmt: skip
_SCREENS = frozenset(("runs", "compare", "back", "choose_screen"))
_RUN = frozenset(("next_run", "previous_run", "copy_value"))
GROUPS = ("this screen", "charts", "run", "moving", "screens", "tuitrain")


def group_of(action: Action) -> str:
    """What an action is for: one of GROUPS."""
    if action.id in _MOVING:
        return "moving"
    if action.id in _SCREENS or action.id.startswith("show_"):
        return "screens"
    if action.owner == "app" and action.id not in _RUN:
        return "tuitrain"
    if set(action.screens) <= set(CHARTS) and "watch" in action.screens:
        return "charts"
    return "run" if action.id in _RUN or (action.acts and len(action.screens) > 1) else "this screen"


def help_lines(screen_name: ScreenName, actions: Sequence[Action], cells: int) -> list[Line]:
    """The actions of a screen, each group under its name, in as many columns as fit."""
    count = max(1, cells // LEAST_CELLS)
    room = cells // count - KEY_CELLS - 2
    blocks = []
    for group in GROUPS:
        members = [action for action in actions_of(screen_name, actions) if group_of(action) == group]
        if members:
            rows = [row for action in members for row in _rows(action, room)]
            blocks.append([line(Span(f" {group}", "title")), *rows, ()])
    return side_by_side(blocks, cells, count)


def _rows(action: Action, room: int) -> list[Line]:
    """The keys, and what they do, over as many lines as that takes."""
    keys = "  ".join(key_text(key) for key in action.keys)
    text = f"{action.title}. {action.help}" if action.id.startswith("show_") else action.help
    first, *rest = wrap(text, max(room, 12))
    head = line(" ", Span(align(keys, KEY_CELLS), "key"), Span(first, "text"))
    return [head, *(line(" " * (KEY_CELLS + 1), Span(text, "text")) for text in rest)]


class HelpScreen(ModalScreen[None]):
    """A box with the keys of the screen below it. It scrolls; escape, `q`, `?` or a click closes it."""

    BINDINGS: ClassVar = [
        *bindings("help"),
        Binding("q,question_mark,f1", "back", show=False),
        # The other keys that scroll are Textual's.
        Binding("j", "focused.scroll_down", show=False),
        Binding("k", "focused.scroll_up", show=False),
        Binding("space", "focused.page_down", show=False),
        Binding("g", "focused.scroll_home", show=False),
        Binding("G", "focused.scroll_end", show=False),
    ]
    app: BaseApp

    def __init__(self, screen_name: ScreenName) -> None:
        super().__init__()
        self.screen_name = screen_name

    def compose(self) -> ComposeResult:
        box = Container(id="box")
        box.border_title = f"keys: {self.screen_name}"
        with box:
            pane = Pane(id="keys")
            pane.can_focus = True
            yield pane

    def on_resize(self, event: events.Resize) -> None:
        """Fit the box to the terminal and to what is in it."""
        width, height = self.app.size
        # The last column is that of the scroll bar.
        room = width - FRAME_CELLS
        cells = min(room, 2 * MOST_CELLS + 1 if room > 2 * LEAST_CELLS else MOST_CELLS)
        lines = help_lines(self.screen_name, self.app.actions, max(cells - 1, 1))
        box, pane = self.query_one("#box"), self.query_one(Pane)
        box.styles.width = cells + FRAME_CELLS
        pane.styles.height = min(len(lines), max(1, height - 2))
        box.border_subtitle = "more below" if len(lines) > height - 2 else ""
        pane.show(lines)

    def on_click(self) -> None:
        self.dismiss()

    def action_back(self) -> None:
        self.dismiss()
