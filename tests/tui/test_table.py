"""The data table that screens share: columns that fit, a cursor that stays on its row, many rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from textual.app import ComposeResult
from textual.pilot import Pilot

from tests.tui.conftest import until
from tests.tui.screen import screen_lines
from tuitrain.tui.content.cells import Cells, Column
from tuitrain.tui.inert import InertApp
from tuitrain.tui.text import Line, Span, line
from tuitrain.tui.theme import terminal_palette
from tuitrain.tui.widgets.table import Table, fit_columns

COLUMNS = (Column("name", "name"), Column("loss", "loss", right=True), Column("note", "note", rank=1))


def row(name: str, loss: str, note: str = "") -> tuple[Line, ...]:
    """The cells of a row."""
    return line(name), line(Span(loss, "value")), line(note)


class TableApp(InertApp):
    """An app of a table alone."""

    palette = terminal_palette()

    def compose(self) -> ComposeResult:
        yield Table()


@asynccontextmanager
async def showing(rows: Mapping[str, Cells]) -> AsyncIterator[tuple[TableApp, Pilot[None], Table]]:
    """The app with these rows in its table."""
    app = TableApp()
    async with app.run_test(size=(60, 12)) as pilot:
        table = app.query_one(Table)
        table.show(COLUMNS, rows)
        await pilot.pause()
        yield app, pilot, table


def test_the_least_important_columns_are_left_out_first() -> None:
    columns = [Column("name"), Column("much", "much", rank=1), Column("less", "less", rank=2), Column("last", rank=2)]
    widths = [3, 2, 5, 1]
    assert list(fit_columns(columns, widths, 40)) == ["name", "much", "less", "last"]
    assert list(fit_columns(columns, widths, 19)) == ["name", "much", "less"]
    assert fit_columns(columns, widths, 14) == {"name": 3, "much": 4}
    assert fit_columns(columns, [30, 2, 5, 1], 12) == {"name": 10}


async def test_cells_are_text_whatever_they_hold() -> None:
    rows = {"a": row("[red]a[/] \x1b[31m", "1.5"), "b": row("[/nothing]", "22.5")}
    async with showing(rows) as (app, _, table):
        head, first, second = screen_lines(app)[:3]
        assert head.split() == ["name", "loss", "note"]
        assert "[red]a[/]" in first
        assert "[/nothing]" in second
        assert first.rindex("1.5") == second.rindex("22.5") + 1, "numbers are aligned to the right"
        assert table.row_count == 2


async def test_the_cursor_stays_on_its_row() -> None:
    rows = {name: row(name, str(number)) for number, name in enumerate("abc")}
    async with showing(rows) as (_, pilot, table):
        table.move_to(2)
        assert table.cursor_key == "c"
        table.show(COLUMNS, {name: rows[name] for name in "cab"})
        await pilot.pause()
        assert (table.cursor_key, table.cursor_row) == ("c", 0)
        table.show(COLUMNS, {"b": rows["b"]})
        assert table.cursor_key == "b"
        table.show(COLUMNS, {})
        assert table.cursor_key is None
        table.show(COLUMNS, rows)
        assert table.cursor_key == "b"


async def test_a_changed_cell_is_shown() -> None:
    rows = {"a": row("a", "1.5"), "b": row("b", "2.5")}
    async with showing(rows) as (app, pilot, table):
        table.show(COLUMNS, {**rows, "b": row("b", "7.5")})
        await until(pilot, lambda: "7.5" in screen_lines(app)[2])
        assert "1.5" in screen_lines(app)[1]


async def test_ten_thousand_rows_are_reached_with_one_key_and_added_a_part_at_a_time() -> None:
    rows = {f"run{number}": row(f"run{number}", str(number)) for number in range(10_000)}
    async with showing({}) as (app, pilot, table):
        table.show(COLUMNS, rows)
        assert table.row_count < 1_000
        await pilot.pause()
        assert "run0" in screen_lines(app)[1]
        table.move_to(9_999)
        await until(pilot, lambda: "run9999" in screen_lines(app)[-1])
        assert table.row_count == 10_000


async def test_a_long_table_that_is_scrolled_is_put_in_another_order() -> None:
    rows = {f"run{number}": row(f"run{number}", str(number)) for number in range(3_000)}
    async with showing(rows) as (app, pilot, table):
        table.move_to(150)
        await until(pilot, lambda: any("run150 " in shown for shown in screen_lines(app)))
        table.show(COLUMNS, dict(reversed(rows.items())))
        await pilot.pause()
        assert table.cursor_key == "run150"
        assert any("run150 " in shown for shown in screen_lines(app))
        table.show(COLUMNS, rows)
        await pilot.pause()
        table.scroll_to(y=120, animate=False)
        await until(pilot, lambda: any("run121 " in shown for shown in screen_lines(app)))
        table.show(COLUMNS, dict(reversed(rows.items())))
        await pilot.pause()
        assert table.cursor_key == "run150"
        assert any("run150 " in shown for shown in screen_lines(app))
