"""A machine as one of the nodes of a run."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.events.layout import Nodes
from tuitrain.launch.nodes.connection import Address, check_first


@dataclass(frozen=True)
class Member:
    """This machine as one of the nodes of a run, by its rank."""

    rank: int
    nodes: Nodes

    @property
    def next_command(self) -> str:
        """What is to be done on the other nodes."""
        last = self.nodes.count - 1
        ranks = "1" if last == 1 else f"1 to {last}"
        return f"The run begins once the other nodes are here: the same command there, with --node-rank {ranks}."


def make_member(rank: int, count: int, least: int, rendezvous: str) -> Member:
    """A member from the options of `launch`.

    Raises LaunchError for a rendezvous that is none, or that does not lead to the first node, if this is it.
    """
    address = Address.parse(rendezvous)
    if rank == 0:
        check_first(address)
    return Member(rank, Nodes(count=count, least=least, rendezvous=str(address)))
