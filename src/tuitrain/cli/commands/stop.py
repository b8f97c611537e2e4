"""`tuitrain stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_own
from tuitrain.cli.output import print_json, say

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


def stop(
    ctx: typer.Context,
    runs: options.Runs,
    now: Annotated[bool, typer.Option("--now", help="Kill it: SIGTERM, then SIGKILL after the grace period.")] = False,
    grace: Annotated[float, typer.Option(min=0, help="Seconds between the two signals of --now.")] = 10.0,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Wait at most so many seconds. Default: no limit.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end of the run.")] = True,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain stop latest
      tuitrain stop gpt2-tiny-20260101-120000-9f3a --timeout 60
      tuitrain stop latest --now

    End runs gracefully: a checkpoint, an `end` event, exit. `tuitrain resume` continues them. Exit code 1 when one
    failed or crashed instead, for example when its checkpoint could not be written.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.remote_commands import forwarded, run_command
    from tuitrain.launch.stop import kill_run, stop_run, when_started
    from tuitrain.runs import Status, read_snapshot

    # Those that wait come first: else the queue starts them when the others end.
    directories = sorted(
        find_own(runs, runs_dir, requests=True), key=lambda run: read_snapshot(run).status is not Status.QUEUED
    )
    ended, was_live = {}, set()
    for run in directories:
        if when_started(run, timeout).status.live:
            was_live.add(run.run_id)
        if run.remote and _needs_tuitrain(run, now):
            words = forwarded(ctx, ("runs", "as_json", "runs_dir"))
            _, (machine,) = run_command(run, "stop", words, codes=(0, 1))
            ended[run.run_id] = Status(machine["status"])
        elif now:
            ended[run.run_id] = kill_run(run, grace_s=grace, report=say)
        else:
            ended[run.run_id] = stop_run(run, wait=wait, timeout_s=timeout, report=say)
    if as_json:
        print_json([{"run_id": run_id, "status": status} for run_id, status in ended.items()])
    else:
        for run_id, status in ended.items():
            # `report` has printed a run that had ended before.
            if run_id in was_live:
                print(f"{run_id}  {status}")
    # A killed run counts as crashed.
    bad = (Status.FAILED,) if now else (Status.FAILED, Status.CRASHED)
    failed = [run for run in directories if run.run_id in was_live and ended[run.run_id] in bad]
    for run in failed:
        reason = read_snapshot(run).reason or f"`tuitrain logs {run.run_id}` has the details."
        say(f"{run.run_id} {ended[run.run_id]}: {reason}")
    if failed:
        raise typer.Exit(1)


def _needs_tuitrain(run: RunDirectory, now: bool) -> bool:
    """Whether it takes more than a request to stop a run on another machine: signals, or changes of what starts it."""
    info = run.read_metadata()
    return now or (info is not None and (info.retries > 0 or info.queued is not None))
