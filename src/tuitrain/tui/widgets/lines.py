"""A widget that shows lines of text and sends to the terminal only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line, fit
from tuitrain.tui.theme import VISIBLE_BLANKS, Palette


def strip_of(of: Line, app: BaseApp) -> Strip:
    """A line in the colours of the app's theme."""
    palette = app.palette
    return Strip([Segment(span.text, palette[span.role]) for span in of if span.text])


_GAP = 6
"""Cells that stayed the same and are sent again, since going past them takes as many bytes."""


def changed_cells(before: Line, after: Line) -> list[tuple[int, int]]:
    """First and one past the last cell of each part in which two lines differ."""
    if before == after:
        return []
    one, other = _cells(before), _cells(after)
    if len(one) != len(other) or any(cell_len(span.text) != len(span.text) for span in (*before, *after)):
        return [(0, max(len(one), len(other), *(sum(cell_len(s.text) for s in each) for each in (before, after))))]
    parts: list[tuple[int, int]] = []
    for index, (left, right) in enumerate(zip(one, other, strict=True)):
        if left == right:
            continue
        if parts and index - parts[-1][1] < _GAP:
            parts[-1] = (parts[-1][0], index + 1)
        else:
            parts.append((index, index + 1))
    return parts


def _cells(of: Line) -> list[tuple[str, str]]:
    """Character and role of each cell; a blank looks the same in most roles."""
    return [
        (character, "" if character == " " and span.role not in VISIBLE_BLANKS else span.role)
        for span in of
        for character in span.text
    ]


class Lines(Widget):
    """Lines of text, cropped to the widget's width. A click on a span that has an action does it."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    app: BaseApp

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: tuple[Line, ...] = ()
        self._strips: dict[int, Strip] = {}
        self._made_for: Size | None = None
        self._palette: Palette | None = None

    @property
    def text(self) -> str:
        """What is shown, without colours."""
        return "\n".join("".join(span.text for span in each) for each in self.lines)

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of the present ones."""
        before, self.lines = self.lines, tuple(lines)
        if len(before) != len(self.lines):
            self._strips.clear()
            self.refresh(layout=self.styles.height is not None and self.styles.height.is_auto)
            return
        regions = []
        for row, (old, new) in enumerate(zip(before, self.lines, strict=True)):
            parts = changed_cells(old, new)
            if parts:
                self._strips.pop(row, None)
                regions += [Region(start, row, end - start, 1) for start, end in parts]
        if regions:
            self.refresh(*regions)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.lines)

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
            self._strips.clear()
        palette = self.app.palette
        if palette is not self._palette:
            self._palette = palette
            self._strips.clear()
        if y >= len(self.lines):
            return Strip.blank(self.size.width, self.app.palette["text"])
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = strip_of(fit(self.lines[y], self.size.width), self.app)
        return strip

    def on_resize(self, event: events.Resize) -> None:
        self._strips.clear()

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
