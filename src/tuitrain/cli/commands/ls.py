"""`tuitrain ls`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from tuitrain.cli.completion import complete_query, complete_tag
from tuitrain.cli.options import ExistingRunsDirOption, JsonOption
from tuitrain.cli.output import STATUS_STYLES, Column, print_json, print_table, say

if TYPE_CHECKING:
    from tuitrain.runs import RunSnapshot
    from tuitrain.runs.query import Query

SortKey = Literal[
    "age", "name", "status", "step", "progress", "tokens", "loss", "val_loss", "mfu", "tokens_per_sec", "params"
]
"""The keys of `tuitrain.runs.order`, which is not imported for the help alone."""
MOST_IN_FULL = 10**15
QUERY_HELP = (
    "Only runs of which all this holds: a word in the id, name, preset, tags or notes; KEY:VALUE of status, tag, name, "
    "preset, model, host, strategy; KEY<NUMBER (also <= > >= = !=) of loss, val_loss, step, tokens, mfu, tok/s, "
    "params, progress, age; -TERM for the opposite."
)


def _check_status(names: list[str] | None) -> list[str] | None:
    unknown = next((name for name in names or () if name not in STATUS_STYLES), None)
    if unknown is not None:
        raise typer.BadParameter(f"{unknown!r} is not one of {', '.join(STATUS_STYLES)}.")
    return names


def ls(
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY...]", help=QUERY_HELP, autocompletion=complete_query, show_default=False),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only runs with this status; may be repeated: {', '.join(STATUS_STYLES)}.",
            autocompletion=lambda incomplete: [name for name in STATUS_STYLES if name.startswith(incomplete)],
            callback=_check_status,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with this tag; may be repeated.", autocompletion=complete_tag)
    ] = None,
    sort: Annotated[
        SortKey, typer.Option(metavar="KEY", help=f"Order, best or newest first: {', '.join(get_args(SortKey))}.")
    ] = "age",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many runs.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the ids.")] = False,
    as_json: JsonOption = False,
    runs_dir: ExistingRunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain ls
      tuitrain ls --status running --status stalled
      tuitrain ls --sort val_loss --limit 5
      tuitrain ls status:live qwen
      tuitrain ls 'loss<2.5 age<3d -tag:old'
      tuitrain stop $(tuitrain ls -q --status running)

    List runs, newest first. A query with `<` or `>` needs quotes; one that begins with `-` comes after `--`.
    """
    from tuitrain.events.text import clean
    from tuitrain.runs import list_runs, read_snapshot, runs_directory
    from tuitrain.runs.order import ordered

    parsed = _query(query)
    where = runs_directory(runs_dir)
    snapshots = parsed.chosen(read_snapshot(run) for run in list_runs(where))
    snapshots = [run for run in snapshots if (not status or run.status in status) and set(tag or ()) <= set(run.tags)]
    rows = [run_json(run) for run in ordered(snapshots, sort)[:limit]]
    if as_json:
        print_json(rows)
    elif quiet:
        for row in rows:
            print(clean(row["run_id"]))
    elif rows:
        _print(rows)
    elif status or tag or parsed:
        say(f"No run in {where} matches.")
    else:
        say(f"There are no runs in {where}. Start one: tuitrain launch gpt2-tiny")


def _query(words: list[str] | None) -> Query:
    """One query of all arguments, each of which may hold several terms."""
    from tuitrain.runs.query import QueryError, parse_query

    try:
        return parse_query(" ".join(words or ()))
    except QueryError as error:
        raise typer.BadParameter(str(error), param_hint="QUERY") from None


def run_json(snapshot: RunSnapshot) -> dict[str, Any]:
    """A run as plain values: what `ls --json` and `status --json` print. Unknown is null.

    broken_lines: lines that could not be read; where every_line_read is false, at least so many.
    """
    from tuitrain.analysis.progress import progress_of_snapshot

    step, progress = snapshot.step, progress_of_snapshot(snapshot)
    return {
        "run_id": snapshot.directory.run_id,
        "path": str(snapshot.directory.path.absolute()),
        "name": snapshot.name,
        "status": str(snapshot.status),
        "step": progress.step,
        "total_steps": progress.total_steps,
        "tokens": progress.tokens,
        "loss": snapshot.loss,
        "val_loss": snapshot.val_loss,
        "mfu": step.mfu if step else None,
        "tokens_per_sec": step.tokens_per_sec if step else None,
        "eta_s": progress.eta_s if snapshot.status.live else None,
        "wall_time_s": progress.elapsed_s,
        "broken_lines": snapshot.broken_lines,
        "every_line_read": snapshot.every_line_read,
        "problem": snapshot.problem or None,
        "reason": snapshot.end.reason if snapshot.end else None,
        "created": snapshot.info.created if snapshot.info else None,
        "last_time": snapshot.last_time,
        "tags": snapshot.tags,
        "notes": snapshot.notes,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from tuitrain.analysis import units
    from tuitrain.analysis.description import unread_lines
    from tuitrain.analysis.metrics import NOT_AVAILABLE, metric

    now = time.time()

    def text(row: dict[str, Any], key: str) -> str:
        return metric(key).text(row[key]) if row[key] is not None else NOT_AVAILABLE

    def steps(row: dict[str, Any]) -> str:
        # In full, except numbers that would stretch every row.
        numbers = (row["step"], row["total_steps"] or None)
        texts = [units.count(n) if n >= MOST_IN_FULL else f"{n:,}" for n in numbers if n is not None]
        return NOT_AVAILABLE if row["step"] is None else "/".join(texts)

    def age(row: dict[str, Any]) -> str:
        since = row["created"] or row["last_time"]
        return NOT_AVAILABLE if since is None else units.age(now - since)

    def problem(row: dict[str, Any]) -> str:
        return row["problem"] or unread_lines(row["broken_lines"], row["every_line_read"])

    columns = [
        Column("id"),
        Column("name", rank=9),
        Column("status"),
        Column("step", "right"),
        Column("tokens", "right", rank=7),
        Column("loss", "right"),
        Column("val loss", "right", rank=3),
        Column("MFU", "right", rank=6),
        Column("tokens/s", "right", rank=5),
        Column("age", "right", rank=2),
    ]
    cells = [
        [row["run_id"], row["name"], row["status"], steps(row), text(row, "tokens"), text(row, "loss"),
         text(row, "val_loss"), text(row, "mfu"), text(row, "tokens_per_sec").removesuffix(" tok/s"), age(row)]
        for row in rows
    ]  # fmt: skip
    if any(map(problem, rows)):
        columns.append(Column("problem", rank=1))
        cells = [[*cell, problem(row)] for cell, row in zip(cells, rows, strict=True)]
    print_table(columns, cells, [STATUS_STYLES[row["status"]] for row in rows])
