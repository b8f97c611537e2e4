"""A data table whose columns have the width of their widest cell; the least important ones are left out to fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text
from textual import events
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.content.cells import GAP, Cells, Column
from tuitrain.tui.registry import Scroll
from tuitrain.tui.text import Line, line, width

LEAST_CELLS = 4
ROWS_AT_ONCE = 200
"""Rows that are added at first, and again when the end of those is near: adding 10,000 takes time."""


def rich_text(of: Line, console: Console, *, right: bool = False) -> Text:
    """A line in the console's styles of its roles, to be cut at the end; a click on a span with an action does it."""
    text = Text(no_wrap=True, overflow="ellipsis", justify="right" if right else "left", end="")
    for span in of:
        style = console.get_style(span.role, default=Style.null())
        text.append(span.text, style + Style.from_meta({"@click": span.action}) if span.action else style)
    return text


def fit_columns(columns: Sequence[Column], widths: Sequence[int], cells: int) -> dict[str, int]:
    """The keys of the columns that fit into `cells`, with the width of each. widths: of the widest cell of each."""
    sizes = {
        column.key: min(max(width(line(column.title)), content), column.longest)
        for column, content in zip(columns, widths, strict=True)
    }
    for column in sorted(columns, key=lambda column: column.rank)[::-1]:
        if column.rank == 0 or sum(sizes.values()) + GAP * len(sizes) <= cells:
            break
        del sizes[column.key]
    excess = sum(sizes.values()) + GAP * len(sizes) - cells
    if excess > 0 and sizes:
        widest = max(sizes, key=lambda key: sizes[key])
        sizes[widest] = max(LEAST_CELLS, sizes[widest] - excess)
    return sizes


def table_width(columns: Sequence[Column], rows: Mapping[str, Cells]) -> int:
    """The cells of a table in which every column is as wide as its widest cell."""
    widths = [max((width(cells[index]) for cells in rows.values()), default=0) for index in range(len(columns))]
    sizes = fit_columns(columns, widths, cells=1 << 20)
    return sum(sizes.values()) + GAP * len(sizes)


@dataclass(frozen=True, slots=True)
class Cell:
    """A line that becomes text where it is drawn; without a measure of its own, so that 10,000 rows are added fast."""

    line: Line
    right: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield rich_text(self.line, console, right=self.right)


class Table(DataTable[Cell], can_focus=False, inherit_bindings=False):
    """Rows by key, with a cursor that stays on its row.

    It has no keys of its own: those of the screen move the cursor, so that a key map of the user holds here too.
    """

    app: BaseApp

    def __init__(self, *, id: str | None = None, show_cursor: bool = True) -> None:
        super().__init__(
            id=id,
            show_cursor=show_cursor,
            cursor_type="row",
            cursor_foreground_priority="renderable",
            cursor_background_priority="css",
        )
        self._header: Sequence[Column] = ()
        self._cells: Mapping[str, Cells] = {}
        self._cell_widths: dict[str, tuple[int, ...]] = {}
        self._sizes: dict[str, int] = {}
        self._not_added: Iterator[str] = iter(())
        self._last_key: str | None = None

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; None in an empty table."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(Coordinate(self.cursor_row, 0)).row_key.value

    def show(self, columns: Sequence[Column], rows: Mapping[str, Cells]) -> None:
        """Show these rows in their order. The cursor stays on its row, or at its position where that row is gone.

        A row whose cells are the same object as before is taken as unchanged.
        """
        before, self._cells = self._cells, rows
        changed = [key for key, cells in rows.items() if before.get(key) is not cells]
        self._cell_widths.update((key, tuple(width(cell) for cell in rows[key])) for key in changed)
        same = list(before) == list(rows) and self._header == columns
        self._header = columns
        sizes = self._fit()
        if not same or sizes != self._sizes:
            self._cell_widths = {key: self._cell_widths[key] for key in rows}
            self._build(sizes)
        else:
            self._update(before, changed)

    def move(self, to: Scroll) -> None:
        """Move the cursor by a row or a page, or to an end."""
        page, last = max(self.size.height - 1, 1), len(self._cells) - 1
        by = {"down": 1, "up": -1, "page_down": page, "page_up": -page, "home": -last, "end": last}[to]
        self.move_to(min(max(self.cursor_row + by, 0), last))

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, or the last one where there is none of this number."""
        self._add_rows(row + 1 - self.row_count)
        self.move_cursor(row=row)

    def _fit(self) -> dict[str, int]:
        widths = [max(column) for column in zip(*(self._cell_widths[key] for key in self._cells), strict=True)]
        return fit_columns(self._header, widths or [0] * len(self._header), self.size.width)

    def _build(self, sizes: dict[str, int]) -> None:
        """Make all columns and rows anew."""
        key, row, top = self.cursor_key or self._last_key, self.cursor_row, self.scroll_offset.y
        self._sizes = sizes
        self._not_added = iter(())  # `clear` scrolls to the top, which must not add rows of before
        self.clear(columns=True)
        for column in self._header:
            if column.key in sizes:
                title = Text(column.title, column.role, justify="right" if column.right else "left")
                self.add_column(title, width=sizes[column.key], key=column.key)
        self._not_added = iter(self._cells)
        self._last_key = key
        if not self._cells:
            return
        keys = list(self._cells)
        row = keys.index(key) if key is not None and key in self._cells else min(row, len(keys) - 1)
        self._add_rows(max(ROWS_AT_ONCE, row + self.size.height))
        self.scroll_to(y=top, animate=False)
        self.move_cursor(row=row)

    def _add_rows(self, count: int) -> None:
        """Add this many of the rows that are not added yet."""
        shown = [(column, index) for index, column in enumerate(self._header) if column.key in self._sizes]
        for key in islice(self._not_added, max(count, 0)):
            cells = self._cells[key]
            self.add_row(*(Cell(cells[index], column.right) for column, index in shown), key=key)

    def _update(self, before: Mapping[str, Cells], changed: Sequence[str]) -> None:
        """Replace the cells that differ in rows that changed."""
        for key in changed:
            for column, old, new in zip(self._header, before[key], self._cells[key], strict=True):
                if old != new and column.key in self._sizes and key in self.rows:
                    self.update_cell(key, column.key, Cell(new, column.right))

    def get_component_rich_style(self, *names: str, partial: bool = False, default: Style | None = None) -> Style:
        # Computed for each theme, so that all roles can be read on it.
        if names == ("datatable--cursor",):
            return self.app.palette["cursor"]
        return super().get_component_rich_style(*names, partial=partial, default=default)

    def on_resize(self, event: events.Resize) -> None:
        sizes = self._fit()
        if sizes != self._sizes:
            self._build(sizes)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value + 2 * self.size.height > self.row_count:
            self._add_rows(ROWS_AT_ONCE)

    def on_data_table_row_highlighted(self) -> None:
        self._last_key = self.cursor_key or self._last_key

    def on_click(self, event: events.Click) -> None:
        # DataTable takes a click on another cell of the cursor's row as a move.
        if self.row_count and event.style.meta.get("row") == self.cursor_row:
            event.prevent_default().stop()
            self.action_select_cursor()
