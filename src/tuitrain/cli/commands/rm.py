"""`tuitrain rm`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_own
from tuitrain.cli.output import print_json, say


def rm(
    runs: options.Runs,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without confirmation.")] = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain rm llama2-tiny-20260101-120000-9f3a
      tuitrain rm $(tuitrain ls -q status:failed) --yes

    Remove runs with their directories: log, console, checkpoints.

    A live run is never removed, nor a log outside a run directory. Without a terminal --yes is required.
    """
    # Imported here: `--help` does without.
    from tuitrain.accounting import size_text
    from tuitrain.launch import LaunchError
    from tuitrain.runs import runs_directory
    from tuitrain.runs.removing import prepare_removal, remove_run

    directories = {run.path.resolve(): run for run in find_own(runs, runs_dir)}
    # All are checked before the first is removed.
    removals = [prepare_removal(run, runs_directory(runs_dir)) for run in directories.values()]
    for removal in removals:
        at = "" if removal.snapshot.step is None else f"step {removal.snapshot.step.step:,}, "
        say(f"{removal.run.path}  {removal.snapshot.status}, {at}{size_text(removal.bytes)}")
    size = size_text(sum(removal.bytes for removal in removals))
    what = removals[0].run.run_id if len(removals) == 1 else f"these {len(removals)} runs"
    if not yes:
        if not sys.stdin.isatty():
            raise LaunchError(f"--yes: without a terminal it is required to remove {what} ({size}).")
        if not typer.confirm(f"Remove {what} permanently ({size})?", err=True):
            say("Nothing was removed.")
            raise typer.Exit(1)
    for removal in removals:
        remove_run(removal.run)
    if as_json:
        print_json([{"run_id": r.run.run_id, "path": str(r.run.path.absolute()), "bytes": r.bytes} for r in removals])
    else:
        say(f"Removed {what}, {size}.")
