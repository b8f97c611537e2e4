"""A description of a run as lines: its configuration by section, and the report of its architecture."""

from __future__ import annotations

from collections.abc import Sequence

from tuitrain.analysis.description import Rows
from tuitrain.analysis.report import Description
from tuitrain.analysis.units import config_value
from tuitrain.runs.console_search import Query
from tuitrain.tui.text import Line, Span, fit, line, marked, paragraphs, side_by_side, width

COLUMN_CELLS = 56
"""Where there is room for two columns of this width, the keys take two."""
GAP = 2
"""Cells between a name and its value."""


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


def config_lines(
    described: Description, keys: Sequence[str], cells: int, query: Query | None, column_cells: int = COLUMN_CELLS
) -> list[Line]:
    """The keys by section in as many columns as fit, each changed value as `was → is`. column_cells: of a column."""
    count = max(1, cells // column_cells)
    room = cells // count - 2 * GAP
    names = min(max((len(key.rpartition(".")[2]) for key in keys), default=0) + 2, room // 2)
    sections: dict[str, list[Line]] = {}
    for key in keys:
        section, _, name = key.rpartition(".")
        lines = sections.setdefault(section or "run", [line(Span(section or "run", "title"))])
        shown = line(Span(name, "quiet")) if query is None else marked(name, "quiet", query.pattern)
        mark = Span("● ", "accent") if key in (described.changed or ()) else Span("  ")
        head = (*fit((mark, *shown), names), Span(" " * GAP))
        lines += _value(described, key, cells // count - GAP, head)
    return side_by_side([[*lines, ()] for lines in sections.values()], cells, count)


def _value(described: Description, key: str, cells: int, name: Line) -> list[Line]:
    """The value of a key over as many rows as it takes, of a changed one below that of the preset, beside its name."""
    if key not in (described.changed or ()):
        return paragraphs(config_value(described.values.get(key), separators=True), cells, "value", name)
    was, now = (config_value(value, separators=True) for value in (described.changed or {})[key])
    if width(name) + len(was) + len(now) + 3 <= cells:
        return [(*name, Span(f"{was} → ", "quiet"), Span(now, "accent"))]
    arrow = line(" " * width(name), Span("→ ", "accent"))
    return [*paragraphs(was, cells, "quiet", name), *paragraphs(now, cells, "accent", arrow)]


def report_lines(report: Sequence[tuple[str, Rows]], cells: int) -> list[Line]:
    """The report, section by section."""
    names = max((len(name) for _, rows in report for name, _ in rows), default=0) + 2
    lines: list[Line] = []
    for title, rows in report:
        lines += [()] * bool(lines) + [line(Span(title, "title"))]
        for name, text in rows:
            head = (*fit(line("  ", Span(name, "quiet")), names), Span(" " * GAP))
            lines += paragraphs(text, cells - GAP, "quiet" if text == "n/a" else "value", head)
    return lines
