"""What `launch` and `resume` do on a node: checks, and on one of a rank above 0 finding and joining the run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tuitrain import __version__
from tuitrain.config import RunConfig, load_config
from tuitrain.config.run_config import difference
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import NODE_AGENT, spawn
from tuitrain.launch.nodes.connection import RETRY_S, Address, ask
from tuitrain.launch.nodes.first import JOIN_S
from tuitrain.launch.nodes.member import Member
from tuitrain.launch.nodes.messages import Facts, Hello
from tuitrain.launch.resume import RESUME_CONFIG
from tuitrain.runs import RunDirectory

SHARED_S = 30.0
"""How long a network file system may take to show the directory that the first node has made."""


def find_run(member: Member, runs_dir: Path, waiting: Callable[[], object]) -> tuple[RunDirectory, Facts]:
    """The run of the first node, for which this waits. waiting: called while it is not there. Raises LaunchError."""
    nodes = member.nodes
    facts = ask(Address.parse(nodes.rendezvous), Hello(version=__version__), JOIN_S, waiting)
    if (facts.nodes, facts.least) != (nodes.count, nodes.least):
        flags = f"--nodes {facts.nodes}" + (f" --min-nodes {facts.least}" if facts.least < facts.nodes else "")
        raise LaunchError(f"Node 0 was started with {flags}: give every node the same flags, but for --node-rank.")
    run, deadline = RunDirectory(runs_dir.absolute() / facts.run_id), time.monotonic() + SHARED_S
    while not run.config.exists():
        if time.monotonic() > deadline:
            raise LaunchError(
                f"The run of node 0, {facts.run_id}, is not in {runs_dir.absolute()}: the nodes need a file system "
                "that they share, and the same --runs-dir.",
                exit_code=3,
            )
        time.sleep(RETRY_S)
    return run, facts


def check_config(run: RunDirectory, mine: RunConfig) -> RunConfig:
    """The configuration of the attempt that the first node starts. Raises LaunchError where this node has another."""
    newest = run.path / RESUME_CONFIG
    theirs = load_config(str(newest if newest.exists() else run.config))
    keys = list(difference(theirs, mine))
    if mine.train.micro_batch_size == "auto" and "train.micro_batch_size" in keys:
        # Where a node comes back later the run has chosen one.
        keys.remove("train.micro_batch_size")
    if keys:
        raise LaunchError(
            f"The configuration of node 0 differs in {', '.join(keys)}: give every node the same arguments, but for "
            "--node-rank."
        )
    return theirs


def join_run(run: RunDirectory, member: Member, gpus: int) -> subprocess.Popen[bytes]:
    """Start what takes part in the run on this node, in a session of its own. Raises OSError."""
    return spawn(run, join_command(run, member, gpus), gpus, console_path=run.console_of_node(member.rank))


def join_command(run: RunDirectory, member: Member, gpus: int) -> list[str]:
    """The command line of what takes part in the run on this node. gpus: its processes."""
    return [
        sys.executable, "-m", NODE_AGENT, f"--rendezvous={member.nodes.rendezvous}", f"--node-rank={member.rank}",
        f"--gpus={gpus}", str(run.path),
    ]  # fmt: skip
