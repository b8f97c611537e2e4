"""The list of runs: its columns and cells, the lines above it, and the facts of the run under the cursor."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuitrain.analysis import units
from tuitrain.analysis.description import unread_lines
from tuitrain.analysis.metrics import NOT_AVAILABLE, metric
from tuitrain.events import Alert
from tuitrain.plots.roles import glyph, run_role
from tuitrain.runs import RunSnapshot, Status
from tuitrain.runs.curve import resampled
from tuitrain.runs.order import LARGEST_FIRST, SORT_KEYS
from tuitrain.runs.query import NUMBERS, TEXTS
from tuitrain.tui.charts.sparkline import sparkline
from tuitrain.tui.content.cells import Cells, Column
from tuitrain.tui.content.columns import side_by_side
from tuitrain.tui.content.headline import STATUS_MARKS, STATUS_ROLES, machine
from tuitrain.tui.text import Line, Span, align, crop, join, line, wrap

_FACT_CELLS = 12

_COLUMNS = (
    Column("mark"),
    Column("name", "run"),
    Column("status", "status"),
    Column("curve", "loss curve", rank=1),
    Column("loss", "loss", right=True),
    Column("val_loss", "val loss", right=True, rank=3),
    Column("progress", "progress", right=True, rank=2),
    Column("step", "step", right=True, rank=6),
    Column("tokens", "tokens", right=True, rank=8),
    Column("mfu", "MFU", right=True, rank=4),
    Column("tokens_per_sec", "tok/s", right=True, rank=5),
    Column("age", "age", right=True, rank=2),
    Column("tags", "tags", rank=7, longest=28),
)
SORTS = tuple(column.key for column in _COLUMNS if column.key in SORT_KEYS)
"""The columns that the list can be ordered by, from the left."""


@dataclass(frozen=True)
class Order:
    """What the list is ordered by; the best or newest first unless reversed."""

    key: str = "age"
    reverse: bool = False


@dataclass(frozen=True)
class _Shape:
    """How much of a row fits. ids: whole ids; run, curve, bar: cells of the name, the curve and the progress bar."""

    ids: bool
    run: int
    curve: int
    bar: int


def _shape(cells: int) -> _Shape:
    if cells >= 150:
        return _Shape(True, 52, 24, 10)
    return _Shape(False, 32, 12, 6) if cells >= 100 else _Shape(False, 24, 10, 0)


def columns(order: Order, cells: int) -> tuple[Column, ...]:
    """The columns on a terminal `cells` wide; an arrow shows by which the list is ordered."""
    falling = (order.key in LARGEST_FIRST) != order.reverse
    headed = (
        replace(column, title=f"{column.title} {'▼' if falling else '▲'}", role="on")
        if column.key == order.key
        else column
        for column in _COLUMNS
    )
    return tuple(replace(each, longest=_shape(cells).run) if each.key == "name" else each for each in headed)


class RowCache:
    """The cells of the list. Those of runs of which nothing changed are the same objects as before."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[tuple[object, ...], Cells]] = {}

    def rows(
        self, snapshots: Sequence[RunSnapshot], marked: Sequence[str], cells: int, *, ascii_only: bool
    ) -> dict[str, Cells]:
        """The cells of each run by its id, in the order of the snapshots. marked: ids in the order of their colours."""
        now, shape = time.time(), _shape(cells)
        marks = {run_id: position for position, run_id in enumerate(marked)}
        for snapshot in snapshots:
            run_id = snapshot.directory.run_id
            age = NOT_AVAILABLE if snapshot.created is None else units.age(now - snapshot.created)
            source = (snapshot, marks.get(run_id), shape, age)
            if self._rows.get(run_id, (None,))[0] != source:
                self._rows[run_id] = source, _cells(snapshot, marks.get(run_id), shape, age, ascii_only)
        return {run.directory.run_id: self._rows[run.directory.run_id][1] for run in snapshots}


def _cells(run: RunSnapshot, mark: int | None, shape: _Shape, age: str, ascii_only: bool) -> Cells:
    step = run.step
    rate, tokens = (step.tokens_per_sec, step.tokens) if step else (None, None)
    role = "accent" if run.status.live else "quiet"
    return [
        line(" ") if mark is None else line(Span(glyph(mark), run_role(mark))),
        label(run, shape.ids),
        line(Span(f"{STATUS_MARKS.get(run.status, '●')} {run.status}", STATUS_ROLES[run.status])),
        sparkline(resampled(run.curve, shape.curve), role, ascii_only=ascii_only),
        _loss(run.loss),
        _cell(None if run.val_loss is None else metric("val_loss").text(run.val_loss)),
        _progress(run.progress, shape.bar, ascii_only),
        _cell(None if step is None else f"{step.step:,}"),
        _cell(None if tokens is None else units.count(tokens)),
        _cell(None if step is None or step.mfu is None else metric("mfu").text(step.mfu)),
        _cell(None if rate is None else units.count(rate)),
        line(Span(age, "quiet")),
        line(_problem(run) or Span(" ".join(run.tags), "quiet")),
    ]


def _problem(run: RunSnapshot) -> Span | None:
    """What of the run cannot be read; None where all can."""
    if run.problem:
        return Span(run.problem, "bad")
    unread = unread_lines(run.broken_lines, run.every_line_read)
    return Span(unread, "warn") if unread else None


def label(run: RunSnapshot, long: bool) -> Line:
    """The id of a run, or where there is less room its name and the end of the id, which tells it from others."""
    run_id, role = run.directory.run_id, "run.name" if run.status.live else "text"
    if long or run.name == run_id or not run_id.startswith(run.name):
        return line(Span(run_id, role))
    return line(Span(run.name, role), Span(f" {run_id.rpartition('-')[2]}", "quiet"))


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
        return line(" ", Span(f"reading {runs_dir}", "quiet"))
    live = sum(each.status.live for each in snapshots)
    failed = sum(each.status in (Status.FAILED, Status.CRASHED) for each in snapshots)
    many = f"{len(snapshots)} run{'' if len(snapshots) == 1 else 's'}"
    count = many if shown == len(snapshots) else f"{shown} of {many}"
    spans = [Span(f" {count}", "title"), Span(f" in {runs_dir}", "quiet")]
    if live:
        spans.append(Span(f"   ● {live} live", "good"))
    if failed:
        spans.append(Span(f"   ✗ {failed} failed", "bad"))
    return tuple(spans)


def chosen_line(query: str, hidden: int, marked: Sequence[RunSnapshot | None]) -> Line:
    """The filter with what it hides, and the marked runs as they will look on the charts."""
    parts: list[Line] = []
    if query:
        parts.append(line(Span("filter ", "quiet"), Span(query, "accent", "screen.filter"),
                          Span(f" · {hidden} hidden", "quiet")))  # fmt: skip
    if marked:
        names = [
            line(Span(f"{glyph(index)} ", run_role(index)), *(label(run, long=False) if run else line("gone")))
            for index, run in enumerate(marked)
        ]
        parts.append(line(Span("marked ", "quiet"), *join(names, line("  "))))
    return line(" ", *join(parts, line("   ")))


def query_hint(cells: int) -> Line:
    """What a filter is made of, as much of it as fits."""
    words = [
        "words", *(f"{key}:" for key in TEXTS), *(f"{key}<" for key in NUMBERS), "also <= > >= = !=", "-term for others"
    ]  # fmt: skip
    return crop(line(" ", *join((line(Span(word, "quiet")) for word in words), line("  "))), cells)


def note_line(run: RunSnapshot, cells: int) -> Line:
    """One line about the run under the cursor: its id, then what is worth saying most."""
    parts = [line(Span(run.directory.run_id, "run.name"))]
    if problem := _problem(run):
        parts.append(line(problem))
    if run.tags:
        parts.append(line(Span(" ".join(f"#{tag}" for tag in run.tags), "accent")))
    if run.notes:
        parts.append(line(Span(run.notes[-1])))
    elif run.run is not None and run.run.architecture is not None:
        parts.append(line(Span(run.run.architecture.name, "quiet")))
    if run.alert is not None and run.status.live:
        parts.append(line(Span(f"! {run.alert.message}", _alert_role(run.alert))))
    return crop(line(" ", *join(parts, line("  "))), cells)


def detail_lines(run: RunSnapshot, cells: int) -> list[Line]:
    """All facts of the run under the cursor, in two columns: what it is; its tags, notes and last events."""
    head = line(
        " ", Span(run.directory.run_id, "run.name"), "  ",
        Span(f"{STATUS_MARKS.get(run.status, '●')} {run.status}", STATUS_ROLES[run.status]),
    )  # fmt: skip
    room = max(cells // 2 - 2 - _FACT_CELLS, 8)
    return [
        crop(head, cells),
        *side_by_side([_fact_lines(_facts(run), room), _fact_lines(_events(run), room)], cells, 2),
    ]


_Facts = list[tuple[str, str, str]]
"""Name, text and role of each fact."""


def _facts(snapshot: RunSnapshot) -> _Facts:
    run, step, info = snapshot.run, snapshot.step, snapshot.info
    shape, preset = (run.architecture, run.config.get("preset")) if run is not None else (None, None)
    tokens = units.count(step.tokens) if step is not None and step.tokens is not None else ""
    if tokens and run is not None and run.token_budget:
        tokens += f" of {units.count(run.token_budget)}"
    steps = f"{step.step:,}" + (f" of {run.total_steps:,}" if run and run.total_steps else "") if step else ""
    launched = units.moment(info.created, "%d %b %Y %H:%M") + (f" on {info.host}" if info.host else "") if info else ""
    texts = {
        "model": shape.name if shape else "",
        "parameters": "" if snapshot.params is None else units.count(snapshot.params),
        "steps": steps,
        "tokens": tokens,
        "preset": preset if isinstance(preset, str) else "",
        "machine": machine(run),
        "launched": launched,
    }
    return [(name, text or NOT_AVAILABLE, "value" if text else "quiet") for name, text in texts.items()]


def _events(run: RunSnapshot) -> _Facts:
    facts = [("tags", " ".join(run.tags) or "none", "accent" if run.tags else "quiet")]
    facts += [("note", note, "text") for note in run.notes[-3:]] or [("note", "none", "quiet")]
    if run.alert is not None:
        facts.append(("last alert", run.alert.message, _alert_role(run.alert)))
    if run.end is not None and run.end.reason:
        facts.append(("ended", run.end.reason, "text"))
    if problem := _problem(run):
        facts.append(("unread", problem.text, problem.role))
    return facts


def _alert_role(alert: Alert) -> str:
    return {"info": "quiet", "warning": "warn", "critical": "bad"}[alert.level]


def _fact_lines(facts: _Facts, cells: int) -> list[Line]:
    """Each fact over as many lines as it needs; a name that is the one above is not repeated."""
    lines: list[Line] = []
    last = ""
    for name, text, role in facts:
        for row in wrap(text, cells):
            lines.append(line(" ", Span(align("" if name == last else name, _FACT_CELLS), "quiet"), Span(row, role)))
            last = name
    return lines
