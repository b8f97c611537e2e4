"""`tuitrain logs`."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json

if TYPE_CHECKING:
    from tuitrain.launch.console import ConsoleFollower
    from tuitrain.runs import RunDirectory

POLL_S = 0.2


def logs(
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until the run is over.")
    ] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines; 0: all.")] = 0,
    rank: Annotated[int, typer.Option(min=0, metavar="N", help="Of this process, in a run of several.")] = 0,
    grep: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Only lines in which this is found; case counts.")
    ] = None,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain logs latest
      tuitrain logs latest -f -n 20
      tuitrain logs latest --grep 'val loss'
      tuitrain logs latest --rank 1

    Console output of a run: its startup report and one line for each logged step.
    """
    from tuitrain.launch.console import ConsoleFollower
    from tuitrain.runs import find_run, glance, runs_directory

    if as_json and follow:
        raise typer.BadParameter("--json and --follow exclude each other.")
    wanted = _pattern(grep)
    found = find_run(run, runs_directory(runs_dir))
    path = found.console_of(rank)
    if rank and not path.exists():
        _require_rank(found, rank)
    if not follow or not glance(found).status.live:
        path.stat()
    console = ConsoleFollower(path)
    text = console.poll()
    known = [line for line in text.splitlines(keepends=True) if wanted.search(line)]
    shown = known[-lines:] if lines else known
    if as_json:
        return print_json({"run_id": found.run_id, "lines": [line.rstrip("\n") for line in shown]})
    sys.stdout.write("".join(shown))
    sys.stdout.flush()
    if follow:
        _follow(found, console, wanted)
    return None


def _require_rank(run: RunDirectory, rank: int) -> None:
    """Raise LaunchError when the run neither has such a process nor the console of an earlier attempt's."""
    from tuitrain.launch import LaunchError

    info = run.read_info()
    count = info.processes if info else None
    if count is not None and rank >= count:
        known = {0, *range(count), *run.ranks_with_console()}
        raise LaunchError(f"{run.run_id} has {_named(sorted(known))}, not {rank}.", exit_code=3)


def _named(ranks: list[int]) -> str:
    if len(ranks) == 1:
        return f"only process {ranks[0]}"
    if ranks == list(range(len(ranks))) and len(ranks) > 2:
        return f"processes 0 to {ranks[-1]}"
    return f"processes {', '.join(map(str, ranks[:-1]))} and {ranks[-1]}"


def _pattern(grep: str | None) -> re.Pattern[str]:
    try:
        return re.compile(grep or "")
    except re.error as error:
        raise typer.BadParameter(f"{grep!r} is not a regular expression: {error}.", param_hint="--grep") from None


def _follow(run: RunDirectory, console: ConsoleFollower, wanted: re.Pattern[str]) -> None:
    from tuitrain.runs import glance

    partial = ""
    live = True
    while live:
        # Asked before reading, so that what came between the last look and the end is still printed.
        live = glance(run).status.live
        *whole, partial = (partial + console.poll()).split("\n")
        for line in whole:
            if wanted.search(line):
                print(line, flush=True)
        if live:
            time.sleep(POLL_S)
    if partial and wanted.search(partial):
        print(partial, flush=True)
