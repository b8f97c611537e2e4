"""The options of several nodes, which jobs of Slurm have as well or which are started by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tuitrain.launch.nodes.member import Member

Nodes = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Nodes that train together. --gpus counts those of each node.")
]
NodeRank = Annotated[
    int | None,
    typer.Option(min=0, metavar="R", help="Without Slurm: which of the --nodes this machine is, from 0 on."),
]
Rendezvous = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="With --node-rank: where the nodes meet, a name of node 0 and a free port "
                                           "there."),
]  # fmt: skip
MinNodes = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="With --node-rank: where nodes are lost, go on from the newest checkpoint "
                                          "with at least N that are left. Default: the run ends."),
]  # fmt: skip


def member_of(nodes: int | None, node_rank: int | None, rendezvous: str | None, min_nodes: int | None) -> Member | None:
    """Which of several nodes this machine is; None without --node-rank. Raises BadParameter or LaunchError."""
    if nodes is None or node_rank is None or rendezvous is None:
        return None
    # Imported here: `--help` does without.
    from tuitrain.launch.nodes.member import make_member

    if nodes == 1:
        raise typer.BadParameter("--nodes 1 is this machine alone: leave out --nodes, --node-rank and --rendezvous.")
    if node_rank >= nodes:
        raise typer.BadParameter(f"--node-rank {node_rank}: the last of {nodes} nodes has --node-rank {nodes - 1}.")
    if min_nodes is not None and min_nodes > nodes:
        raise typer.BadParameter(f"--min-nodes {min_nodes} is more than --nodes {nodes}.")
    return make_member(node_rank, nodes, min_nodes or nodes, rendezvous)
