"""The line that `/` opens to search or to filter; its `Input.Changed` goes to the screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.validation import Validator
from textual.widgets import Input, Static


class SearchLine(Horizontal):
    """Hidden until it is opened. Enter closes it and keeps the text, as does a click elsewhere; escape clears it."""

    BINDINGS: ClassVar = [
        Binding("escape", "clear", show=False),
        Binding("down", "screen.scroll('down')", show=False),
        Binding("up", "screen.scroll('up')", show=False),
    ]

    @dataclass
    class Closed(Message):
        """The line is closed. text: what remains of it, empty after escape."""

        text: str

    def __init__(self, label: str = "/", placeholder: str = "", validators: Iterable[Validator] = ()) -> None:
        super().__init__()
        self._label = label
        self.input = Input(placeholder=placeholder, validators=validators, compact=True, select_on_focus=False)

    def compose(self) -> ComposeResult:
        yield Static(self._label)
        yield self.input

    def open(self) -> None:
        """Show the line and focus it."""
        self.display = True
        # At once: keys that came in the same packet must not act on the run.
        self.screen.set_focus(self.input)
        self.input.action_end()

    def close(self, *, keep: bool) -> None:
        """Hide the line. keep: whether its text remains."""
        if not keep:
            self.input.value = ""
        self.display = False
        self.screen.set_focus(None)
        self.post_message(self.Closed(self.input.value))

    def action_clear(self) -> None:
        self.close(keep=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.validation_result is None or event.validation_result.is_valid:
            self.close(keep=True)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if self.display and self.screen.is_current:
            self.close(keep=True)
