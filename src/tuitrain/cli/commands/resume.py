"""`tuitrain resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli.options import ForceOption, JsonOption, OverridesArgument, RunArgument, RunsDirOption


def resume(
    run: RunArgument,
    overrides: OverridesArgument = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it, print its id, and return.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay with it; Ctrl-C stops the run gracefully.")
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain resume latest
      tuitrain resume gpt2-tiny-20260101-120000-9f3a train.max_steps=600

    Continue a run from its newest complete checkpoint, in the same run directory and log.
    """
    from tuitrain.cli.commands.launch import attend
    from tuitrain.launch.preflight import with_absolute_paths
    from tuitrain.launch.resume import prepare_resume, resume_run
    from tuitrain.runs import find_run, runs_directory

    if detach and foreground:
        raise typer.BadParameter("--detach and --foreground exclude each other.")
    found = find_run(run, runs_directory(runs_dir))
    config = with_absolute_paths(prepare_resume(found, overrides or [], force=force))
    attend(found, resume_run(found, config), detach=detach, foreground=foreground, as_json=as_json)
