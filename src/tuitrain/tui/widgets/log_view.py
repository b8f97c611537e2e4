"""A console log in sight: the lines on the screen are read from the file when they are drawn, and no others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rich.cells import chop_cells
from textual import events
from textual.message import Message

from tuitrain.events.text import clean
from tuitrain.runs.console import ConsoleFile, ConsoleLine, ConsoleMark
from tuitrain.tui.content.console_search import Query
from tuitrain.tui.text import Line, Span, fit, line
from tuitrain.tui.widgets.lines import Lines

_BAD = re.compile(r"^Traceback|\b\w*(Error|Exception)\b|\b(ERROR|CRITICAL|FATAL)\b|^\s*(error|fatal|critical):")
_WARN = re.compile(r"\b\w*Warning\b|\b(WARN|WARNING)\b|^\s*warn(ing)?:")
WHEEL_ROWS = 3


@dataclass(frozen=True, order=True, slots=True)
class RowPosition:
    """A row of the wrapped log: the byte at which its line starts, and which row of the line it is."""

    start: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One row. text: the whole line's, of which this is `size` characters from `first` on; end: of the line's bytes."""

    place: RowPosition
    text: str
    first: int
    size: int
    end: int


class LogView(Lines):
    """Rows of a console around a place; while it follows, the last ones."""

    DEFAULT_CSS = "LogView { height: 1fr; width: 1fr; overflow: hidden; }"

    class Moved(Message):
        """Somebody scrolled by mouse."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.file: ConsoleFile | None = None
        self.follow = True
        self.query_shown: Query | None = None
        self.found: int | None = None
        """Where the line starts that a search went to last."""
        self._place = RowPosition(0)
        self._page: list[Row] = []
        self._mark: ConsoleMark | None = None

    def open(self, path: Path | None) -> None:
        """Show another console, from its end."""
        self.file = ConsoleFile(path) if path is not None else None
        self.follow, self.found, self._place, self._page, self._mark = True, None, RowPosition(0), [], None

    @property
    def size_bytes(self) -> int:
        """Size of the console when it was last drawn."""
        return self._mark.size if self._mark else 0

    @property
    def has_changed(self) -> bool:
        """Whether the file is another one than was drawn. A file that cannot be read has not changed."""
        try:
            return self.file is not None and self.file.mark() != self._mark
        except OSError:
            return False

    @property
    def in_sight(self) -> tuple[int, int]:
        """The bytes at which the first and the last line in sight start."""
        return (self._page[0].place.start, self._page[-1].place.start) if self._page else (0, 0)

    def draw(self) -> None:
        """Read what is in sight and show it."""
        cells, height = self.size
        if not cells or not height:
            return
        try:
            problem = self._read(height)
        except OSError as error:
            problem = f"cannot read {self.file.path if self.file else 'the console'}: {error.strerror or error}"
        if problem:
            self._page = []
            self.show([fit(line(" ", Span(problem, "quiet")), cells), *[fit((), cells)] * (height - 1)])
            return
        thumb = self._thumb(height)
        rows = [self._line(row, cells - 2) for row in self._page]
        rows += [()] * (height - len(rows))
        self.show([(*fit(row, cells - 1), Span(*thumb[index])) for index, row in enumerate(rows)])

    def _read(self, height: int) -> str:
        """Fill the page; returns why there is nothing to show."""
        mark = self.file.mark() if self.file is not None else None
        before, self._mark = self._mark, mark
        if self.file is None or mark is None:
            return "This run has no console output here."
        if before is not None and (mark.inode != before.inode or mark.size < before.size):
            self.follow, self.found, self._place = True, None, RowPosition(0)
        if not mark.size:
            return "The console is still empty."
        page = [] if self.follow else self._rows_from(self._place, height)
        if len(page) < height:
            page = self._rows_before(RowPosition(mark.size), height)
        self._page, self._place = page, page[0].place if page else RowPosition(0)
        return ""

    def _rows(self, lines: list[ConsoleLine]) -> list[Row]:
        rows: list[Row] = []
        cells = max(self.size.width - 2, 2)
        for each in lines:
            text, first = clean(each.text), 0
            for part, piece in enumerate(chop_cells(text, cells) or [""]):
                rows.append(Row(RowPosition(each.start, part), text, first, len(piece), each.end))
                first += len(piece)
        return rows

    def _rows_from(self, place: RowPosition, count: int) -> list[Row]:
        if self.file is None:
            return []
        rows = self._rows(self.file.lines_from(place.start, count + 1))
        return [row for row in rows if row.place >= place][:count]

    def _rows_before(self, place: RowPosition, count: int) -> list[Row]:
        if self.file is None:
            return []
        same = self._rows(self.file.lines_from(place.start, 1)) if place.part else []
        rows = self._rows(self.file.lines_before(place.start, count))
        return [*rows, *(row for row in same if row.place < place)][-count:]

    def _line(self, row: Row, cells: int) -> Line:
        role = level_role(row.text)
        mark = Span("▌", "accent") if row.place.start == self.found else Span(" ")
        query = self.query_shown
        if query is None:
            return (mark, Span(row.text[row.first : row.first + row.size], role))
        return (mark, *_part(query.marked(row.text, role), row.first, row.size))

    def _thumb(self, height: int) -> list[tuple[str, str]]:
        """The scrollbar, a cell a row: by bytes, since the lines are not counted."""
        first, last = self.in_sight
        size = self.size_bytes
        if not self._page or (self._place == RowPosition(0) and self._page[-1].end >= size):
            return [(" ", "text")] * height
        length = max(1, round(height * (last - first) / size))
        top = height - length if self.follow else min(round(height * first / size), height - length)
        return [("┃", "level") if top <= row < top + length else ("│", "grid") for row in range(height)]

    def scroll_rows(self, by: int) -> None:
        """Rows down, or up where negative. Upwards it no longer follows."""
        if not self._page:
            return
        try:
            if by < 0:
                rows = self._rows_before(self._place, -by)
                if not rows:
                    return
                self.follow, self._place = False, rows[0].place
            elif not self.follow:
                rows = self._rows_from(self._place, by + 1)
                self._place = rows[-1].place if rows else self._place
        except OSError:
            return  # Drawing says why.
        self.draw()

    def to_start(self) -> None:
        """The first line of the file."""
        self.follow, self._place = False, RowPosition(0)
        self.draw()

    def to_end(self) -> None:
        """The end, and stay there."""
        self.follow = True
        self.draw()

    def to_line(self, start: int) -> None:
        """Bring the line that starts at this byte into sight and mark it."""
        self.found = start
        first, last = self.in_sight
        if not self._page or not first <= start <= last:
            self.follow = False
            try:
                rows = self._rows_before(RowPosition(start), self.size.height // 3)
            except OSError:
                rows = []
            self._place = rows[0].place if rows else RowPosition(start)
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self.draw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(WHEEL_ROWS)
        self.post_message(self.Moved())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-WHEEL_ROWS)
        self.post_message(self.Moved())

    async def on_click(self, event: events.Click) -> None:
        if self._page and self.file is not None and event.x == self.size.width - 1:
            target = self.size_bytes * event.y // max(self.size.height - 1, 1)
            self.follow = event.y >= self.size.height - 1
            self._place = RowPosition(self.file.last_line_start(target) if target else 0)
            self.draw()
            self.post_message(self.Moved())


def level_role(text: str) -> str:
    """The role of a line of output: trouble stands out."""
    if _BAD.search(text):
        return "bad"
    return "warn" if _WARN.search(text) else "text"


def _part(of: Line, first: int, size: int) -> Line:
    """The characters of a line from `first` on, `size` of them."""
    found: list[Span] = []
    for span in of:
        piece = span.text[max(first, 0) : max(first + size, 0)]
        if piece:
            found.append(Span(piece, span.role))
        first -= len(span.text)
    return tuple(found)
