"""`launch` and `resume` on a node of a rank above 0: they join the run of the first node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from tuitrain.cli.attach import Attachment
from tuitrain.cli.output import say
from tuitrain.config import RunConfig, load_config
from tuitrain.launch import LaunchError, preflight
from tuitrain.launch.nodes.member import Member
from tuitrain.launch.nodes.start import check_config, find_run, join_run
from tuitrain.launch.resume import console_bytes
from tuitrain.runs import RunDirectory
from tuitrain.runs.crash import last_lines


def join(
    member: Member, directory: Path, config: RunConfig, attachment: Attachment, gpus: int | None, force: bool
) -> None:
    """Wait for the first node, join its new run, which has to have this configuration, and stay with it."""
    run, count = _first_nodes_run(member, directory, gpus)
    _take_part(member, run, config, attachment, count, force)


def join_resumed(
    member: Member, run: RunDirectory, overrides: Sequence[str], attachment: Attachment, gpus: int | None, force: bool
) -> None:
    """The same where the first node resumes this run."""
    theirs, count = _first_nodes_run(member, run.path.parent, gpus)
    if theirs.run_id != run.run_id:
        raise LaunchError(f"Node 0 at {member.nodes.rendezvous} has {theirs.run_id}, not {run.run_id}.")
    config = preflight.with_absolute_paths(load_config(str(run.config), overrides))
    _take_part(member, run, config, attachment, count, force)


def _first_nodes_run(member: Member, directory: Path, gpus: int | None) -> tuple[RunDirectory, int]:
    """The run of the first node, and the processes of each node."""
    said = False

    def waiting() -> None:
        nonlocal said
        if not said:
            say(f"Waiting for node 0 at {member.nodes.rendezvous}.")
        said = True

    run, facts = find_run(member, directory, waiting)
    if gpus not in (None, facts.gpus):
        raise LaunchError(f"--gpus {gpus}, but each node of {run.run_id} has {facts.gpus}: give --gpus {facts.gpus}.")
    return run, facts.gpus


def _take_part(
    member: Member, run: RunDirectory, config: RunConfig, attachment: Attachment, gpus: int, force: bool
) -> None:
    preflight.check(check_config(run, config), gpus=gpus, force=force, nodes=member.nodes)
    own = run.console_of_node(member.rank)
    printed, before = console_bytes(run), own.stat().st_size if own.exists() else 0
    process = join_run(run, member, gpus)
    try:
        attachment.follow(run, process, printed)
    except typer.Exit as end:
        if end.exit_code:
            say("\n".join(last_lines(own, before)))
        raise
