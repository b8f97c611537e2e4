"""`tuitrain queue`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_own, find_own_one
from tuitrain.cli.output import Column, print_json, print_table, say

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def queue(
    ctx: typer.Context,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Print a unit, and a line for cron, that go on with the queue at boot.")
    ] = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain launch gpt2-tiny --queue
      tuitrain launch --queue --gpus 2 -- torchrun --nproc-per-node 2 train.py
      tuitrain queue
      tuitrain queue move RUN 1
      tuitrain queue rm RUN
      tuitrain queue --systemd

    List the runs that `launch --queue` lets wait, the next one first.

    They are started in this order, each when the GPUs it needs are free, or on the CPU the slots (`queue_slots` of the
    settings, by default 1). After a restart of the machine any command that uses the queue goes on with it, and where
    nobody logs in the unit of --systemd.
    """
    if ctx.invoked_subcommand is not None:
        return
    if systemd:
        from tuitrain.launch.systemd import queue_unit
        from tuitrain.runs import runs_directory

        print(queue_unit(runs_directory(runs_dir).absolute()), end="")
    else:
        show_queue(runs_dir, as_json)


@app.command("move", short_help="Move a run to another position.")
def move(
    run: options.Run,
    position: Annotated[int, typer.Argument(min=1, help="Its new position; the first is 1.")],
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain queue move latest 1

    Move a run to another position in the queue.
    """
    from tuitrain.launch.queue import move as move_to

    move_to(find_own_one(run, runs_dir), position)
    show_queue(runs_dir, as_json=False)


@app.command("rm", short_help="Take runs out of the queue.")
def rm(runs: options.Runs, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain queue rm latest

    Take runs out of the queue; their directories stay, and `tuitrain rm` removes them.
    """
    from tuitrain.launch import LaunchError
    from tuitrain.launch.queue import leave_queue

    found = find_own(runs, runs_dir)
    others = [run for run in found if not leave_queue(run, "taken out of the queue")]
    if len(others) == len(found):
        which = "is" if len(others) == 1 else "are"
        raise LaunchError(f"{', '.join(run.run_id for run in others)} {which} not in the queue.", exit_code=3)
    for run in others:
        say(f"{run.run_id} is not in the queue.")
    show_queue(runs_dir, as_json=False)


def show_queue(flag: Path | None, as_json: bool) -> None:
    """Print the queue, and start its runner where there is none."""
    from tuitrain.launch.queue import start_runner
    from tuitrain.runs import runs_directory
    from tuitrain.runs.queue_order import read_queue

    directory = runs_directory(flag)
    waiting, unreadable = read_queue(directory)
    for each in unreadable:
        say(str(each))
    start_runner(directory)
    if as_json:
        entries = [each.entry for each in waiting]
        print_json([
            {"position": at, "run_id": each.run_id, "processes": each.processes, "on_gpu": each.on_gpu}
            for at, each in enumerate(entries, 1)
        ])  # fmt: skip
    elif waiting:
        print_table([
            Column("position", [f"{at}" for at in range(1, len(waiting) + 1)], "right"),
            Column("id", [each.entry.run_id for each in waiting]),
            Column("needs", [each.needs for each in waiting]),
        ])  # fmt: skip
    else:
        say("The queue is empty.")
