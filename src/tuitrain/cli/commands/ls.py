"""`tuitrain ls`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_query, complete_sort, complete_tag
from tuitrain.cli.output import STATUS_STYLES, Column, print_json, print_table, say
from tuitrain.cli.patience import read_patiently
from tuitrain.text import clean

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory

PATIENCE_S = 20.0
"""How long `--all` waits for the hosts altogether; one that cannot be reached says so earlier."""
MOST_IN_FULL = 10**15
"""Larger numbers of steps are abbreviated, since they would stretch every row."""
QUERY_HELP = (
    "Only runs that match every term: a word in the id, name, preset, tags or notes; KEY:VALUE of status, tag, name, "
    "preset, model, host, strategy, group; KEY<NUMBER (also <= > >= = !=) of loss, val_loss, bits/byte, step, tokens, "
    "mfu, tok/s, params, progress, age; -TERM excludes what matches TERM."
)
SORT_HELP = (
    "Order, best or newest first: age, name, status, step, progress, tokens, loss, val_loss, bits_per_byte, mfu, "
    "tokens_per_sec, params."
)


def ls(
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY...]", help=QUERY_HELP, autocompletion=complete_query),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Only runs with this status; may be repeated: {', '.join(STATUS_STYLES)}.",
                     autocompletion=lambda: list(STATUS_STYLES)),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with this tag; may be repeated.", autocompletion=complete_tag)
    ] = None,
    sort: Annotated[str, typer.Option(metavar="KEY", help=SORT_HELP, autocompletion=complete_sort)] = "age",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Maximum number of runs.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only the ids.")] = False,
    every_host: Annotated[
        bool, typer.Option("--all", help="Also the runs on the hosts of the settings, as each of them answers.")
    ] = False,
    usd_per_gpu_hour: options.UsdPerGpuHour = None,
    as_json: options.Json = False,
    runs_dir: options.ExistingRunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain ls
      tuitrain ls lightning_logs
      tuitrain ls node1:
      tuitrain ls --all status:live
      tuitrain ls --status running --status stalled
      tuitrain ls --sort val_loss --limit 5
      tuitrain ls status:live qwen
      tuitrain ls 'loss<2.5 age<3d -tag:old'
      tuitrain stop $(tuitrain ls -q --status running)

    List runs, newest first; of a folder also those of other tools, in any format.

    A query with `<` or `>` needs quotes; one that begins with `-` comes after `--`.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.lookup import find_runs
    from tuitrain.cli.run_view import run_json
    from tuitrain.remote.hosts import host_address
    from tuitrain.runs import list_runs, read_snapshot, runs_directory
    from tuitrain.runs.order import SORT_KEYS, ordered
    from tuitrain.runs.query import QueryError, parse_query

    _require_known("--sort", [sort], SORT_KEYS)
    _require_known("--status", status or (), STATUS_STYLES)
    words = list(query or ())
    first = Path(words[0]).expanduser() if words else None
    if first is not None and read_patiently(str(first), first.is_dir):
        runs_dir = Path(words.pop(0)).expanduser()
    address = words.pop(0) if words and _is_address(words[0]) else None
    directory = runs_directory(runs_dir)
    try:
        parsed = parse_query(" ".join(words))
    except QueryError as error:
        raise typer.BadParameter(str(error), param_hint="QUERY") from None

    def rows_of(runs: Iterable[RunDirectory]) -> list[dict[str, Any]]:
        snapshots = parsed.chosen(map(read_snapshot, runs))
        chosen = [run for run in snapshots if (not status or run.status in status) and set(tag or ()) <= set(run.tags)]
        return [run_json(run, usd_per_gpu_hour) for run in ordered(chosen, sort)[:limit]]

    if every_host:
        return _print_everywhere(directory, rows_of, as_json=as_json, quiet=quiet)
    where, host = address or str(directory), ""
    if address:
        rows = rows_of(find_runs([address], None, part="LIST"))
        folder = host_address(address)
        where, host = str(folder), f"--host {folder.host} "
    else:
        rows = read_patiently(where, lambda: rows_of(list_runs(directory, _say_unanswered)))
    if as_json:
        print_json(rows)
    elif quiet:
        _print_names(rows)
    elif rows:
        _print(rows)
    elif status or tag or parsed:
        say(f"No run in {where} matches.{_no_folder(query)}")
    else:
        say(f"There are no runs in {where}. Start one: tuitrain launch {host}gpt2-tiny")
    return None


def _is_address(word: str) -> bool:
    """Whether the first word is a place on another machine, not a term of a query such as `tag:old`."""
    from tuitrain.config.errors import suggest
    from tuitrain.remote.address import is_address
    from tuitrain.runs.query import NUMBERS, TEXTS
    from tuitrain.runs.remote import is_remote

    if not is_address(word):
        return False
    key = word.lstrip("-").partition(":")[0]
    if key in TEXTS or key in NUMBERS or not is_remote(word):
        return False
    # A word alone may be a key that is misspelled.
    return re.search(r"[0-9@./~]", word) is not None or not suggest(key, [*TEXTS, *NUMBERS])


def _print_names(rows: Iterable[dict[str, Any]]) -> None:
    """What names each run in another command: the id, or the address on another machine."""
    from tuitrain.remote.address import is_address

    for row in rows:
        print(clean(row["path"] if is_address(row["path"]) else row["run_id"]))


def _print_everywhere(
    directory: Path, rows_of: Callable[[Iterable[RunDirectory]], list[dict[str, Any]]], *, as_json: bool, quiet: bool
) -> None:
    """The runs here at once, then those of each host as it answers. Raises SettingsError."""
    from tuitrain.runs import list_runs
    from tuitrain.runs.remote_list import RemoteList, lists_of_settings

    answers: SimpleQueue[RemoteList] = SimpleQueue()
    waiting = {str(each.address) for each in lists_of_settings(answers.put)}
    every: list[dict[str, Any]] = []

    def show(where: str, rows: list[dict[str, Any]]) -> None:
        every.extend(rows)
        if quiet:
            _print_names(rows)
        elif not as_json:
            print(f"{clean(where)}\n" if rows else f"{clean(where)}: no runs", flush=True)
            if rows:
                _print(rows)
                print()
        sys.stdout.flush()

    show(str(directory), read_patiently(str(directory), lambda: rows_of(list_runs(directory, _say_unanswered))))
    deadline = time.monotonic() + PATIENCE_S
    while waiting:
        try:
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        waiting.discard(str(answer.address))
        if answer.state:
            say(f"{answer.address}: {answer.state}")
        else:
            show(str(answer.address), rows_of(answer.runs))
    for where in sorted(waiting):
        say(f"{where}: no answer within {PATIENCE_S:g} s.")
    if as_json:
        print_json(every)


def _no_folder(query: Sequence[str] | None) -> str:
    """What to say of a query that looks like a path: only that of a folder is one."""
    path = Path(query[0]).expanduser() if query else None
    if path is None or path.is_dir() or not (path.exists() or path.is_absolute()):
        return ""
    return f" {path} is a file: `tuitrain show` reads it." if path.exists() else f" There is no folder {path}."


def _say_unanswered(folder: Path) -> None:
    say(f"{folder} did not answer: what lies in it is not listed.")


def _require_known(option: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadParameter for a value that is none of the known ones."""
    for value in values:
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, known))}.", param_hint=option)


def _jobs(rows: list[dict[str, Any]]) -> list[Column]:
    """The jobs of Slurm, and why those of queued runs wait, where any run has one."""
    from tuitrain.analysis.job_text import waiting_text
    from tuitrain.runs.slurm import Job

    if not any(row["job_id"] for row in rows):
        return []
    waiting = [
        waiting_text(Job(row["job_id"], row["job_state"], row["job_reason"], row["job_start"]))
        if row["job_id"] and row["status"] == "queued"
        else ""
        for row in rows
    ]
    jobs = Column("job", [row["job_id"] or "" for row in rows], "right", rank=4)
    return [jobs, Column("waits for", waiting, rank=3)] if any(waiting) else [jobs]


def _print(rows: list[dict[str, Any]]) -> None:
    from tuitrain.analysis import units
    from tuitrain.analysis.description import unread_lines
    from tuitrain.analysis.metrics import metric

    now = time.time()

    def texts(key: str) -> list[str]:
        return [metric(key).text(row[key]) for row in rows]

    def known(title: str, key: str, rank: int) -> list[Column]:
        """The column of a value where any run has it."""
        return [] if all(row[key] is None for row in rows) else [Column(title, texts(key), "right", rank=rank)]

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
        *known("bits/byte", "bits_per_byte", rank=8),
        Column("MFU", texts("mfu"), "right", rank=6),
        Column("tokens/s", [text.removesuffix(" tok/s") for text in texts("tokens_per_sec")], "right", rank=5),
        Column("time", [units.duration(row["wall_time_s"]) for row in rows], "right", rank=4),
        *_jobs(rows),
        *known("GPU-hours", "gpu_hours", rank=10),
        *known("cost", "cost_usd", rank=4),
        Column("age", [age(row) for row in rows], "right", rank=2),
    ]
    problems = [row["problem"] or unread_lines(row["broken_lines"], row["every_line_read"]) for row in rows]
    if any(problems):
        columns.append(Column("problem", problems, rank=1))
    print_table(columns)
