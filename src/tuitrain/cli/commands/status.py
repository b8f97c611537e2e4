"""`tuitrain status`."""

from __future__ import annotations

import math
import time
from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_one
from tuitrain.cli.output import print_json

POLL_S = 0.2


def status(
    run: options.Run,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="With --wait: wait at most so many seconds.")] = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain status latest
      tuitrain status latest --wait --timeout 3600 && tuitrain export plots latest

    Status of a run in one line. Exit code: 0 completed, 100 failed or crashed, 101 running, 103 stopped, 1 unknown.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.run_view import run_json, status_line
    from tuitrain.runs import read_snapshot

    directory = find_one(run, runs_dir, "REQUEST" if wait else "ENDS")
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    snapshot = read_snapshot(directory)
    if wait and snapshot.queue_position is not None:
        # Only for a run in the queue, which nobody may go on with since a restart of the machine.
        from tuitrain.launch.queue import start_runner

        start_runner(directory.path.parent)
    while wait and snapshot.status.live and time.monotonic() < deadline:
        time.sleep(POLL_S)
        snapshot = read_snapshot(directory)
    if as_json:
        print_json(run_json(snapshot))
    else:
        print(status_line(snapshot))
    raise typer.Exit(snapshot.status.exit_code)
