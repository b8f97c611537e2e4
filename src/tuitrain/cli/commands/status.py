"""`tuitrain status`."""

from __future__ import annotations

import math
import time
from typing import Annotated

import typer

from tuitrain.analysis import units
from tuitrain.analysis.description import unread_lines
from tuitrain.analysis.metrics import metric
from tuitrain.analysis.progress import progress_of_snapshot, stage_text
from tuitrain.cli.commands.ls import run_json
from tuitrain.cli.lookup import find_one
from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json
from tuitrain.events.text import clean
from tuitrain.runs import RunSnapshot, read_snapshot

POLL_S = 0.2


def status(
    run: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run is over.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="With --wait: give up after so many seconds.")] = None,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain status latest
      tuitrain status latest --wait --timeout 3600 && tuitrain export plots latest

    One line about a run. Exit code: 0 completed, 100 failed or crashed, 101 running, 103 stopped, 1 unknown.
    """
    directory = find_one(run, runs_dir)
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    snapshot = read_snapshot(directory)
    while wait and snapshot.status.live and time.monotonic() < deadline:
        time.sleep(POLL_S)
        snapshot = read_snapshot(directory)
    if as_json:
        print_json(run_json(snapshot))
    else:
        print(status_line(snapshot))
    raise typer.Exit(snapshot.status.exit_code)


def status_line(snapshot: RunSnapshot) -> str:
    """Status, id, step, loss, validation loss, why it ended, the time it takes, and the age of its newest record."""
    parts = [str(snapshot.status), snapshot.directory.run_id]
    if snapshot.stage is not None and snapshot.status.live:
        parts.append(stage_text(snapshot.stage))
    if snapshot.step is not None:
        total = f" of {snapshot.run.total_steps:,}" if snapshot.run and snapshot.run.total_steps else ""
        parts += [f"step {snapshot.step.step:,}{total}", f"loss {metric('loss').text(snapshot.loss)}"]
    if snapshot.evaluation is not None:
        parts.append(f"val {metric('val_loss').text(snapshot.evaluation.loss)}")
    if snapshot.end is not None and snapshot.end.reason:
        parts.append(snapshot.end.reason)
    progress = progress_of_snapshot(snapshot)
    if snapshot.status.live:
        parts.append(f"ETA {units.duration(progress.eta_s)}")
    elif progress.elapsed_s is not None:
        parts.append(f"took {units.duration(progress.elapsed_s)}")
    if snapshot.last_time is not None:
        age = units.age(time.time() - snapshot.last_time)
        parts.append("now" if age == "now" else f"{age} ago")
    parts += [snapshot.problem, unread_lines(snapshot.broken_lines, snapshot.every_line_read)]
    return clean("  ".join(filter(None, parts)))
