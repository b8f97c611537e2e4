"""The search line that `/` opens; it posts each change of its text."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class SearchLine(Horizontal):
    """Hidden until it is opened. Enter closes it and keeps the text, escape clears it."""

    DEFAULT_CSS = """
    SearchLine { height: 1; display: none; background: $background; }
    SearchLine Static { width: 2; color: $primary; }
    SearchLine Input { border: none; height: 1; padding: 0; width: 1fr; background: $background; }
    SearchLine Input:focus { border: none; background: $background; }
    """

    class Typed(Message):
        """The text has changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The line is closed. text: the search that remains, empty after escape."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def compose(self) -> ComposeResult:
        yield Static(" /")
        yield Input(compact=True, select_on_focus=False)

    @property
    def text(self) -> str:
        """The text typed so far."""
        return self.query_one(Input).value

    def open(self) -> None:
        """Show the line and focus it."""
        self.display = True
        # At once: keys that came in the same packet must not act on the run.
        self.screen.set_focus(self.query_one(Input))

    def close(self, *, keep: bool) -> None:
        """Hide the line. keep: whether its text remains."""
        line = self.query_one(Input)
        if not keep:
            with line.prevent(Input.Changed):
                line.value = ""
        self.display = False
        self.screen.set_focus(None)
        self.post_message(self.Closed(line.value))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close(keep=True)

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            self.close(keep=False)
