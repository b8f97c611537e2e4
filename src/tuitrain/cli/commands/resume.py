"""`tuitrain resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli import nodes_options, options
from tuitrain.cli.lookup import find_own_one
from tuitrain.cli.output import say
from tuitrain.cli.rules import BY_HAND, DETACH_OR_FOREGROUND, SKIP_NEEDS_RETRIES, refuse


def resume(
    ctx: typer.Context,
    run: options.Run,
    overrides: options.Overrides = None,
    detach: options.Detach = False,
    foreground: options.Foreground = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes to continue with. Default: as many as it had.")
    ] = None,
    strategy: options.Strategy = None,
    force: options.Force = False,
    retries: options.Retries = 0,
    skip_bad_batch: options.SkipBadBatch = False,
    nodes: nodes_options.Nodes = None,
    node_rank: nodes_options.NodeRank = None,
    rendezvous: nodes_options.Rendezvous = None,
    min_nodes: nodes_options.MinNodes = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain resume latest
      tuitrain resume gpt2-tiny-20260101-120000-9f3a train.max_steps=600
      tuitrain resume latest --gpus 4 --strategy fsdp
      tuitrain resume RUN --nodes 2 --node-rank 0 --rendezvous node0:29500

    Continue a run from its newest complete checkpoint, in the same run directory and log.

    The number of processes and the strategy may change: the order of the data stays the same.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.attach import Attachment
    from tuitrain.cli.commands.launch_host import continue_on_host
    from tuitrain.launch.local import Retries
    from tuitrain.launch.resume import console_bytes, resume_run
    from tuitrain.launch.slurm.resume import is_of_slurm, resume_job
    from tuitrain.runs.remote import is_remote

    refuse(ctx, (DETACH_OR_FOREGROUND, SKIP_NEEDS_RETRIES, *BY_HAND))
    member = nodes_options.member_of(nodes, node_rank, rendezvous, min_nodes)
    if ":" in run and is_remote(run):
        if member is not None:
            raise typer.BadParameter("--node-rank: only for a run in a directory of this machine.")
        return continue_on_host(ctx, "resume")
    attachment = Attachment(detach=detach, foreground=foreground, as_json=as_json)
    directory = find_own_one(run, runs_dir)
    if is_of_slurm(directory):
        if gpus is not None or retries or member is not None:
            raise typer.BadParameter("the job of this run has its size in submit.sh: change it there.")
        printed, job_id = console_bytes(directory), resume_job(directory, options.with_strategy(overrides, strategy))
        sentence = f"{directory.run_id} continues as job {job_id} of Slurm."
        return attachment.follow_job(directory, job_id, sentence, printed)
    overrides, before = options.with_strategy(overrides, strategy), directory.read_metadata()
    if member is not None and member.rank:
        from tuitrain.cli.launch_nodes import join_resumed

        return join_resumed(member, directory, overrides, attachment, gpus, force)
    resumed = resume_run(
        directory, overrides, gpus=gpus, force=force, retries=Retries(retries, skip_bad_batch),
        nodes=member.nodes if member is not None else None,
    )  # fmt: skip
    say(f"{directory.run_id} continues from {resumed.checkpoint.name}.")
    if member is not None:
        say(member.next_command)
    elif before is not None and before.nodes is not None:
        say(f"It was on {before.nodes.count} nodes and is on this one now: for several give --nodes on each.")
    return attachment.follow(directory, resumed.process, resumed.console_bytes)
