"""A console log: the rows on the screen are read from the file when they are drawn, and no others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from rich.cells import chop_cells
from textual import events, work
from textual.message import Message
from textual.worker import Worker, get_current_worker

from tuitrain.runs.console import ConsoleFile, ConsoleLine, ConsoleMark, Severity, severity
from tuitrain.runs.console_search import Query, Search
from tuitrain.text import clean
from tuitrain.tui.registry import Scroll
from tuitrain.tui.text import Line, Span, fit, line, marked
from tuitrain.tui.widgets.lines import Lines

_ROLES: dict[Severity, str] = {"error": "bad", "warning": "warn", "": "text"}
WHEEL_ROWS = 3
POLL_S = 1.0
"""Interval at which the file is checked for changes."""
SEARCH_POLL_S = 0.1
"""Interval at which the matches are read while a search runs."""


Position = tuple[int, int]
"""A row of the wrapped log: the byte at which its line starts, and the index of the row in its line."""


class Row(NamedTuple):
    """A part of a line of the log, whose bytes end at `end`."""

    position: Position
    shown: Line
    end: int


class LogView(Lines):
    """Rows of a console from a position on; with `follow` the last ones. Its matches of a search are marked."""

    class Changed(Message):
        """The position, `follow` or the state of the search may have changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogView.Changed)

    def __init__(self, answers: Callable[[], bool], *, id: str | None = None) -> None:
        """answers: whether the file system does; else nothing is read, as keys would wait for it."""
        super().__init__(id=id)
        self.answers = answers
        self.file: ConsoleFile | None = None
        self.follow = True
        self.query_shown: Query | None = None
        self.search: Search | None = None
        self.match: int | None = None
        """The start of the line that the search went to last."""
        self._pending: Literal[-1, 0, 1] = 0
        """Direction in which the search for the next match goes on: 1 below, -1 above."""
        self._worker: Worker[None] | None = None
        self._look: Worker[None] | None = None
        self._searched_size = 0
        self._position = (0, 0)
        self._rows: list[Row] = []
        self._mark: ConsoleMark | None = None

    def on_mount(self) -> None:
        self.set_interval(POLL_S, self._poll)
        self._search_timer = self.set_interval(SEARCH_POLL_S, self._show_matches, pause=True)

    def open(self, path: Path | None) -> None:
        """Show another console, from its end, with the same query."""
        self.file = ConsoleFile(path) if path is not None else None
        self.follow, self._position, self._rows, self._mark = True, (0, 0), [], None
        self.start_search(self.query_shown)

    @property
    def size_bytes(self) -> int:
        """Size of the console when it was last drawn."""
        return self._mark.size if self._mark else 0

    @property
    def range(self) -> tuple[int, int]:
        """The bytes at which the first and the last line on the screen start."""
        return (self._rows[0].position[0], self._rows[-1].position[0]) if self._rows else (0, 0)

    def draw(self) -> None:
        """Read the rows on the screen and show them."""
        cells, height = self.size
        if not cells or not height or not self.answers():
            return
        try:
            problem = self._read(height)
            self._continue_search()
        except OSError as error:
            problem = f"cannot read {self.file.path if self.file else 'the console'}: {error.strerror or error}"
        if problem:
            self._rows = []
            self.show([fit(line(" ", Span(problem, "quiet")), cells), *[fit((), cells)] * (height - 1)])
        else:
            match, other = Span("▌", "accent"), Span(" ")
            rows = [(match if row.position[0] == self.match else other, *row.shown) for row in self._rows]
            rows += [()] * (height - len(rows))
            bar = self._scrollbar(height)
            self.show([(*fit(row, cells - 1), mark) for row, mark in zip(rows, bar, strict=True)])
        self.post_message(self.Changed())

    def _read(self, height: int) -> str:
        """Read the rows on the screen; returns why there are none."""
        mark = self.file.mark() if self.file is not None else None
        before, self._mark = self._mark, mark
        if self.file is None or mark is None:
            return "This run has no console output here."
        if before is not None and (mark.inode != before.inode or mark.size < before.size):
            self.follow, self.match, self._position = True, None, (0, 0)
        if not mark.size:
            return "The console is still empty."
        rows = [] if self.follow else self._rows_from(self._position, height)
        if len(rows) < height:
            rows = self._rows_before((mark.size, 0), height)
        self._rows, self._position = rows, rows[0].position if rows else (0, 0)
        return ""

    def _wrapped(self, lines: list[ConsoleLine]) -> list[Row]:
        rows: list[Row] = []
        cells = max(self.size.width - 2, 2)
        for each in lines:
            text, first = clean(each.text), 0
            role, query = _ROLES[severity(text)], self.query_shown
            whole = line(Span(text, role)) if query is None else marked(text, role, query.pattern)
            for index, piece in enumerate(chop_cells(text, cells) or [""]):
                rows.append(Row((each.start, index), _characters(whole, first, len(piece)), each.end))
                first += len(piece)
        return rows

    def _rows_from(self, position: Position, count: int) -> list[Row]:
        rows = self._wrapped(self.file.lines_from(position[0], count + 1)) if self.file is not None else []
        return [row for row in rows if row.position >= position][:count]

    def _rows_before(self, position: Position, count: int) -> list[Row]:
        if self.file is None:
            return []
        rows = self._wrapped(self.file.lines_before(position[0], count))
        if position[1]:
            rows += self._wrapped(self.file.lines_from(position[0], 1))
        return [row for row in rows if row.position < position][-count:]

    def _scrollbar(self, height: int) -> list[Span]:
        """The scrollbar, a cell for each row: by bytes, since the lines are not counted."""
        first, last = self.range
        size = self.size_bytes
        if not self._rows or (self._position == (0, 0) and self._rows[-1].end >= size):
            return [Span(" ")] * height
        length = max(1, round(height * (last - first) / size))
        top = height - length if self.follow else min(round(height * first / size), height - length)
        return [Span("┃", "level") if top <= row < top + length else Span("│", "grid") for row in range(height)]

    def scroll_rows(self, by: int) -> None:
        """Rows down, or up where negative. Upwards it no longer follows."""
        if not self._rows or not self.answers():
            return
        try:
            if by < 0:
                rows = self._rows_before(self._position, -by)
                if not rows:
                    return
                self.follow, self._position = False, rows[0].position
            elif not self.follow:
                rows = self._rows_from(self._position, by + 1)
                self._position = rows[-1].position if rows else self._position
        except OSError:
            pass  # Drawing shows the reason.
        self.draw()

    def move(self, to: Scroll) -> None:
        """Move by a row or a page, or to an end; the end of the console is followed."""
        page = max(self.size.height - 1, 1)
        if to in ("home", "end"):
            self.follow, self._position = to == "end", (0, 0)
            self.draw()
        else:
            self.scroll_rows({"down": 1, "up": -1, "page_down": page, "page_up": -page}[to])

    def start_search(self, query: Query | None) -> None:
        """Mark the matches of a query and go to the newest one, from the next drawing on; None ends the search."""
        self.workers.cancel_node(self)
        self.query_shown, self.search, self.match, self._pending = query, None, None, -1 if query else 0

    def _continue_search(self) -> None:
        """Search what was written since the last search; a file that is shorter than before is searched anew."""
        query, size = self.query_shown, self.size_bytes
        if self.search is not None and size < self.search.searched_bytes:
            self.start_search(query)
        if query is None or self.file is None or self._mark is None:
            return
        if self.search is None:
            self.search = Search(self.file, query, size)
        elif not self._worker or not self._worker.is_finished or size == self._searched_size:
            return
        self._worker, self._searched_size = self._run_search(self.search), size
        self._search_timer.resume()

    @work(thread=True, exit_on_error=False)
    def _run_search(self, search: Search) -> None:
        worker = get_current_worker()
        search.run(lambda: worker.is_cancelled)

    def _poll(self) -> None:
        """Draw if the file has changed."""
        if self.screen.is_current and (self._look is None or self._look.is_finished):
            self._look = self._look_for_changes()

    @work(thread=True, group="look")
    def _look_for_changes(self) -> None:
        """In a thread: the file system may not answer just now."""
        with suppress(OSError):
            if self.file is not None and self.file.mark() != self._mark:
                self.app.call_from_thread(self._draw_change)

    def _draw_change(self) -> None:
        if self.display and self.screen.is_current:
            self.draw()

    def _show_matches(self) -> None:
        """While a search runs: draw its count, and go to the match in the pending direction."""
        # Checked before the matches are read: the thread may find one and end in between.
        if self._worker is None or self._worker.is_finished:
            self._search_timer.pause()
        if self._pending:
            self.to_match(self._pending)
        self.draw()

    def to_match(self, direction: Literal[-1, 0, 1]) -> bool:
        """Go to the next match below (1) or above (-1), now or as the search goes on; False if there is none."""
        if self.search is None:
            return False
        first, last = self.range
        if direction < 0:
            # The first match may be on the screen.
            start = self.search.before(self.match if self.match is not None else last + 1)
        else:
            start = self.search.after(self.match if self.match is not None else first - 1)
        self._pending = direction if start is None and not self.search.done else 0
        if start is not None:
            self._to_line(start)
        return start is not None or bool(self._pending)

    def _to_line(self, start: int) -> None:
        """Mark the line that starts at this byte, and scroll to it if it is not on the screen."""
        self.match = start
        first, last = self.range
        if not self._rows or not first <= start <= last:
            self.follow = False
            try:
                rows = self._rows_before((start, 0), self.size.height // 3)
            except OSError:
                rows = []
            self._position = rows[0].position if rows else (start, 0)
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        self.draw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-WHEEL_ROWS)

    async def on_click(self, event: events.Click) -> None:
        if self._rows and self.file is not None and event.x == self.size.width - 1:
            target = self.size_bytes * event.y // max(self.size.height - 1, 1)
            self.follow = event.y >= self.size.height - 1
            self._position = (self.file.last_line_start(target) if target else 0, 0)
            self.draw()


def _characters(of: Line, first: int, size: int) -> Line:
    """The characters of a line from `first` on, `size` of them."""
    spans: list[Span] = []
    for span in of:
        if piece := span.text[max(first, 0) : max(first + size, 0)]:
            spans.append(Span(piece, span.role))
        first -= len(span.text)
    return tuple(spans)
