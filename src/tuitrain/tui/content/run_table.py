"""The list of runs as a table, and what is said of the run under the cursor."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tuitrain.analysis import units
from tuitrain.analysis.description import unread_lines
from tuitrain.analysis.metrics import NOT_AVAILABLE, metric
from tuitrain.events.text import clean
from tuitrain.plots.roles import glyph, run_role
from tuitrain.runs import RunSnapshot, Status
from tuitrain.runs.curve import resampled
from tuitrain.runs.query import NUMBERS, TEXTS
from tuitrain.tui.charts.sparkline import sparkline
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.content.headline import STATUS_MARKS, STATUS_ROLES, machine
from tuitrain.tui.content.table import Column, Fitted, fit_columns, heading_line, row_line, widths_of
from tuitrain.tui.text import Line, Span, align, crop, join, line, wrap

_FACT_CELLS = 12

_COLUMNS = (
    Column(""),
    Column("run", sort="name"),
    Column("status", sort="status"),
    Column("loss curve", rank=1),
    Column("loss", right=True, sort="loss"),
    Column("val loss", right=True, rank=3, sort="val_loss"),
    Column("progress", right=True, rank=2, sort="progress"),
    Column("step", right=True, rank=6, sort="step"),
    Column("tokens", right=True, rank=8, sort="tokens"),
    Column("MFU", right=True, rank=4, sort="mfu"),
    Column("tok/s", right=True, rank=5, sort="tokens_per_sec"),
    Column("age", right=True, rank=2, sort="age"),
    Column("tags", rank=7, longest=28),
)
SORTS = tuple(column.sort for column in _COLUMNS if column.sort)
"""What the list can be ordered by, in the order of its columns."""


@dataclass(frozen=True)
class _Shape:
    """How much of a row fits. ids: whole ids; bar: cells of the progress bar."""

    ids: bool
    run: int
    curve: int
    bar: int


def _shape(cells: int) -> _Shape:
    if cells >= 150:
        return _Shape(True, 52, 24, 10)
    return _Shape(False, 32, 12, 6) if cells >= 100 else _Shape(False, 24, 10, 0)


@dataclass(frozen=True)
class Order:
    """What the list is ordered by; the best or newest first unless reversed."""

    key: str = "age"
    reverse: bool = False


@dataclass
class _Row:
    """A row of the list as it was last drawn, and what it was made of."""

    made_of: tuple[object, ...]
    values: list[Line]
    widths: tuple[int, ...]
    fitted: Fitted | None = None
    drawn: Line = ()


class RunTable:
    """The rows of the list. Those of runs of which nothing changed are kept from one drawing to the next."""

    def __init__(self, ascii_only: bool = False) -> None:
        self.ascii_only = ascii_only
        self._rows: dict[str, _Row] = {}

    def lines(
        self, snapshots: Sequence[RunSnapshot], marks: Mapping[str, int], cells: int, order: Order
    ) -> tuple[Line, list[Line]]:
        """The heading and one row for each run; a click on a row is `screen.choose(ID)`.

        marks: the place of each marked run on the charts, by its id.
        """
        now, shape = time.time(), _shape(cells)
        rows = [self._row(seen, marks.get(seen.directory.run_id), shape, now) for seen in snapshots]
        self._rows = {seen.directory.run_id: row for seen, row in zip(snapshots, rows, strict=True)}
        columns = [_headed(column, order) for column in _COLUMNS]
        columns[1] = replace(columns[1], longest=shape.run)
        fitted = fit_columns(columns, [row.widths for row in rows], cells)
        for run_id, row in self._rows.items():
            if row.fitted != fitted:
                action = f"screen.choose({run_id!r})"
                drawn = row_line(row.values, row.widths, columns, fitted)
                row.drawn = tuple(Span(span.text, span.role, action) for span in (Span(" "), *drawn))
                row.fitted = fitted
        return heading_line(columns, fitted), [row.drawn for row in rows]

    def _row(self, seen: RunSnapshot, mark: int | None, shape: _Shape, now: float) -> _Row:
        age = NOT_AVAILABLE if seen.created is None else units.age(now - seen.created)
        known = self._rows.get(seen.directory.run_id)
        made_of = (seen, mark, shape, age)
        if known is not None and known.made_of == made_of:
            return known
        values = _values(seen, mark, shape, age, self.ascii_only)
        return _Row(made_of, values, widths_of(values))


def _headed(column: Column, order: Order) -> Column:
    if not column.sort:
        return column
    from tuitrain.runs.order import LARGEST_FIRST

    action = f"screen.sort_by('{column.sort}')"
    if column.sort != order.key:
        return replace(column, action=action)
    falling = (column.sort in LARGEST_FIRST) != order.reverse
    return replace(column, title=f"{column.title} {'▼' if falling else '▲'}", action=action, role="on")


def _values(seen: RunSnapshot, mark: int | None, shape: _Shape, age: str, ascii_only: bool) -> list[Line]:
    step = seen.step
    loss, rate, tokens = seen.loss, step.tokens_per_sec if step else None, step.tokens if step else None
    curve = sparkline(
        resampled(seen.curve, shape.curve), "accent" if seen.status.live else "quiet", ascii_only=ascii_only
    )
    about = _problem(seen) or Span(" ".join(map(clean, seen.tags)), "quiet")
    return [
        line(" ") if mark is None else line(Span(glyph(mark), run_role(mark))),
        label(seen, shape.ids),
        line(Span(f"{STATUS_MARKS.get(seen.status, '●')} {seen.status}", STATUS_ROLES[seen.status])),
        curve,
        _loss(loss),
        _cell(None if seen.val_loss is None else metric("val_loss").text(seen.val_loss)),
        _progress(seen.progress, shape.bar, ascii_only),
        _cell(None if step is None else f"{step.step:,}"),
        _cell(None if tokens is None else units.count(tokens)),
        _cell(None if step is None or step.mfu is None else metric("mfu").text(step.mfu)),
        _cell(None if rate is None else units.count(rate)),
        line(Span(age, "quiet")),
        line(about),
    ]


def _problem(seen: RunSnapshot) -> Span | None:
    """What of the run cannot be read; None where all can."""
    if seen.problem:
        return Span(clean(seen.problem), "bad")
    unread = unread_lines(seen.broken_lines, seen.every_line_read)
    return Span(unread, "warn") if unread else None


def label(seen: RunSnapshot, long: bool) -> Line:
    """The id of a run, or where there is less room its name and the end of the id, which tells it from others."""
    run_id, role = clean(seen.directory.run_id), "run.name" if seen.status.live else "text"
    name = clean(seen.name)
    if long or name == run_id or not run_id.startswith(name):
        return line(Span(run_id, role))
    return line(Span(name, role), Span(f" {run_id.rpartition('-')[2]}", "quiet"))


def _loss(loss: float | None) -> Line:
    if loss is None:
        return _cell(None)
    return line(Span(metric("loss").text(loss), "value" if math.isfinite(loss) else "bad"))


def _cell(text: str | None) -> Line:
    return line(Span(text, "value")) if text is not None else line(Span(NOT_AVAILABLE, "quiet"))


def _progress(fraction: float | None, cells: int, ascii_only: bool) -> Line:
    """A thin bar, which does not touch those of the rows above and below, and per cent."""
    if fraction is None:
        return _cell(None)
    full, empty = "=-" if ascii_only else "━─"
    done = round(fraction * cells)
    return line(
        Span(full * done, "accent"),
        Span(empty * (cells - done), "series"),
        Span(f"{units.progress(fraction):>8}", "quiet"),
    )


def summary(snapshots: tuple[RunSnapshot, ...] | None, shown: int, runs_dir: str) -> Line:
    """How many runs there are, how many of them are shown, live or in trouble."""
    if snapshots is None:
        return line(" ", Span(f"reading {clean(runs_dir)}", "quiet"))
    live = sum(each.status.live for each in snapshots)
    failed = sum(each.status in (Status.FAILED, Status.CRASHED) for each in snapshots)
    many = f"{len(snapshots)} run{'' if len(snapshots) == 1 else 's'}"
    count = many if shown == len(snapshots) else f"{shown} of {many}"
    spans = [Span(f" {count}", "title"), Span(f" in {clean(runs_dir)}", "quiet")]
    if live:
        spans.append(Span(f"   ● {live} live", "good"))
    if failed:
        spans.append(Span(f"   ✗ {failed} failed", "bad"))
    return tuple(spans)


def chosen_line(query: str, hidden: int, marked: Sequence[tuple[int, RunSnapshot | None]]) -> Line:
    """The filter with what it hides, and the marked runs as they will look on the charts."""
    parts: list[Line] = []
    if query:
        parts.append(line(Span("filter ", "quiet"), Span(clean(query), "accent", "screen.filter"),
                          Span(f" · {hidden} hidden", "quiet")))  # fmt: skip
    if marked:
        names = [
            line(Span(f"{glyph(index)} ", run_role(index)), *(label(seen, long=False) if seen else line("gone")))
            for index, seen in marked
        ]
        parts.append(line(Span("marked ", "quiet"), *join(names, line("  "))))
    return line(" ", *join(parts, line("   ")))


def query_hint(cells: int) -> Line:
    """What a filter is made of, as much of it as fits."""
    words = [
        "words", *(f"{key}:" for key in TEXTS), *(f"{key}<" for key in NUMBERS), "also <= > >= = !=", "-term for others"
    ]  # fmt: skip
    return crop(line(" ", *join((line(Span(word, "quiet")) for word in words), line("  "))), cells)


def note_line(seen: RunSnapshot, cells: int) -> Line:
    """One line about the run under the cursor: its id, then what is worth saying most."""
    parts = [line(Span(clean(seen.directory.run_id), "run.name"))]
    if problem := _problem(seen):
        parts.append(line(problem))
    if seen.tags:
        parts.append(line(Span(" ".join(f"#{clean(tag)}" for tag in seen.tags), "accent")))
    if seen.notes:
        parts.append(line(Span(clean(seen.notes[-1]))))
    elif seen.run is not None and seen.run.architecture is not None:
        parts.append(line(Span(clean(seen.run.architecture.name), "quiet")))
    if seen.alert is not None and seen.status.live:
        parts.append(line(Span(f"! {clean(seen.alert.message)}", _alert_role(seen))))
    return crop(line(" ", *join(parts, line("  "))), cells)


def detail_lines(seen: RunSnapshot, cells: int) -> list[Line]:
    """What is known of the run under the cursor, in two columns: what it is, and what people and alerts say of it."""
    size = cells // 2
    blocks = [_facts(seen, size - 2), _said(seen, size - 2)]
    head = line(
        Span(" "), Span(clean(seen.directory.run_id), "run.name"), Span("  "),
        Span(f"{STATUS_MARKS.get(seen.status, '●')} {seen.status}", STATUS_ROLES[seen.status]),
    )  # fmt: skip
    return [crop(head, cells), *side_by_side(blocks, cells, 2)]


def _facts(seen: RunSnapshot, cells: int) -> list[Line]:
    run, step = seen.run, seen.step
    shape = run.architecture if run is not None else None
    tokens = None if step is None or step.tokens is None else units.count(step.tokens)
    budget = run.token_budget if run is not None else None
    if tokens and budget:
        tokens += f" of {units.count(budget)}"
    steps = None if step is None else f"{step.step:,}" + (f" of {run.total_steps:,}" if run and run.total_steps else "")
    preset = run.config.get("preset") if run is not None else None
    facts = [
        ("model", shape.name if shape else None),
        ("parameters", None if seen.params is None else units.count(seen.params)),
        ("steps", steps),
        ("tokens", tokens),
        ("preset", preset if isinstance(preset, str) else None),
        ("machine", machine(run) or None),
        ("launched", _launched(seen)),
    ]
    return [
        _fact(name, [crop(_cell(None if text is None else clean(text)), cells - _FACT_CELLS)]) for name, text in facts
    ]


def _launched(seen: RunSnapshot) -> str | None:
    if seen.info is None:
        return None
    at = units.moment(seen.info.created, "%d %b %Y %H:%M")
    return f"{at} on {seen.info.host}" if seen.info.host else at


def _said(seen: RunSnapshot, cells: int) -> list[Line]:
    room = max(cells - _FACT_CELLS, 8)
    rows = [_fact("tags", [line(Span(" ".join(map(clean, seen.tags)) or "none", "accent" if seen.tags else "quiet"))])]
    notes = [line(row) for note in seen.notes[-3:] for row in wrap(clean(note), room)]
    rows += _facts_below("note", notes or [line(Span("none", "quiet"))])
    if seen.alert is not None:
        said = wrap(clean(seen.alert.message), room)
        rows += _facts_below("last alert", [line(Span(text, _alert_role(seen))) for text in said])
    if seen.end is not None and seen.end.reason:
        rows += _facts_below("ended", [line(row) for row in wrap(clean(seen.end.reason), room)])
    if problem := _problem(seen):
        rows.append(_fact("unread", [line(problem)]))
    return rows


def _alert_role(seen: RunSnapshot) -> str:
    level = seen.alert.level if seen.alert is not None else "info"
    return {"info": "quiet", "warning": "warn", "critical": "bad"}[level]


def _fact(name: str, parts: Sequence[Line]) -> Line:
    return line(" ", Span(align(name, _FACT_CELLS), "quiet"), *(span for part in parts for span in part))


def _facts_below(name: str, rows: Sequence[Line]) -> list[Line]:
    return [_fact(name if index == 0 else "", [row]) for index, row in enumerate(rows)]
