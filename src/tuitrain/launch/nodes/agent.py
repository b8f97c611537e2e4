"""What starts torchrun on a node of a run and watches the other nodes: `python -m tuitrain.launch.nodes.agent …`.

The first node listens at the rendezvous, waits for the others, and orders each round: which nodes start torchrun. Where
a node is lost it ends the run, or, where the run may go on with fewer, orders a round of the nodes that are left.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tuitrain.events.layout import Nodes
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.nodes.connection import Address
from tuitrain.launch.nodes.first import FirstNode
from tuitrain.launch.nodes.other import OtherNode
from tuitrain.launch.nodes.signals import Signals
from tuitrain.runs import RunDirectory


def main(arguments: list[str]) -> int:
    """Do what this node has to do in a run; returns the exit code of the run."""
    options = _parser().parse_args(arguments)
    signals, run, address = Signals(), RunDirectory(options.run_dir), Address.parse(options.rendezvous)
    try:
        if options.node_rank:
            return OtherNode(run, options.node_rank, address, options.gpus, signals).attend()
        nodes = Nodes(count=options.nodes, least=options.min_nodes, rendezvous=str(address))
        further = [*(["--config", options.config] if options.config else []), *(["--resume"] if options.resume else [])]
        return FirstNode(run, nodes, address, options.gpus, further, signals).lead()
    except LaunchError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuitrain.launch.nodes.agent")
    parser.add_argument("--rendezvous", required=True, metavar="HOST:PORT")
    parser.add_argument("--node-rank", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=0)
    parser.add_argument("--min-nodes", type=int, default=0)
    parser.add_argument("--gpus", type=int, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--config")
    parser.add_argument("run_dir", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
