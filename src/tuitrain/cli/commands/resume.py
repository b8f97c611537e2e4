"""`tuitrain resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli.attendant import Attendant
from tuitrain.cli.lookup import find_one
from tuitrain.cli.options import (
    DetachOption,
    ForceOption,
    ForegroundOption,
    JsonOption,
    OverridesArgument,
    RunArgument,
    RunsDirOption,
    StrategyOption,
    with_strategy,
)
from tuitrain.cli.output import say
from tuitrain.launch.resume import resume_run


def resume(
    run: RunArgument,
    overrides: OverridesArgument = None,
    detach: DetachOption = False,
    foreground: ForegroundOption = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes to go on with. Default: as many as it had.")
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

    Continue a run from its newest complete checkpoint, in the same run directory and log.

    The number of processes and the strategy may change: the order of the data stays the same.
    """
    if detach and foreground:
        raise typer.BadParameter("--detach and --foreground exclude each other.")
    attendant = Attendant(detach=detach, foreground=foreground, as_json=as_json)
    directory = find_one(run, runs_dir)
    resumed = resume_run(directory, with_strategy(overrides, strategy), gpus=gpus, force=force)
    say(f"{directory.run_id} continues from {resumed.checkpoint.name}.")
    attendant.attend(directory, resumed.process, resumed.console_bytes)
