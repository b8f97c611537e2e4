"""A description of a run as lines: the configuration at the left, the report at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuitrain.analysis.description import Rows
from tuitrain.analysis.units import config_value
from tuitrain.events.text import clean
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.content.console_search import Query
from tuitrain.tui.content.run_details import Description
from tuitrain.tui.text import Line, Span, align, line, wrap

COLUMN_CELLS = 56
"""Where there is room for two columns of this width, the keys take two."""
_LEAST_VALUE_CELLS = 12


def config_lines(described: Description, cells: int, *, everything: bool, query: Query | None) -> list[Line]:
    """The keys by section, each changed one as `was → is`. query: only keys that hold it."""
    values, changed = described.values, described.changed
    if not values:
        return [line(Span("The log holds no configuration.", "quiet"))]
    # What the preset sets and this run does not is a difference too.
    gone = [key for key in changed or {} if key not in values]
    keys = [key for key in (*values, *gone) if everything or changed is None or key in changed]
    keys = [key for key in keys if query is None or query.matches(key)]
    count = max(1, cells // COLUMN_CELLS)
    room = cells // count - (2 if count > 1 else 0)
    name_cells = min(max((len(key.rpartition(".")[2]) for key in keys), default=0) + 1, max(room // 2, 8))
    sections: dict[str, list[str]] = {}
    for key in keys:
        sections.setdefault(key.rpartition(".")[0] or "run", []).append(key)
    blocks: list[list[Line]] = []
    for section, members in sections.items():
        rows = [line(Span(clean(section), "title"))]
        for key in members:
            rows += _entry(key, values.get(key), (changed or {}).get(key), name_cells, room, query)
        blocks.append([*rows, ()])
    return [_summary(described, everything, query, len(keys)), (), *side_by_side(blocks, cells, count)]


def _summary(described: Description, everything: bool, query: Query | None, shown: int) -> Line:
    toggle = "screen.toggle_all"
    if query is not None:
        return line(Span(f"{shown} keys hold ", "quiet"), Span(query.text, "key"))
    if described.changed is None:
        named = (
            f"the preset {clean(described.preset)} is not known here" if described.preset else "made without a preset"
        )
        return line(Span(named, "quiet"))
    preset, count = clean(described.preset or ""), len(described.changed)
    if not count:
        return line(Span(f"as in the preset {preset}", "quiet", toggle))
    what = f"{count} key{'s' if count > 1 else ''} changed from the preset {preset}"
    return line(
        Span("● ", "accent"),
        Span(what, "text"),
        Span(" · a: all" if not everything else " · a: only these", "quiet", toggle),
    )


def _entry(
    key: str, value: Any, change: tuple[Any, Any] | None, name_cells: int, cells: int, query: Query | None
) -> list[Line]:
    """One key: name and value, wrapped; of a changed one also what the preset has."""
    name = align(clean(key.rpartition(".")[2]), name_cells)
    marked = query.marked(name, "quiet") if query is not None else line(Span(name, "quiet"))
    room = max(cells - name_cells - 2, _LEAST_VALUE_CELLS)
    if change is None:
        rows = [line(Span(text, "value")) for text in _wrapped(config_value(value), room)]
    else:
        was, now = clean(config_value(change[0])), clean(config_value(change[1]))
        if len(was) + len(now) + 3 <= room:
            rows = [line(Span(was, "quiet"), Span(" → ", "quiet"), Span(now, "accent"))]
        else:
            rows = [line(Span(text, "quiet")) for text in _wrapped(was, room)]
            rows += [line(Span(f"{'→ ' if index == 0 else '  '}{text}", "accent"))
                     for index, text in enumerate(_wrapped(now, room - 2))]  # fmt: skip
    mark = Span("● " if change is not None else "  ", "accent")
    indent = Span(" " * (name_cells + 2))
    return [(mark, *marked, *rows[0]), *((indent, *row) for row in rows[1:])]


def _wrapped(text: str, cells: int) -> list[str]:
    return [row for paragraph in text.split("\n") for row in wrap(clean(paragraph), max(cells, 2))]


def report_lines(report: Sequence[tuple[str, Rows]], cells: int) -> list[Line]:
    """The report, section by section."""
    names = max((len(name) for _, facts in report for name, _ in facts), default=0)
    name_cells = min(names + 2, max(cells // 2, 8))
    room = max(cells - name_cells - 2, _LEAST_VALUE_CELLS)
    lines: list[Line] = []
    for title, facts in report:
        if lines:
            lines.append(())
        lines.append(line(Span(title, "title")))
        for name, text in facts:
            label = align(clean(name), name_cells)
            for row in _wrapped(text, room):
                role = "quiet" if text == "n/a" else "value"
                lines.append(line("  ", Span(label, "quiet"), Span(row, role)))
                label = " " * name_cells
    return lines
