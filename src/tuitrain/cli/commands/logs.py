"""`tuitrain logs`."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_one
from tuitrain.cli.output import print_json
from tuitrain.files import open_regular

if TYPE_CHECKING:
    from tuitrain.launch.console import ConsoleFollower
    from tuitrain.readers.model import Source
    from tuitrain.runs import RunDirectory
    from tuitrain.runs.console import ConsoleFile, ConsoleLine

POLL_S = 0.2
LINES_AT_ONCE = 1000
LONGEST_LINE = 1 << 20
"""Characters of a line without an end that are kept back until it has one."""


def logs(
    run: options.Run,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until the run ends.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Number of last lines; 0: all.")] = 0,
    rank: Annotated[int, typer.Option(min=0, metavar="N", help="Console of this process of several.")] = 0,
    node_rank: Annotated[
        int, typer.Option(min=0, metavar="R", help="Console of the launcher on this node of a run on several nodes.")
    ] = 0,
    grep: Annotated[str | None, typer.Option(metavar="REGEX", help="Only lines that match; case-sensitive.")] = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain logs latest
      tuitrain logs latest -f -n 20
      tuitrain logs latest --grep 'val loss'
      tuitrain logs latest --rank 1
      tuitrain logs latest --node-rank 1 -f

    Console output of a run: its startup report and one line for each logged step.
    """
    # Imported here: `--help` does without.
    from tuitrain.launch import LaunchError
    from tuitrain.launch.console import ConsoleFollower
    from tuitrain.runs import Status, read_snapshot
    from tuitrain.runs.console import ConsoleFile

    if as_json and follow:
        raise typer.BadParameter("--json and --follow exclude each other.")
    if rank and node_rank:
        raise typer.BadParameter("--rank and --node-rank exclude each other.")
    pattern = _pattern(grep)
    directory = find_one(run, runs_dir, "CONSOLE")
    path = directory.console_of_node(node_rank) if node_rank else directory.console_of(rank)
    if rank and not path.exists():
        _require_rank(directory, rank)
    if node_rank and not path.exists():
        _require_node(directory, node_rank)
    if directory.source is not None and not path.exists():
        _refuse(directory.source)
    size = 0
    if not follow and not path.exists() and (status := read_snapshot(directory).status) is Status.QUEUED:
        raise LaunchError(f"{directory.run_id} is {status} and has no console yet.", exit_code=3)
    if path.exists() or not follow or not read_snapshot(directory).status.live:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
    selected = _lines(ConsoleFile(path), size, lines, pattern)
    if as_json:
        return print_json({"run_id": directory.run_id, "lines": [line.text for line in selected]})
    for line in selected:
        print(line.text, end="\n" if line.ended else "")
    sys.stdout.flush()
    return _follow(directory, ConsoleFollower(path, size), pattern) if follow else None


def _lines(console: ConsoleFile, size: int, last: int, pattern: re.Pattern[str]) -> Iterator[ConsoleLine]:
    """The matching lines among the first `size` bytes, or the last so many of them, searched backwards."""
    if last:
        matches: deque[ConsoleLine] = deque()
        while size > 0 and len(matches) < last:
            block = console.lines_before(size, LINES_AT_ONCE)
            if not block:
                break
            matches.extendleft(line for line in reversed(block) if pattern.search(line.text))
            size = block[0].start
        yield from list(matches)[-last:]
        return
    start = 0
    while start < size and (block := console.lines_from(start, LINES_AT_ONCE)):
        yield from (line for line in block if line.start < size and pattern.search(line.text))
        start = block[-1].end


def _refuse(source: Source) -> NoReturn:
    """Raise LaunchError: the log of another tool is no console."""
    from tuitrain.launch import LaunchError

    raise LaunchError(
        f"{source.name} is a log of the format {source.format} and no console: `tuitrain show` has its values.",
        exit_code=3,
    )


def _require_rank(run: RunDirectory, rank: int) -> None:
    """Raise LaunchError when the newest attempt has no such process, and no earlier one left its console."""
    from tuitrain.launch import LaunchError

    info = run.read_metadata()
    if info is not None and rank >= info.processes:
        last = max([info.processes - 1, *run.ranks_with_console()])
        raise LaunchError(f"{run.run_id} has no process {rank}; the number of its last one is {last}.", exit_code=3)


def _require_node(run: RunDirectory, rank: int) -> None:
    """Raise LaunchError when the run has no such node."""
    from tuitrain.launch import LaunchError

    info = run.read_metadata()
    count = info.nodes.count if info is not None and info.nodes is not None else 1
    if rank >= count:
        nodes = f"its nodes are 0 to {count - 1}" if count > 1 else "it was not launched with --node-rank"
        raise LaunchError(f"{run.run_id} has no node {rank}: {nodes}.", exit_code=3)


def _pattern(grep: str | None) -> re.Pattern[str]:
    try:
        return re.compile(grep or "")
    except re.error as error:
        raise typer.BadParameter(f"{grep!r} is not a regular expression: {error}.", param_hint="--grep") from None


def _follow(run: RunDirectory, console: ConsoleFollower, pattern: re.Pattern[str]) -> None:
    from tuitrain.runs import read_snapshot

    partial, live = "", True
    while live:
        # Read before the console, so that lines between the last poll and the end are still printed.
        live = read_snapshot(run).status.live
        *whole, partial = (partial + console.poll()).split("\n")
        for line in whole:
            if pattern.search(line):
                print(line, flush=True)
        if len(partial) > LONGEST_LINE:
            # A line without an end is printed as it is.
            print(partial if pattern.search(partial) else "", end="", flush=True)
            partial = ""
        if live:
            time.sleep(POLL_S)
    if partial and pattern.search(partial):
        print(partial, flush=True)
