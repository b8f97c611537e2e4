"""`tuitrain status`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory, RunSnapshot

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
    from tuitrain.cli.commands.ls import run_json
    from tuitrain.runs import find_run, read_snapshot, runs_directory

    found = find_run(run, runs_directory(runs_dir))
    seen = _wait(found, timeout) if wait else read_snapshot(found)
    if as_json:
        print_json(run_json(seen))
    else:
        print(status_line(seen))
    raise typer.Exit(seen.status.exit_code)


def _wait(run: RunDirectory, timeout: float | None) -> RunSnapshot:
    from tuitrain.runs import read_snapshot

    deadline = None if timeout is None else time.monotonic() + timeout
    seen = read_snapshot(run)
    while seen.status.live and (deadline is None or time.monotonic() < deadline):
        time.sleep(POLL_S)
        seen = read_snapshot(run)
    return seen


def status_line(seen: RunSnapshot) -> str:
    """Status, id, step, loss, validation loss, why it ended, the time it takes, and when it was last heard of."""
    from tuitrain.analysis import units
    from tuitrain.analysis.description import unread_lines
    from tuitrain.analysis.metrics import metric
    from tuitrain.analysis.progress import progress_of_snapshot, stage_text
    from tuitrain.events.text import clean

    parts = [str(seen.status), seen.directory.run_id]
    if seen.stage is not None and seen.status.live:
        parts.append(stage_text(seen.stage))
    if seen.step is not None:
        total = f" of {seen.run.total_steps:,}" if seen.run and seen.run.total_steps else ""
        parts += [f"step {seen.step.step:,}{total}", f"loss {metric('loss').text(seen.loss)}"]
    if seen.evaluation is not None:
        parts.append(f"val {metric('val_loss').text(seen.evaluation.loss)}")
    if seen.end is not None and seen.end.reason:
        parts.append(seen.end.reason)
    progress = progress_of_snapshot(seen)
    if seen.status.live:
        parts.append(f"ETA {units.duration(progress.eta_s)}")
    elif progress.elapsed_s is not None:
        parts.append(f"took {units.duration(progress.elapsed_s)}")
    if seen.last_time is not None:
        age = units.age(time.time() - seen.last_time)
        parts.append("now" if age == "now" else f"{age} ago")
    parts += [text for text in (seen.problem, unread_lines(seen.broken_lines, seen.every_line_read)) if text]
    return clean("  ".join(parts))
