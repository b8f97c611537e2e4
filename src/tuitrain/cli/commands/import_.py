"""`tuitrain import`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import print_json, say

SHOWN_UNREAD = 20
"""Lines or records that could not be read, of each log."""


def import_(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Logs of other tools, or folders with some.")],
    name: Annotated[str | None, typer.Option(help="What the run is called. Default: what it calls itself.")] = None,
    names: options.Map = None,
    facts: options.Set = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain import old/train.log --name baseline
      tuitrain import wandb/ mlruns/

    Make runs of ours from the logs of other tools, in the directory of the runs.

    Each run that a path holds becomes a run. What cannot be read is listed. The logs stay as they are; to look at them
    no import is needed.
    """
    # Imported here: `--help` does without.
    from tuitrain.launch import LaunchError
    from tuitrain.launch.importing import import_run
    from tuitrain.runs import runs_directory

    sources = {(run.metrics, run.run_id): run for run in find_runs(paths, runs_dir, names, facts)}
    if name is not None and len(sources) != 1:
        raise typer.BadParameter(f"it is for one run, and there are {len(sources)}.", param_hint="--name")
    into = runs_directory(runs_dir)
    imported = []
    for source in sources.values():
        found = import_run(source, into, name)
        if found is None:
            say(f"{source.metrics} holds no metric yet, so it was not imported.")
            continue
        imported.append(found)
        for line in found.broken[:SHOWN_UNREAD]:
            file = found.log / line.file if line.file and found.log.is_dir() else found.log
            say(f"{file}:{line.number}: {line.reason}")
        if found.broken_count > SHOWN_UNREAD:
            say(f"{found.log}: {found.broken_count - SHOWN_UNREAD:,} more could not be read.")
        if not as_json:
            say(f"{found.run.run_id}  {found.records:,} records of {found.log}")
    if not imported:
        raise LaunchError("No run was imported.", exit_code=3)
    if as_json:
        print_json([
            {
                "run_id": found.run.run_id, "path": str(found.run.path.absolute()), "name": found.name,
                "log": str(found.log), "format": found.format, "records": found.records,
                "unread_count": found.broken_count,
                "unread": [{"file": each.file, "number": each.number, "reason": each.reason} for each in found.broken],
            }
            for found in imported
        ])  # fmt: skip
