"""A widget that shows lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line, fit, plain


def strip_of(of: Line, app: BaseApp) -> Strip:
    """A line in the colours of the app's theme."""
    palette = app.palette
    return Strip([Segment(span.text, palette[span.role]) for span in of if span.text])


class Lines(Widget):
    """Lines of text, cropped to the widget's width. A click on a span that has an action does it.

    grows: whether the widget is as high as its lines; its height otherwise is that of the style sheet.
    """

    app: BaseApp

    def __init__(self, *, id: str | None = None, classes: str | None = None, grows: bool = False) -> None:
        super().__init__(id=id, classes=classes)
        self._grows = grows
        self.lines: tuple[Line, ...] = ()
        self._made_for: Size | None = None

    @property
    def text(self) -> str:
        """What is shown, without colours."""
        return "\n".join(map(plain, self.lines))

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of the present ones."""
        before, self.lines = self.lines, tuple(lines)
        if len(before) != len(self.lines):
            self.refresh()
            if self._grows:
                # An automatic height would stay that of the first lines where others follow before the widget is idle.
                self.styles.height = len(self.lines)
        elif changed := [row for row, line in enumerate(self.lines) if line != before[row]]:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in changed))

    def make(self) -> tuple[Line, ...]:
        """The lines for the present size, for widgets that make their own; asked for before they are first drawn."""
        return self.lines

    def remake(self) -> None:
        """Make the lines anew, as for other data. Without a size yet, that waits until they are drawn."""
        if self.size:
            self._made_for = self.size
            self.show(self.make())

    def render_line(self, y: int) -> Strip:
        if self._made_for != self.size:
            self._made_for = self.size
            self.lines = self.make()
        if y >= len(self.lines):
            return Strip.blank(self.size.width, self.app.palette["text"])
        return strip_of(fit(self.lines[y], self.size.width), self.app)

    async def on_click(self, event: events.Click) -> None:
        action = action_at(self.lines, event.x, event.y)
        if action:
            await self.run_action(action)


def action_at(lines: Sequence[Line], x: int, y: int) -> str:
    """The action of the span at a cell, or nothing."""
    if not 0 <= y < len(lines):
        return ""
    end = 0
    for span in lines[y]:
        end += cell_len(span.text)
        if x < end:
            return span.action
    return ""
