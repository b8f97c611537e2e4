"""A widget that shows lines of text and sends to the terminal only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tuitrain.tui.text import Line, fit

if TYPE_CHECKING:
    from tuitrain.tui.app import TuitrainApp


def strip_of(of: Line, app: TuitrainApp) -> Strip:
    """A line in the colours of the app's theme."""
    palette = app.palette
    return Strip([Segment(span.text, palette[span.role]) for span in of if span.text])


def changed_cells(before: Line, after: Line) -> tuple[int, int] | None:
    """First and one past the last cell in which two lines differ; None where they are equal."""
    if before == after:
        return None
    one = [(character, span.role) for span in before for character in span.text]
    other = [(character, span.role) for span in after for character in span.text]
    size = max(len(one), len(other), sum(cell_len(span.text) for span in (*before, *after)))
    if len(one) != len(other) or any(cell_len(span.text) != len(span.text) for span in (*before, *after)):
        return 0, size
    differing = [index for index, (left, right) in enumerate(zip(one, other, strict=True)) if left != right]
    return (differing[0], differing[-1] + 1) if differing else None


class Lines(Widget):
    """Lines of text, cropped to the widget's width. A click on a span that has an action does it."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    app: TuitrainApp

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: tuple[Line, ...] = ()
        self._strips: dict[int, Strip] = {}

    @property
    def text(self) -> str:
        """What is shown, without colours."""
        return "\n".join("".join(span.text for span in each) for each in self.lines)

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of the present ones."""
        before, self.lines = self.lines, tuple(lines)
        if len(before) != len(self.lines):
            self.repaint()
            return
        regions = []
        for row, (old, new) in enumerate(zip(before, self.lines, strict=True)):
            span = changed_cells(old, new)
            if span is not None:
                self._strips.pop(row, None)
                regions.append(Region(span[0], row, span[1] - span[0], 1))
        if regions:
            self.refresh(*regions)

    def repaint(self) -> None:
        """Draw everything again, as after a change of colours."""
        self._strips.clear()
        self.refresh(layout=self.styles.height is not None and self.styles.height.is_auto)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.lines)

    def render_line(self, y: int) -> Strip:
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
