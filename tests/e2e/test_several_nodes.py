"""One run on two nodes, by hand on each: two network namespaces, or two loopback addresses and warm processes."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import PATIENCE_S, Completed, Workspace, wait_for
from tests.warm_engine import WarmProcess, start_ranks
from tuitrain.config import load_config
from tuitrain.events import Alert
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.events.requests import write_request
from tuitrain.launch.local import new_run
from tuitrain.runs import LogFollower, RunDirectory, Status, load_history, read_snapshot

pytestmark = pytest.mark.slow
STEPS = 12


@dataclass(frozen=True)
class Node:
    """A machine of two. namespace: of its network, where it has one of its own."""

    rank: int
    rendezvous: str
    workspace: Workspace
    namespace: str | None = None

    def __call__(self, command: str, *arguments: str) -> Popen:
        """Begin a command of `tuitrain` that takes the options of several nodes. The first node of two namespaces has
        real processes, all others warm ones."""
        options = ["--nodes", "2", "--node-rank", str(self.rank), "--rendezvous", self.rendezvous]
        words, env, cwd = [command, *arguments, *options], self.workspace.environment, self.workspace.path
        if self.namespace is None or self.rank > 0:
            before = partial(enter, self.namespace) if self.namespace else None
            return WarmProcess(words, module="tuitrain.cli", env=env, cwd=cwd, before=before)
        return subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *self.workspace.command(words)], cwd=cwd, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def enter(namespace: str) -> None:
    """Give this process the network of a namespace."""
    with Path("/run/netns", namespace).open() as file:
        assert ctypes.CDLL(None).setns(file.fileno(), 0) == 0


Popen = subprocess.Popen[str] | WarmProcess
Nodes = tuple[Node, Node]


def result(process: Popen) -> Completed:
    """Wait for the end of a command."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Completed(process.returncode or 0, out, err)


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill them as a machine that loses its power does: none of them notices that of another."""
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                act(process)


def agents(workspace: Workspace, marks: Callable[[list[str]], bool] = lambda words: True) -> list[psutil.Process]:
    """What was started on the nodes, with all below it."""
    tops = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "tuitrain.launch.nodes.agent" in (words := process.info["cmdline"] or [])
        and any(str(workspace.path) in word for word in words)
        and marks(words)
    ]
    return [each for top in tops for each in (top, *top.children(recursive=True))]


@pytest.fixture(autouse=True)
def no_leftover_runs(workspace: Workspace) -> Iterator[None]:
    yield
    kill(agents(workspace))


@pytest.fixture
def loopback(workspace: Workspace) -> Nodes:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        rendezvous = f"127.0.0.2:{probe.getsockname()[1]}"
    return Node(0, rendezvous, workspace), Node(1, rendezvous, workspace)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespaces(workspace: Workspace) -> Iterator[Nodes]:
    """Two nodes with a network between them, whose second end is `wire1`."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and `ip` (Debian: iproute2)")
    names = [f"tuitrain-{os.getpid()}-{rank}" for rank in (0, 1)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "wire0", "netns", names[0], "type", "veth", "peer", "name", "wire1", "netns", names[1])
        for rank, name in enumerate(names):
            ip("-n", name, "address", "add", f"10.213.0.{rank + 1}/24", "dev", f"wire{rank}")
            for device in ("lo", f"wire{rank}"):
                ip("-n", name, "link", "set", device, "up")
        yield tuple(Node(rank, "10.213.0.1:29500", workspace, name) for rank, name in enumerate(names))
        kill(agents(workspace))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def micro(workspace: Workspace, steps: int, *more: str) -> list[str]:
    return workspace.micro("llama2-tiny", steps, "train.micro_batch_size=2", "sampling.interval=0", *more)


def paused(run: RunDirectory) -> RunDirectory:
    """A run in a pause, so that it is known what of it is lost."""
    wait_for(lambda: run.metrics.exists())
    write_request(run.path, "pause")
    wait_for(lambda: read_snapshot(run).status is Status.PAUSED)
    return run


def losses(run: RunDirectory) -> list[float]:
    history = load_history(run)
    assert history.steps["step"].tolist() == list(range(1, STEPS + 1))
    return history.steps["loss"].tolist()


def test_the_nodes_that_are_left_go_on_with_the_same_data_where_the_network_loses_one(
    workspace: Workspace, namespaces: Nodes
) -> None:
    first, second = namespaces
    arguments = [*micro(workspace, STEPS, "checkpoint.interval=0"), "--min-nodes", "1", "--name", "lost"]
    # The order in which they are started does not matter.
    joined = second("launch", *arguments)
    started = first("launch", *arguments)
    wait_for(lambda: workspace.runs)
    run = paused(workspace.runs[0])
    write_request(run.path, "checkpoint")
    wait_for(lambda: complete_checkpoints(run.path))
    saved = complete_checkpoints(run.path)[-1]
    assert second.namespace is not None
    ip("-n", second.namespace, "link", "set", "wire1", "down")
    done = result(started)
    assert done.code == 0, done.out + done.err
    attempts = load_history(run).attempts
    assert [(each.parallel.world_size, each.parallel.nodes) for each in attempts] == [(2, 2), (1, 1)]
    (lost,) = (each for each in alerts(run) if each.code == "restart")
    assert lost.message == f"Node 1 was lost. The run goes on with 1 of 2 nodes, from {saved.path.name}."
    whole = new_run(workspace.path / "runs", load_config(str(run.config)))
    ranks = start_ranks(["train", "--run-dir", str(whole.path)], 2, env=workspace.environment, cwd=whole.path)
    for rank in ranks:
        rank.communicate(timeout=PATIENCE_S)
    assert losses(run)[: saved.step] == losses(whole)[: saved.step]
    assert losses(run) == pytest.approx(losses(whole), rel=1e-4)
    # The node without a network does not spoil the log of the run, which went on.
    kill(agents(workspace, lambda words: "--node-rank=1" in words))
    assert result(joined).code == 1
    assert read_snapshot(run).status is Status.COMPLETED


def test_a_run_on_two_nodes_stops_resumes_and_ends_with_a_lost_node(workspace: Workspace, loopback: Nodes) -> None:
    first, second = loopback
    arguments = [*micro(workspace, 100_000), "--name", "killed"]
    commands = [node("launch", *arguments) for node in loopback]
    wait_for(lambda: workspace.runs and workspace.runs[0].run_id.startswith("killed"))
    run = paused(workspace.runs[0])
    tree = agents(workspace)
    info = run.read_metadata()
    assert info is not None and (info.launcher, info.processes, info.processes_of_node) == ("nodes", 2, 1)
    assert workspace("stop", run.run_id).code == 0
    assert [result(each).code for each in commands] == [0, 0]
    _, alive = psutil.wait_procs(tree, timeout=PATIENCE_S)
    assert not alive and read_snapshot(run).status is Status.STOPPED
    other = second("resume", run.run_id, "optim.lr=1e-3")  # waits for node 0
    commands = [first("resume", run.run_id, "optim.lr=1e-3")]
    wait_for(lambda: load_history(run).run.attempt == 2 and read_snapshot(run).status is Status.RUNNING)
    kill(agents(workspace, lambda words: "--node-rank=1" in words))
    done = result(commands[0])
    reason = f"Node 1 ({socket.gethostname()}) was lost: its connection was closed."
    assert (done.code, result(other).code) == (1, 1)
    assert reason in done.out and "Traceback" not in done.out + done.err
    snapshot = read_snapshot(run)
    assert snapshot.status is Status.FAILED and snapshot.end.reason == reason
    assert reason in workspace("status", run.run_id).out
    assert load_config(str(run.config)).optim.lr == 1e-3


def alerts(run: RunDirectory) -> list[Alert]:
    return [each for each in LogFollower(run.metrics).poll().records if isinstance(each, Alert)]
