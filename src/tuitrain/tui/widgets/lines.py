"""A widget that shows lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line, Span, fit, plain


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
        """Make the lines anew, as for other data. Without a size, as while hidden, that waits until they are drawn."""
        self._made_for = self.size or None
        if self.size:
            self.show(self.make())

    def render_line(self, y: int) -> Strip:
        if self._made_for != self.size:
            self._made_for = self.size
            self.lines = self.make()
        if y >= len(self.lines):
            return Strip.blank(self.size.width, self.app.palette["text"])
        return Strip([self._segment(span) for span in fit(self.lines[y], self.size.width) if span.text])

    def _segment(self, span: Span) -> Segment:
        style = self.app.palette[span.role]
        return Segment(span.text, style + Style.from_meta({"@click": span.action}) if span.action else style)
