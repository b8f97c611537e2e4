"""`tuitrain fork`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_own_one
from tuitrain.cli.output import say
from tuitrain.cli.rules import DETACH_OR_FOREGROUND, refuse


def fork(
    ctx: typer.Context,
    run: options.Run,
    overrides: options.Overrides = None,
    at: Annotated[
        int | None, typer.Option("--at", min=0, metavar="STEP", help="Step of the checkpoint. Default: the newest.")
    ] = None,
    name: options.Name = None,
    tag: options.Tags = None,
    note: options.Notes = None,
    detach: options.Detach = False,
    foreground: options.Foreground = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes to go on with. Default: as many as it had.")
    ] = None,
    strategy: options.Strategy = None,
    force: options.Force = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain fork latest optim.lr=1e-4
      tuitrain fork gpt2-tiny-20260101-120000-9f3a --at 400 schedule.name=linear --name linear
      tuitrain fork latest --at 400 train.seed=2

    Start a new run from a checkpoint of another one, with other settings.

    It has a log of its own, which begins at that step, and the data go on as they would in a resume. What does not suit
    the weights, such as the shape of the model, cannot change. `compare` and `show` name the parent.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.attach import Attachment
    from tuitrain.cli.commands.launch_host import continue_on_host
    from tuitrain.launch.fork import fork_run
    from tuitrain.runs import runs_directory
    from tuitrain.runs.remote import is_remote

    refuse(ctx, (DETACH_OR_FOREGROUND,))
    if ":" in run and is_remote(run):
        return continue_on_host(ctx, "fork")
    attachment = Attachment(detach=detach, foreground=foreground, as_json=as_json)
    parent = find_own_one(run, runs_dir)
    values = [*options.with_strategy(overrides, strategy), *([f"name={name}"] if name else [])]
    started = fork_run(parent, at, values, runs_directory(runs_dir), tag or (), note or (), gpus=gpus, force=force)
    if started.note:
        say(started.note)
    info = started.run.read_metadata()
    if info is not None and info.parent is not None:
        say(f"{started.run.run_id} goes on from step {info.parent.step:,} of {parent.run_id}.")
    return attachment.follow(started.run, started.process)
