"""The list of runs: its columns and cells, the lines above it, and the description of the run under the cursor."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuitrain.analysis import units
from tuitrain.analysis.description import snapshot_rows, unread_lines
from tuitrain.analysis.job_text import job_text, waiting_text
from tuitrain.analysis.metrics import NOT_AVAILABLE, metric
from tuitrain.plots.roles import glyph, run_role
from tuitrain.plots.sparkline import sparkline
from tuitrain.runs import RunSnapshot, Status
from tuitrain.runs.curve import resampled
from tuitrain.runs.order import LARGEST_FIRST, SORT_KEYS
from tuitrain.runs.query import NUMBERS, TEXTS
from tuitrain.text import clean
from tuitrain.tui.content.cells import Cells, Column
from tuitrain.tui.content.headline import ALERT_ROLES, status_span
from tuitrain.tui.text import Line, Span, align, join, line, paragraphs, side_by_side

_NAME_CELLS = 12

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


def _shape(cells: int) -> tuple[int, int, int]:
    """Cells of the name, of the curve and of the progress bar on a terminal `cells` wide."""
    return (52, 24, 10) if cells >= 150 else (32, 12, 6) if cells >= 100 else (24, 10, 0)


def columns(order: Order, cells: int) -> tuple[Column, ...]:
    """The columns on a terminal `cells` wide; an arrow shows by which the list is ordered."""
    arrow = "▼" if (order.key in LARGEST_FIRST) != order.reverse else "▲"
    headed = (
        replace(each, title=f"{each.title} {arrow}", role="on") if each.key == order.key else each for each in _COLUMNS
    )
    return tuple(replace(each, longest=_shape(cells)[0]) if each.key == "name" else each for each in headed)


class RowCache:
    """The cells of the list. Those of runs of which nothing changed are the same objects as before."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[tuple[object, ...], Cells]] = {}

    def rows(self, snapshots: Sequence[RunSnapshot], marked: Sequence[str], cells: int) -> dict[str, Cells]:
        """The cells of each run by its id, in the order of the snapshots. marked: ids in the order of their colours."""
        now, shape = time.time(), _shape(cells)
        marks = {run_id: position for position, run_id in enumerate(marked)}
        before, self._rows = self._rows, {}
        for snapshot in snapshots:
            run_id = snapshot.directory.run_id
            age = NOT_AVAILABLE if snapshot.created is None else units.age(now - snapshot.created)
            source = (snapshot, marks.get(run_id), shape, age)
            kept = before.get(run_id)
            self._rows[run_id] = kept if kept is not None and kept[0] == source else (source, _cells(*source))
        return {run_id: cells for run_id, (_, cells) in self._rows.items()}


def _cells(run: RunSnapshot, mark: int | None, shape: tuple[int, int, int], age: str) -> Cells:
    step, (name_cells, curve_cells, bar_cells) = run.step, shape
    curve_role = "accent" if run.status.live else "quiet"
    return [
        line(" ") if mark is None else line(Span(glyph(mark), run_role(mark))),
        label(run, name_cells > 32),
        line(status_span(run.status), *([Span(f" {run.queue_position}", "quiet")] if run.queue_position else [])),
        sparkline(resampled(run.curve, curve_cells), curve_role),
        _value("loss", run.loss),
        _value("val_loss", run.val_loss),
        _progress(run.progress, bar_cells),
        _value("step", step.step if step else None),
        _value("tokens", step.tokens if step else None),
        _value("mfu", step.mfu if step else None),
        _value("tokens_per_sec", step.tokens_per_sec if step else None),
        line(Span(age, "quiet")),
        line(_problem(run) or Span(" ".join([*_host(run), *_waiting(run), *run.tags]), "quiet")),
    ]


def _host(run: RunSnapshot) -> list[str]:
    """The machine of the run, where it is another one."""
    host, _, _ = run.directory.remote.partition(":")
    return [f"@{host}"] if host else []


def _waiting(run: RunSnapshot) -> list[str]:
    """Why the job of a queued run waits."""
    return [waiting_text(run.job)] if run.status is Status.QUEUED and run.job is not None else []


def _value(key: str, value: float | None) -> Line:
    """The value of a metric; one that is no number stands out."""
    if value is None:
        return line(Span(NOT_AVAILABLE, "quiet"))
    text = f"{value:,}" if key == "step" else metric(key).text(value).removesuffix(" tok/s")
    return line(Span(text, "value" if math.isfinite(value) else "bad"))


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


def _progress(fraction: float | None, cells: int) -> Line:
    """A low bar, which does not touch those of the rows above and below, and per cent."""
    if fraction is None:
        return line(Span(NOT_AVAILABLE, "quiet"))
    done = round(fraction * cells)
    percent = Span(f"{units.progress(fraction):>8}", "quiet")
    return line(Span("▇" * done, "accent"), Span("▁" * (cells - done), "series"), percent)


def summary(
    snapshots: tuple[RunSnapshot, ...] | None, shown: int, runs_dir: str, hosts: Sequence[tuple[str, str]] = ()
) -> Line:
    """How many runs there are, how many of them are shown, live or in trouble; and what is wrong with which host."""
    if snapshots is None:
        return line(" ", Span(f"reading {runs_dir}", "quiet"))
    live = sum(each.status.live for each in snapshots)
    failed = sum(each.status in (Status.FAILED, Status.CRASHED, Status.INTERRUPTED) for each in snapshots)
    many = f"{len(snapshots)} run{'' if len(snapshots) == 1 else 's'}"
    count = many if shown == len(snapshots) else f"{shown} of {many}"
    spans = [Span(f" {count}", "title"), Span(f" in {runs_dir}", "quiet")]
    if live:
        spans.append(Span(f"   ● {live} live", "good"))
    if failed:
        spans.append(Span(f"   ✗ {failed} failed", "bad"))
    spans += [Span(f"   {clean(host)}: {clean(state)}", "warn") for host, state in hosts]
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


def query_hint() -> Line:
    """What a filter is made of."""
    keys = (*(f"{key}:" for key in TEXTS), *(f"{key}<" for key in NUMBERS))
    return line(Span("  ".join([" words", *keys, "also <= > >= = !=", "-term for others"]), "quiet"))


def note_line(run: RunSnapshot) -> Line:
    """The run under the cursor in one line: its id, problem, tags, note or model, and alert."""
    parts = [line(Span(run.directory.run_id, "run.name"))]
    if run.job is not None and run.status.live:
        parts.append(line(Span(job_text(run.job), "accent")))
    if problem := _problem(run):
        parts.append(line(problem))
    if run.tags:
        parts.append(line(Span(" ".join(f"#{tag}" for tag in run.tags), "accent")))
    if run.notes:
        parts.append(line(Span(run.notes[-1])))
    elif run.run is not None and run.run.architecture is not None:
        parts.append(line(Span(run.run.architecture.name, "quiet")))
    if run.alert is not None and run.status.live:
        parts.append(line(Span(f"! {run.alert.message}", ALERT_ROLES[run.alert.level])))
    return line(" ", *join(parts, line("  ")))


def detail_lines(run: RunSnapshot, cells: int) -> list[Line]:
    """The run under the cursor, in two columns: what it is; its tags, notes and last events."""
    head = line(" ", Span(run.directory.run_id, "run.name"), "  ", status_span(run.status))
    room = cells // 2 - 1
    rows = [(name, text, "quiet" if text == NOT_AVAILABLE else "value") for name, text in snapshot_rows(run)]
    return [head, *side_by_side([_row_lines(rows, room), _row_lines(_events(run), room)], cells, 2)]


_Rows = list[tuple[str, str, str]]
"""Name, text and role of each row."""


def _events(run: RunSnapshot) -> _Rows:
    rows = [("tags", " ".join(run.tags) or "none", "accent" if run.tags else "quiet")]
    rows += [("note", note, "text") for note in run.notes[-3:]] or [("note", "none", "quiet")]
    if run.alert is not None:
        rows.append(("last alert", run.alert.message, ALERT_ROLES[run.alert.level]))
    if run.reason:
        rows.append(("ended", run.reason, "text"))
    if problem := _problem(run):
        rows.append(("unread", problem.text, problem.role))
    return rows


def _row_lines(rows: _Rows, cells: int) -> list[Line]:
    """Each row over as many lines as it needs; a name that is the one above is not repeated."""
    names = ["", *(name for name, _, _ in rows)]
    return [
        row
        for above, (name, text, role) in zip(names, rows, strict=False)
        for row in paragraphs(
            text, cells, role, line(" ", Span(align("" if name == above else name, _NAME_CELLS), "quiet"))
        )
    ]
