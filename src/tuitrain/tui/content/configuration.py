"""A description of a run as rows of tables: its configuration by section, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from tuitrain.analysis.description import Rows
from tuitrain.analysis.report import Description
from tuitrain.analysis.units import config_value
from tuitrain.tui.content.cells import GAP, Cells, Column
from tuitrain.tui.content.columns import distribute
from tuitrain.tui.content.console_search import Query
from tuitrain.tui.text import Line, Span, fit, line, width, wrap

COLUMN_CELLS = 56
"""Where there is room for two columns of this width, the keys take two."""
_LEAST_VALUE_CELLS = 12
_Row = tuple[Line, Line]
"""A name and a value."""


def shown_keys(described: Description, *, everything: bool, query: Query | None) -> list[str]:
    """The keys of the configuration: all or those that differ from the preset; with a query those that match."""
    changed = described.changed
    # A key that the preset sets and this run does not is a difference too.
    keys = [
        key
        for key in dict.fromkeys([*described.values, *(changed or ())])
        if everything or changed is None or key in changed
    ]
    return [key for key in keys if query is None or query.matches(key)]


def summary(described: Description, hint: str = "") -> Line:
    """How the configuration differs from its preset. hint: what `a` shows, which a click does too."""
    toggle, preset = "screen.toggle_all" if hint else "", described.preset or ""
    if described.changed is None:
        return line(Span(f"the preset {preset} is not known here" if preset else "made without a preset", "quiet"))
    if not (changes := len(described.changed)):
        return line(Span(f"as in the preset {preset}", "quiet", toggle))
    return line(
        Span("● ", "accent"),
        f"{changes} key{'s' if changes > 1 else ''} changed from the preset {preset}",
        Span(f" · a: {hint}" if hint else "", "quiet", toggle),
    )


def config_rows(
    described: Description, keys: Sequence[str], cells: int, query: Query | None, column_cells: int = COLUMN_CELLS
) -> list[list[_Row]]:
    """The keys by section in as many columns as fit, each changed value as `was → is`. column_cells: of a column."""
    count = max(1, cells // column_cells)
    names = max((len(key.rpartition(".")[2]) for key in keys), default=0) + 2
    room = max(cells // count - 2 * GAP - names, _LEAST_VALUE_CELLS)
    sections: dict[str, list[_Row]] = {}
    for key in keys:
        section, _, name = key.rpartition(".")
        rows = sections.setdefault(section or "run", [(line(Span(section or "run", "title")), ())])
        marked = query.marked(name, "quiet") if query is not None else line(Span(name, "quiet"))
        mark = Span("● ", "accent") if key in (described.changed or ()) else Span("  ")
        rows += _below((mark, *marked), _value(described, key, room))
    sides = distribute([[*rows, ((), ())] for rows in sections.values()], count)
    return [*sides, *[[]] * (count - len(sides))]


def _value(described: Description, key: str, cells: int) -> list[Line]:
    """The value of a key over as many rows as it takes, of a changed one below that of the preset."""
    if key not in (described.changed or ()):
        return _wrapped(config_value(described.values.get(key), separators=True), cells, "value")
    was, now = (config_value(value, separators=True) for value in (described.changed or {})[key])
    if len(was) + len(now) + 3 <= cells:
        return [line(Span(f"{was} → ", "quiet"), Span(now, "accent"))]
    first, *rest = _wrapped(now, cells - 2, "accent")
    return [*_wrapped(was, cells, "quiet"), (Span("→ ", "accent"), *first), *(line("  ", *row) for row in rest)]


def report_rows(report: Sequence[tuple[str, Rows]], cells: int) -> list[_Row]:
    """The report, section by section."""
    names = max((len(name) for _, facts in report for name, _ in facts), default=0) + 2
    room = max(cells - 2 * GAP - names, _LEAST_VALUE_CELLS)
    rows: list[_Row] = []
    for title, facts in report:
        rows += [((), ())] * bool(rows) + [(line(Span(title, "title")), ())]
        for name, text in facts:
            values = _wrapped(text, room, "quiet" if text == "n/a" else "value")
            rows += _below(line("  ", Span(name, "quiet")), values)
    return rows


def _below(name: Line, values: Sequence[Line]) -> list[_Row]:
    """Rows of one name."""
    return [(() if index else name, value) for index, value in enumerate(values)]


def _wrapped(text: str, cells: int, role: str) -> list[Line]:
    return [line(Span(row, role)) for paragraph in text.split("\n") for row in wrap(paragraph, max(cells, 2))]


def table_of(sides: Sequence[Sequence[_Row]], cells: int) -> tuple[list[Column], dict[str, Cells]]:
    """Columns of rows beside one another as the columns and rows of a table `cells` wide."""
    each = cells // len(sides)
    columns: list[Column] = []
    for number, rows in enumerate(sides):
        names = min(max((width(name) for name, _ in rows), default=0), each // 2)
        for part, size in (("name", names), ("value", each - names - 2 * GAP)):
            columns.append(Column(f"{part}{number}", least=size, longest=size))
    rows_beside = zip_longest(*sides, fillvalue=((), ()))
    return columns, {str(index): [cell for row in parts for cell in row] for index, parts in enumerate(rows_beside)}


def lines_of(sides: Sequence[Sequence[_Row]], cells: int) -> list[Line]:
    """The same columns of rows as lines of `cells` cells."""
    columns, rows = table_of(sides, cells)
    sizes = [column.longest + GAP for column in columns]
    return [
        tuple(span for cell, size in zip(row, sizes, strict=True) for span in (Span(" "), *fit(cell, size - 1)))
        for row in rows.values()
    ]
