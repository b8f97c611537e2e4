"""A pane of text that scrolls; only the rows in sight are drawn."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.text import Line, fit, plain
from tuitrain.tui.widgets.lines import action_at, strip_of


class Pane(ScrollView, can_focus=False):
    """Lines that scroll vertically. cursor: the line that is set off, or None."""

    DEFAULT_CSS = """
    Pane { height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
           scrollbar-background: $background; scrollbar-color: $foreground 25%; }
    """

    app: BaseApp

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: tuple[Line, ...] = ()
        self.cursor: int | None = None

    @property
    def text(self) -> str:
        """All lines, without colours."""
        return "\n".join(map(plain, self.lines))

    def show(self, lines: Sequence[Line], *, follow: bool = False) -> None:
        """Show these lines. follow: stay at the end if that is where the pane was."""
        at_end = self.scroll_offset.y >= self.max_scroll_y
        before, self.lines = self.lines, tuple(lines)
        if len(before) != len(self.lines):
            self.virtual_size = Size(self.size.width, len(self.lines))
            self.refresh()
        else:
            self._refresh_rows([row for row, line in enumerate(self.lines) if line != before[row]])
        if follow and at_end:
            self.scroll_end(animate=False)

    def move_cursor(self, row: int) -> None:
        """Set off another line and scroll it into sight."""
        old, self.cursor = self.cursor, row
        self._refresh_rows([old, row])
        top, rows = self.scroll_offset.y, self.size.height
        if row < top:
            self.scroll_to(y=row, animate=False)
        elif rows and row >= top + rows:
            self.scroll_to(y=row - rows + 1, animate=False)

    def _refresh_rows(self, rows: Sequence[int | None]) -> None:
        top = self.scroll_offset.y
        regions = [
            Region(0, row - top, self.size.width, 1)
            for row in rows
            if row is not None and 0 <= row - top < self.size.height
        ]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        if row >= len(self.lines):
            return Strip.blank(self.size.width, self.app.palette["text"])
        shown = strip_of(fit(self.lines[row], self.size.width), self.app)
        if row != self.cursor:
            return shown
        return Strip(Segment.apply_style(shown, post_style=self.app.palette["cursor"]))

    async def on_click(self, event: events.Click) -> None:
        action = action_at(self.lines, event.x, event.y + self.scroll_offset.y)
        if action:
            await self.run_action(action)
