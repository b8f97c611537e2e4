"""Lines of text that scroll."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line
from tuitrain.tui.widgets.lines import Lines


class Pane(VerticalScroll, can_focus=False):
    """Lines that scroll vertically."""

    app: BaseApp

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = Lines(grows=True)

    def compose(self) -> ComposeResult:
        yield self._lines

    def on_resize(self) -> None:
        # Lines are made for the size; a pane that was hidden has none yet.
        self.remake()

    def remake(self) -> None:
        """Make the lines for the present size; by default the screen does."""
        self.app.redraw()

    @property
    def text(self) -> str:
        """All lines, without colours."""
        return self._lines.text

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the lines."""
        self._lines.show(lines)
