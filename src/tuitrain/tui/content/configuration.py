"""A description of a run as rows of tables: its configuration by section, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuitrain.analysis.description import Rows
from tuitrain.analysis.units import config_value
from tuitrain.events.text import clean
from tuitrain.tui.content.cells import GAP, Cells, Column
from tuitrain.tui.content.columns import distribute
from tuitrain.tui.content.console_search import Query
from tuitrain.tui.content.run_details import Description
from tuitrain.tui.text import Line, Span, line, width, wrap

COLUMN_CELLS = 56
"""Where there is room for two columns of this width, the keys take two."""
_LEAST_VALUE_CELLS = 12
_Row = tuple[Line, Line]
"""A name and a value."""


def shown_keys(described: Description, *, everything: bool, query: Query | None) -> list[str]:
    """The keys of the configuration: all or those that differ from the preset; with a query those that match."""
    values, changed = described.values, described.changed
    # A key that the preset sets and this run does not is a difference too.
    missing = [key for key in changed or {} if key not in values]
    keys = [key for key in (*values, *missing) if everything or changed is None or key in changed]
    return [key for key in keys if query is None or query.matches(key)]


def summary(described: Description, *, everything: bool, query: Query | None, count: int) -> Line:
    """How many keys are shown, or how the configuration differs from its preset."""
    toggle = "screen.toggle_all"
    if query is not None:
        return line(Span(f"{count} keys hold ", "quiet"), Span(query.text, "key"))
    if described.changed is None:
        preset = f"the preset {described.preset} is not known here" if described.preset else "made without a preset"
        return line(Span(preset, "quiet"))
    changes = len(described.changed)
    if not changes:
        return line(Span(f"as in the preset {described.preset or ''}", "quiet", toggle))
    return line(
        Span("● ", "accent"),
        f"{changes} key{'s' if changes > 1 else ''} changed from the preset {described.preset or ''}",
        Span(" · a: all" if not everything else " · a: only these", "quiet", toggle),
    )


def config_rows(described: Description, keys: Sequence[str], cells: int, query: Query | None) -> list[list[_Row]]:
    """The keys by section in one or two columns of rows, each changed value as `was → is`."""
    count = max(1, cells // COLUMN_CELLS)
    names = max((len(key.rpartition(".")[2]) for key in keys), default=0) + 2
    room = max(cells // count - 2 * GAP - names, _LEAST_VALUE_CELLS)
    sections: dict[str, list[_Row]] = {}
    for key in keys:
        section = key.rpartition(".")[0] or "run"
        rows = sections.setdefault(section, [(line(Span(section, "title")), ())])
        rows += _entry(key, described, room, query)
    sides = distribute([[*rows, ((), ())] for rows in sections.values()], count)
    return [*sides, *[[]] * (count - len(sides))]


def _entry(key: str, described: Description, cells: int, query: Query | None) -> list[_Row]:
    """One key with its value, over as many rows as that takes; of a changed one also what the preset has."""
    name = clean(key.rpartition(".")[2])
    marked = query.marked(name, "quiet") if query is not None else line(Span(name, "quiet"))
    change = (described.changed or {}).get(key)
    if change is None:
        return _below(
            (Span("  "), *marked), [line(Span(row, "value")) for row in _wrapped(_text(described, key), cells)]
        )
    was, now = (clean(config_value(value, separators=True)) for value in change)
    if len(was) + len(now) + 3 <= cells:
        values = [line(Span(f"{was} → ", "quiet"), Span(now, "accent"))]
    else:
        values = [line(Span(row, "quiet")) for row in _wrapped(was, cells)]
        arrows = ("→ ", *["  "] * len(now))
        values += [
            line(Span(arrow + row, "accent")) for arrow, row in zip(arrows, _wrapped(now, cells - 2), strict=False)
        ]
    return _below((Span("● ", "accent"), *marked), values)


def _text(described: Description, key: str) -> str:
    return config_value(described.values.get(key), separators=True)


def report_rows(report: Sequence[tuple[str, Rows]], cells: int) -> list[_Row]:
    """The report, section by section."""
    names = max((len(name) for _, facts in report for name, _ in facts), default=0) + 2
    room = max(cells - 2 * GAP - names, _LEAST_VALUE_CELLS)
    rows: list[_Row] = []
    for title, facts in report:
        rows += [((), ())] * bool(rows) + [(line(Span(title, "title")), ())]
        for name, text in facts:
            role = "quiet" if text == "n/a" else "value"
            rows += _below(line("  ", Span(name, "quiet")), [line(Span(row, role)) for row in _wrapped(text, room)])
    return rows


def _below(name: Line, values: Iterable[Line]) -> list[_Row]:
    """Rows of one name."""
    return [(name if index == 0 else (), value) for index, value in enumerate(values)]


def _wrapped(text: str, cells: int) -> list[str]:
    return [row for paragraph in text.split("\n") for row in wrap(paragraph, max(cells, 2))]


def table_of(sides: Sequence[Sequence[_Row]], cells: int) -> tuple[list[Column], dict[str, Cells]]:
    """Columns of rows beside one another as the columns and rows of a table `cells` wide."""
    each = cells // len(sides)
    columns: list[Column] = []
    for number, rows in enumerate(sides):
        names = min(max((width(name) for name, _ in rows), default=0), each // 2)
        columns += [Column(f"name{number}", least=names, longest=names)]
        columns += [Column(f"value{number}", least=each - names - 2 * GAP, longest=each - names - 2 * GAP)]
    height = max((len(rows) for rows in sides), default=0)
    padded = [[*rows, *[((), ())] * (height - len(rows))] for rows in sides]
    return columns, {
        str(index): [cell for row in parts for cell in row] for index, parts in enumerate(zip(*padded, strict=True))
    }
