"""Small boxes that ask for one thing: yes or no, a line of text, one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Span, line
from tuitrain.tui.widgets.lines import Lines

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A box in the middle. Escape, or a click beside it, answers nothing."""

    BINDINGS: ClassVar = [Binding("escape", "cancel", show=False)]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog #box { width: 70; max-width: 100%; height: auto; max-height: 100%; border: round $primary;
                  border-title-color: $foreground; background: $background; padding: 0 1; }
    Dialog Static { height: auto; }
    Dialog #keys { margin-top: 1; }
    Dialog Input, Dialog Input:focus { border: none; height: 1; padding: 0; background: $surface; }
    Dialog OptionList { height: auto; max-height: 20; border: none; background: $background; padding: 0; }
    """

    app: BaseApp

    def __init__(self, title: str) -> None:
        super().__init__()
        self.box_title = title

    def compose(self) -> ComposeResult:
        box = Vertical(id="box")
        box.border_title = Content(self.box_title)
        with box:
            yield from self.compose_box()

    def compose_box(self) -> ComposeResult:
        """What is in the box."""
        raise NotImplementedError

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel()

    def action_cancel(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """A question; `y` or enter is yes, anything else no."""

    BINDINGS: ClassVar = [
        Binding("y,enter", "answer(True)", show=False),
        Binding("n,escape,q", "answer(False)", show=False),
    ]

    def __init__(self, title: str, question: str) -> None:
        super().__init__(title)
        self.question = question

    def compose_box(self) -> ComposeResult:
        yield Static(Content(self.question))
        yield Lines(id="keys")

    def on_mount(self) -> None:
        yes, no = "screen.answer(True)", "screen.answer(False)"
        words = [Span("y", "key", yes), Span(" yes", "text", yes), Span("n", "key", no), Span(" no", "text", no)]
        self.query_one(Lines).show([line(*words[:2], "    ", *words[2:])])

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    def action_cancel(self) -> None:
        self.dismiss(False)


class Prompt(Dialog[str]):
    """A line of text at the foot of the screen, which stays in sight; enter gives it, escape gives None.

    hint: what an empty line shows; about: a sentence above the line.
    """

    DEFAULT_CSS = """
    Prompt { align: left bottom; background: transparent; }
    Prompt #box { width: 1fr; }
    Prompt ToastRack { dock: top; margin: 0; }
    Prompt Static { color: $foreground 65%; }
    """

    def __init__(self, title: str, value: str = "", hint: str = "", about: str = "") -> None:
        super().__init__(title)
        self.value = value
        self.hint = hint
        self.about = about

    def compose_box(self) -> ComposeResult:
        if self.about:
            yield Static(Content(self.about))
        field = Input(value=self.value, placeholder=self.hint, select_on_focus=False)
        # A cursor that blinks would send something twice a second for ever.
        field.cursor_blink = False
        yield field

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)


class Choice(Dialog[str]):
    """One of several (id, text); gives its id, escape gives None.

    The first letter of an id chooses it at once where no other id begins so.
    """

    BINDINGS: ClassVar = [
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str]]) -> None:
        super().__init__(title)
        self.options = options

    def compose_box(self) -> ComposeResult:
        yield OptionList(*(Option(Content(text), id=identity) for identity, text in self.options))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)

    def on_key(self, event: events.Key) -> None:
        meant = [identity for identity, _ in self.options if event.character and identity.startswith(event.character)]
        if len(meant) == 1:
            event.stop()
            self.dismiss(meant[0])

    def action_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()
