"""Modal dialogs: a confirmation, a line of text, a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from tuitrain.tui.base_app import BaseApp

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None]):
    """Widgets in a titled frame in the middle of the screen. Escape, or a click beside it, gives None."""

    CSS_PATH = "../styles/dialogs.tcss"
    BINDINGS: ClassVar = [Binding("escape", "cancel", show=False)]
    app: BaseApp

    def __init__(self, title: str, *widgets: Widget) -> None:
        super().__init__()
        self.box = Vertical(*widgets, id="box")
        self.box.border_title = Content(title)

    def compose(self) -> ComposeResult:
        yield self.box

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel()

    def action_cancel(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """A question; `y` or enter is yes; `n`, `q` and escape are no."""

    BINDINGS: ClassVar = [
        Binding("y,enter", "answer(True)", show=False),
        Binding("n,q", "answer(False)", show=False),
    ]

    def __init__(self, title: str, question: str) -> None:
        yes = Button(Content.from_markup("[b $primary]y[/] yes"), id="yes", compact=True)
        no = Button(Content.from_markup("[b $primary]n[/] no"), id="no", compact=True)
        super().__init__(title, Static(Content(question)), Horizontal(yes, no, id="buttons"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.action_answer(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Prompt(Dialog[str]):
    """A line of text at the foot of the screen, which stays visible; enter gives it, escape gives None.

    hint: what an empty line shows; explanation: a sentence above the line.
    """

    def __init__(self, title: str, value: str = "", hint: str = "", explanation: str = "") -> None:
        self.input = Input(value, hint, select_on_focus=False)
        # A blinking cursor would send bytes twice a second.
        self.input.cursor_blink = False
        super().__init__(title, *([Static(Content(explanation))] if explanation else []), self.input)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)


class Choice(Dialog[str]):
    """One of several (id, text); gives its id, escape gives None.

    The first letter of an id chooses it at once where no other id begins with it.
    """

    BINDINGS: ClassVar = [
        Binding("j", "focused.cursor_down", show=False),
        Binding("k", "focused.cursor_up", show=False),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str]]) -> None:
        self.options = options
        super().__init__(title, OptionList(*(Option(Content(text), id=name) for name, text in options)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)

    def on_key(self, event: events.Key) -> None:
        matching = [name for name, _ in self.options if event.character and name.startswith(event.character)]
        if len(matching) == 1:
            event.stop()
            self.dismiss(matching[0])
