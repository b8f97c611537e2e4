"""The keys of a screen, from the action registry, grouped by what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, get_args

from textual import events
from textual.binding import Binding

from tuitrain.tui.registry import Action, Group, ScreenName, actions_of, bindings, key_text
from tuitrain.tui.screens.dialogs import Dialog
from tuitrain.tui.text import Line, Span, align, line, paragraphs, side_by_side
from tuitrain.tui.widgets.pane import Pane

LEAST_CELLS, MOST_CELLS = 66, 86
"""Of a column."""
KEY_CELLS = 19
FRAME_CELLS = 4

GROUPS = get_args(Group)


def help_lines(screen_name: ScreenName, actions: Sequence[Action], cells: int) -> list[Line]:
    """The actions of a screen, each group under its name, in as many columns as fit."""
    count = max(1, cells // LEAST_CELLS)
    blocks = []
    for group in GROUPS:
        members = [action for action in actions_of(screen_name, actions) if action.group == group]
        if members:
            rows = [row for action in members for row in _rows(action, cells // count - 1)]
            blocks.append([line(Span(f" {group}", "title")), *rows, ()])
    return side_by_side(blocks, cells, count)


def _rows(action: Action, cells: int) -> list[Line]:
    """The keys, and what they do, over as many lines as that takes."""
    keys = "  ".join(key_text(key) for key in action.keys)
    text = f"{action.title}. {action.help}" if action.id.startswith("show_") else action.help
    return paragraphs(text, cells, first=line(" ", Span(align(keys, KEY_CELLS), "key")))


class HelpScreen(Dialog[None]):
    """A box with the keys of the screen below it. It scrolls; escape, `q`, `?` or a click closes it."""

    BINDINGS: ClassVar = [
        *bindings("help"),
        Binding("q,question_mark,f1", "cancel", show=False),
        # The other keys that scroll are Textual's.
        Binding("j", "focused.scroll_down", show=False),
        Binding("k", "focused.scroll_up", show=False),
        Binding("space", "focused.page_down", show=False),
        Binding("g", "focused.scroll_home", show=False),
        Binding("G", "focused.scroll_end", show=False),
    ]

    def __init__(self, screen_name: ScreenName) -> None:
        self.screen_name = screen_name
        self.pane = Pane(id="keys")
        self.pane.can_focus = True
        super().__init__(f"keys: {screen_name}", self.pane)

    def on_resize(self, event: events.Resize) -> None:
        """Fit the box to the terminal and to what is in it."""
        width, height = self.app.size
        # The last column is that of the scroll bar.
        room = width - FRAME_CELLS
        cells = min(room, 2 * MOST_CELLS + 1 if room > 2 * LEAST_CELLS else MOST_CELLS)
        lines = help_lines(self.screen_name, self.app.actions, max(cells - 1, 1))
        self.box.styles.width = cells + FRAME_CELLS
        self.pane.styles.height = min(len(lines), max(1, height - 2))
        self.box.border_subtitle = "more below" if len(lines) > height - 2 else ""
        self.pane.show(lines)

    def on_click(self, event: events.Click) -> None:
        self.action_cancel()

    action_back = Dialog.action_cancel
