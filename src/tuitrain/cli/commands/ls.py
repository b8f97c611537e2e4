"""`tuitrain ls`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from tuitrain.analysis import units
from tuitrain.analysis.description import unread_lines
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.progress import progress_of_snapshot
from tuitrain.cli.completion import complete_query, complete_tag
from tuitrain.cli.options import ExistingRunsDirOption, JsonOption
from tuitrain.cli.output import STATUS_STYLES, Column, print_json, print_table, say
from tuitrain.events.text import clean
from tuitrain.runs import RunSnapshot, Status, list_runs, read_snapshot, runs_directory
from tuitrain.runs.order import SORT_KEYS, SortKey, ordered
from tuitrain.runs.query import Query, QueryError, parse_query

MOST_IN_FULL = 10**15
"""Larger numbers of steps are abbreviated, since they would stretch every row."""
QUERY_HELP = (
    "Only runs of which all this holds: a word in the id, name, preset, tags or notes; KEY:VALUE of status, tag, name, "
    "preset, model, host, strategy; KEY<NUMBER (also <= > >= = !=) of loss, val_loss, step, tokens, mfu, tok/s, "
    "params, progress, age; -TERM for the opposite."
)


def ls(
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY...]", help=QUERY_HELP, autocompletion=complete_query),
    ] = None,
    status: Annotated[
        list[Status] | None,
        typer.Option(metavar="NAME", help=f"Only runs with this status; may be repeated: {', '.join(Status)}."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with this tag; may be repeated.", autocompletion=complete_tag)
    ] = None,
    sort: Annotated[
        SortKey, typer.Option(metavar="KEY", help=f"Order, best or newest first: {', '.join(SORT_KEYS)}.")
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
    try:
        return parse_query(" ".join(words or ()))
    except QueryError as error:
        raise typer.BadParameter(str(error), param_hint="QUERY") from None


def run_json(snapshot: RunSnapshot) -> dict[str, Any]:
    """A run as plain values: what `ls --json` and `status --json` print. Unknown is null.

    broken_lines: lines that could not be read; where every_line_read is false, at least so many.
    """
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
    now = time.time()

    def texts(key: str) -> list[str]:
        return [metric(key).text(row[key]) for row in rows]

    def steps(row: dict[str, Any]) -> str:
        if row["step"] is None:
            return units.UNKNOWN
        numbers = [row["step"], *([row["total_steps"]] if row["total_steps"] else [])]
        return "/".join(units.count(number) if number >= MOST_IN_FULL else f"{number:,}" for number in numbers)

    def age(row: dict[str, Any]) -> str:
        since = row["created"] or row["last_time"]
        return units.UNKNOWN if since is None else units.age(now - since)

    columns = [
        Column("id", [row["run_id"] for row in rows]),
        Column("name", [row["name"] for row in rows], rank=9),
        Column("status", [row["status"] for row in rows], styles=STATUS_STYLES),
        Column("step", [steps(row) for row in rows], "right"),
        Column("tokens", texts("tokens"), "right", rank=7),
        Column("loss", texts("loss"), "right"),
        Column("val loss", texts("val_loss"), "right", rank=3),
        Column("MFU", texts("mfu"), "right", rank=6),
        Column("tokens/s", [text.removesuffix(" tok/s") for text in texts("tokens_per_sec")], "right", rank=5),
        Column("age", [age(row) for row in rows], "right", rank=2),
    ]
    problems = [row["problem"] or unread_lines(row["broken_lines"], row["every_line_read"]) for row in rows]
    if any(problems):
        columns.append(Column("problem", problems, rank=1))
    print_table(columns)
