"""The keys of a screen, from the action registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import ModalScreen

from tuitrain.tui.actions import Place, actions_of, bindings, key_text
from tuitrain.tui.text import Line, Span, align, line
from tuitrain.tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tuitrain.tui.app import TuitrainApp


def help_lines(place: Place) -> list[Line]:
    """One line for each action of a screen: its keys and what it does."""
    rows = []
    for action in actions_of(place):
        keys = "  ".join(key_text(key) for key in action.keys)
        rows.append(line(" ", Span(align(keys, 16), "key"), Span(action.help, "text")))
    return rows


class HelpScreen(ModalScreen[None]):
    """A box with the keys of the screen below it. Any key of its own, or a click, closes it."""

    BINDINGS: ClassVar = [*bindings("help"), ("q", "back"), ("question_mark", "back")]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen #box { width: 76; max-width: 100%; height: auto; max-height: 100%; border: round $primary;
                      border-title-color: $foreground; background: $background; padding: 1 1; }
    HelpScreen Pane { height: auto; max-height: 100%; }
    """

    app: TuitrainApp

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def compose(self) -> ComposeResult:
        box = Container(id="box")
        box.border_title = "keys"
        with box:
            yield Pane(id="keys")

    def on_mount(self) -> None:
        lines = help_lines(self.place)
        pane = self.query_one(Pane)
        pane.styles.height = min(len(lines), max(1, self.app.size.height - 4))
        pane.show(lines)

    def draw(self) -> None:
        """The keys do not change while they are shown."""

    def repaint(self) -> None:
        """Draw everything again in new colours."""
        self.query_one(Pane).repaint()

    def on_click(self) -> None:
        self.dismiss()

    def action_back(self) -> None:
        self.dismiss()
