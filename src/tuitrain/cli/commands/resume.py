"""`tuitrain resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli.options import (
    ForceOption,
    JsonOption,
    OverridesArgument,
    RunArgument,
    RunsDirOption,
    StrategyOption,
    with_strategy,
)
from tuitrain.cli.output import say


def resume(
    run: RunArgument,
    overrides: OverridesArgument = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it, print its id, and return.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay with it; Ctrl-C stops the run gracefully.")
    ] = False,
    gpus: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes to go on with. Default: as many as it had.", show_default=False
        ),
    ] = None,
    strategy: StrategyOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain resume latest
      tuitrain resume gpt2-tiny-20260101-120000-9f3a train.max_steps=600
      tuitrain resume latest --gpus 4 --strategy fsdp

    Continue a run from its newest whole checkpoint, in the same run directory and log.

    The number of processes and the strategy may change: the order of the data stays the same.
    """
    from tuitrain.cli.commands.launch import attend, dashboard_settings
    from tuitrain.launch.resume import resume_run
    from tuitrain.runs import find_run, runs_directory

    if detach and foreground:
        raise typer.BadParameter("--detach and --foreground exclude each other.")
    settings = dashboard_settings(detach=detach, foreground=foreground, as_json=as_json)
    directory = find_run(run, runs_directory(runs_dir))
    resumed = resume_run(directory, with_strategy(overrides, strategy), gpus=gpus, force=force)
    say(f"{directory.run_id} continues from {resumed.checkpoint.name}.")
    attend(
        directory, resumed.process, settings, detach=detach, foreground=foreground, as_json=as_json,
        console_bytes=resumed.console_bytes,
    )  # fmt: skip
