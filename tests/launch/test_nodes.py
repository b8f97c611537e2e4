"""What watches the nodes of a run: processes of its own, with a small program in the place of torchrun."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.warm_engine import WarmProcess, start_real_children
from tuitrain import __version__
from tuitrain.config import ConfigError, load_config
from tuitrain.config.requirements import node_counts
from tuitrain.events import Alert, End, EventWriter
from tuitrain.events.layout import Nodes
from tuitrain.launch import LaunchError
from tuitrain.launch.local import new_run
from tuitrain.launch.nodes import connection, other, start
from tuitrain.launch.nodes.connection import Address, Listener, ask, check_first, connect, listen
from tuitrain.launch.nodes.member import Member, make_member
from tuitrain.launch.nodes.messages import Facts, Hello, Over, Round, encode
from tuitrain.runs import LogFollower, RunDirectory, RunMetadata, Status, read_snapshot

PATIENCE_S = 60.0
TORCHRUN = """
import os, pathlib, sys, time
from tuitrain.events.peers import marked_failures
words, node = sys.argv[1:], os.environ["TUITRAIN_NODE"]
run = pathlib.Path(words[words.index("--run-dir") + 1])
options = dict(word[2:].split("=") for word in words if word.startswith("--") and "=" in word)
resumes = "resumes" if "--resume" in words else "begins"
with (run / "rounds").open("a") as file:
    file.write(f"{node}: {options['node-rank']} of {options['nnodes']} {resumes}\\n")
while not (ends := run / f"end-{node}").exists():
    if marked_failures(run, options["rdzv-id"]) and not (run / "stops").exists():
        sys.exit(1)
    time.sleep(0.02)
sys.exit(int(ends.read_text()))
"""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@dataclass
class Site:
    """A run, and the nodes that were started for it."""

    run: RunDirectory
    address: Address
    environment: dict[str, str]
    nodes: dict[int, WarmProcess] = field(default_factory=dict)

    def begin(self, rank: int, *options: str, gpus: int = 1) -> None:
        """Start what watches on one node; options: of the first."""
        words = [f"--rendezvous={self.address}", f"--node-rank={rank}", f"--gpus={gpus}", *options, str(self.run.path)]
        self.nodes[rank] = WarmProcess(
            words, module="tuitrain.launch.nodes.agent", env=self.environment, cwd=self.run.path,
            before=start_real_children,
        )  # fmt: skip

    def lose(self, rank: int) -> None:
        """Kill a node with all that runs on it."""
        top = psutil.Process(self.nodes[rank].pid)
        tree = [top, *top.children(recursive=True)]
        for each in tree:
            each.suspend()
        for each in tree:
            each.kill()
        self.nodes[rank].wait(PATIENCE_S)

    def end(self, code: int, *ranks: int) -> list[int]:
        """Let torchrun end on these nodes; returns the exit codes of all that are left."""
        self.let_end(code, *ranks)
        return [each.wait(PATIENCE_S) for _, each in sorted(self.nodes.items()) if each.poll() != -signal.SIGKILL]

    def let_end(self, code: int, *ranks: int) -> None:
        """Let torchrun end on these nodes."""
        for rank in ranks:
            unfinished = self.run.path / ".unfinished"
            unfinished.write_text(str(code))
            unfinished.replace(self.run.path / f"end-{rank}")

    def rounds(self, count: int) -> list[str]:
        """The first lines that so many torchruns wrote, one each, in any order."""
        path = self.run.path / "rounds"
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) >= count)
        return sorted(path.read_text().splitlines())

    def alerts(self) -> list[str]:
        records = LogFollower(self.run.metrics).poll().records
        return [each.message for each in records if isinstance(each, Alert)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    engine = tmp_path / "fake" / "tuitrain_engine"
    engine.mkdir(parents=True)
    (engine / "__init__.py").touch()
    (engine / "torchrun.py").write_text(TORCHRUN)
    config = load_config("llama2-tiny", ["train.global_batch_size=8", "train.micro_batch_size=auto"])
    path = os.pathsep.join([str(engine.parent), *filter(None, sys.path)])
    made = Site(
        new_run(tmp_path / "runs", config), Address("127.0.0.1", free_port()), os.environ | {"PYTHONPATH": path}
    )
    yield made
    for process in made.nodes.values():
        if process.poll() is None:
            made.lose(next(rank for rank, each in made.nodes.items() if each is process))
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def test_the_first_node_waits_for_the_others_and_all_end_with_its_exit_code(site: Site) -> None:
    site.begin(1)
    site.begin(0, "--nodes=2", "--min-nodes=2")
    assert site.rounds(2) == ["0: 0 of 2 begins", "1: 1 of 2 begins"]
    assert site.end(7, 0, 1) == [7, 7]
    # None of the two could write why.
    assert read_snapshot(site.run).status is Status.FAILED


def test_the_nodes_over_which_the_batch_divides_go_on_and_the_others_wait_for_the_next_loss(site: Site) -> None:
    site.begin(0, "--nodes=4", "--min-nodes=2")
    for rank in (1, 2, 3):
        site.begin(rank)
    assert len(site.rounds(4)) == 4
    site.lose(1)
    # A batch of 8 does not divide over three.
    assert "0: 0 of 2 begins" in site.rounds(6) and "2: 1 of 2 begins" in site.rounds(6)
    site.lose(2)
    assert "3: 1 of 2 begins" in site.rounds(8)
    site.lose(3)
    assert site.end(1) == [1]
    assert site.alerts() == [
        "Node 1 was lost. The run goes on with 2 of 4 nodes, from the beginning.",
        "Node 2 was lost. The run goes on with 2 of 4 nodes, from the beginning.",
        "Node 3 was lost, and the run cannot go on with 1 of its nodes.",
    ]
    end = read_snapshot(site.run).end
    assert end is not None and end.status == "failed"
    assert end.reason == f"Node 3 ({socket.gethostname()}) was lost: its connection was closed."


def test_a_node_of_the_same_rank_takes_the_place_of_a_lost_one_at_the_next_restart(site: Site) -> None:
    site.begin(0, "--nodes=2", "--min-nodes=1")
    site.begin(1)
    site.rounds(2)
    site.lose(1)
    assert "0: 0 of 1 begins" in site.rounds(3)
    site.begin(1)
    wait_for(lambda: "with node 0" in site.nodes[1].stdout.readline())
    assert site.end(0, 0) == [0, 0]


@pytest.mark.parametrize("least", [2, 1])
def test_a_node_whose_launcher_alone_is_killed_is_lost_though_its_processes_stop_the_run(
    site: Site, least: int
) -> None:
    (site.run.path / "stops").touch()
    site.begin(0, "--nodes=2", f"--min-nodes={least}")
    site.begin(1)
    site.rounds(2)
    site.nodes[1].kill()
    site.nodes[1].wait(PATIENCE_S)
    lost = f"Node 1 ({socket.gethostname()}) was lost: its connection was closed."
    wait_for(lambda: list(site.run.path.glob(".failed-*-node-1")))
    with EventWriter(site.run.metrics) as log:
        log.write(End(status="stopped", reason="stopped by SIGTERM"))
    site.let_end(0, 0, 1)
    if least == 2:
        assert site.nodes[0].wait(PATIENCE_S) == 1
        end = read_snapshot(site.run).end
        assert end is not None and (end.status, end.reason) == ("failed", lost)
    else:
        assert "0: 0 of 1 begins" in site.rounds(3)
        assert site.nodes[0].wait(PATIENCE_S) == 0


def test_all_meet_again_where_a_crashed_run_may_be_started_again(site: Site) -> None:
    site.run.write_metadata(RunMetadata(name="a", created=0.0, retries=1))
    site.begin(0, "--nodes=2", "--min-nodes=2")
    site.begin(1)
    site.rounds(2)
    site.let_end(1, 0, 1)
    assert site.nodes[0].wait(PATIENCE_S) == 1
    site.run.write_metadata(RunMetadata(name="a", created=0.0, retries=0))
    for rank in (0, 1):
        (site.run.path / f"end-{rank}").unlink()
    # What supervises the run does this.
    site.nodes[0].communicate()
    site.begin(0, "--nodes=2", "--min-nodes=2")
    assert site.rounds(4)[2:] == ["1: 1 of 2 begins"] * 2  # sorted
    assert site.end(0, 0, 1) == [0, 0]


def test_the_loss_of_the_first_node_is_written_down_by_the_others(site: Site) -> None:
    site.begin(0, "--nodes=2", "--min-nodes=1")
    site.begin(1)
    site.rounds(2)
    site.lose(0)
    assert site.end(1, 1) == [1]
    end = read_snapshot(site.run).end
    assert end is not None and str(end.reason).startswith(f"Node 0 ({socket.gethostname()}) was lost")


@dataclass
class Deaf:
    """In the place of torchrun: it does not end by itself. given_s: how long it was given to end."""

    id: str
    given_s: float | None = None

    def end_within(self, seconds: float) -> None:
        self.given_s = seconds

    def poll(self) -> int | None:
        return None if self.given_s is None else -9

    def kill(self) -> None:
        pass


@pytest.mark.parametrize("writes", [False, True])
def test_a_first_node_that_is_silent_is_lost_unless_the_log_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, writes: bool
) -> None:
    """A broken network may part this node from the others, which go on."""
    for module in (connection, other):
        monkeypatch.setattr(module, "SILENCE_S", 0.3)
    site.run.config.write_text(load_config("llama2-tiny", ["telemetry.system_interval_s=0.1"]).to_toml())
    torchrun, stopping = Deaf("1"), threading.Event()
    monkeypatch.setattr(other, "Torchrun", lambda *_: torchrun)

    def first_node() -> None:
        joined, _ = listening.accept()
        with joined, joined.makefile("rb") as lines:
            lines.readline()
            for message in (Facts(run_id=site.run.run_id, nodes=2, least=1, gpus=1, host="b"),
                            Round(id="1", port=1, ranks=[0, 1], options=[])):  # fmt: skip
                joined.sendall(encode(message))
            while writes and not stopping.wait(0.02):
                with EventWriter(site.run.metrics) as log:
                    log.write(Alert(level="info", code="here", message="here"))
            stopping.wait()

    with listen(site.address.port) as listening:
        thread = threading.Thread(target=first_node)
        thread.start()
        signals = SimpleNamespace(stop=None, torchrun=None)
        assert other.OtherNode(site.run, 1, site.address, 1, signals).attend() == 1
        stopping.set()
        thread.join()
    assert torchrun.given_s == 0
    end = read_snapshot(site.run).end
    assert (None if end is None else end.reason) == (None if writes else "Node 0 (b) was lost: no heartbeat for 0.3 s.")


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "request"])
def test_a_run_that_waits_for_its_nodes_can_be_stopped(site: Site, how: str) -> None:
    site.begin(0, "--nodes=2", "--min-nodes=2")
    wait_for(lambda: site.run.metrics.exists())
    stage = read_snapshot(site.run).stage
    assert stage is not None and stage.stage == f"waiting for node 1 at {site.address}"
    if how == "request":
        site.run.request("stop")
    else:
        site.nodes[0].send_signal(getattr(signal, how))
    assert site.nodes[0].wait(PATIENCE_S) == (130 if how == "SIGINT" else 0)
    assert read_snapshot(site.run).status is Status.STOPPED


def test_who_does_not_belong_to_the_run_is_refused_with_the_reason() -> None:
    address = Address("127.0.0.1", free_port())
    listener = Listener(address.port, Facts(run_id="a", nodes=3, least=2, gpus=2, host="b"), __version__)
    try:
        first, _ = connect(address, Hello(version=__version__, rank=1, host="c", gpus=2), 5)
        for hello, reason in (
            (Hello(version="0"), f"it has tuitrain {__version__}, this node 0: install the same on all"),
            (Hello(version=__version__, rank=3, gpus=2), "--node-rank 3, but the run has nodes 0 to 2"),
            (Hello(version=__version__, rank=2, gpus=1), "give --gpus 2"),
            (Hello(version=__version__, rank=1, gpus=2), "node 1 is here already, as c"),
        ):
            with pytest.raises(LaunchError, match=reason):
                ask(address, hello, 5)
        assert ask(address, Hello(version=__version__), 5).run_id == "a"
        with pytest.raises(LaunchError, match=f"Port {address.port} of this machine cannot be used"):
            check_first(address)
        first.close()
    finally:
        listener.end(Over(code=0))


def test_a_node_finds_the_run_only_where_it_is_shared_and_configured_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "SHARED_S", 0.0)
    run = new_run(tmp_path / "runs", load_config("llama2-tiny"))
    address = Address("127.0.0.1", free_port())
    member = Member(1, Nodes(count=2, least=2, rendezvous=str(address)))
    listener = Listener(address.port, Facts(run_id=run.run_id, nodes=2, least=2, gpus=1, host="b"), __version__)
    try:
        found, facts = start.find_run(member, tmp_path / "runs", lambda: None)
        assert (found.path, facts.gpus) == (run.path, 1)
        with pytest.raises(LaunchError, match="the nodes need a file system that they share"):
            start.find_run(member, tmp_path / "elsewhere", lambda: None)
        other = Member(1, Nodes(count=2, least=1, rendezvous=str(address)))
        with pytest.raises(LaunchError, match="Node 0 was started with --nodes 2: give every node the same"):
            start.find_run(other, tmp_path / "runs", lambda: None)
    finally:
        listener.end(Over(code=0))
    start.check_config(run, load_config("llama2-tiny"))
    with pytest.raises(LaunchError, match=r"differs in optim\.lr: give every node the same arguments"):
        start.check_config(run, load_config("llama2-tiny", ["optim.lr=1"]))


def test_the_first_node_is_refused_at_a_name_that_does_not_lead_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.2)
    port = free_port()
    make_member(0, 2, 2, f"localhost:{port}")
    # Names that end so lead nowhere, and these addresses to no machine: RFC 6761, RFC 5737.
    for host in ("node0.invalid", "192.0.2.1"):
        with pytest.raises(LaunchError, match=rf"--rendezvous {host}:{port} does not lead to this machine \(.+\)"):
            make_member(0, 2, 2, f"{host}:{port}")
        assert make_member(1, 2, 2, f"{host}:{port}").rank == 1
    with listen(port), pytest.raises(LaunchError, match=f"Port {port} of this machine cannot be used"):
        make_member(0, 2, 2, f"localhost:{port}")


@pytest.mark.parametrize(
    ("text", "host"), [("node0:29500", "node0"), ("[fe80::1]:29500", "fe80::1"), ("127.0.0.1:29500", "127.0.0.1")]
)
def test_a_rendezvous_is_a_host_and_a_port(text: str, host: str) -> None:
    assert (Address.parse(text), str(Address.parse(text))) == (Address(host, 29500), text)


@pytest.mark.parametrize("text", ["node0", ":29500", "node0:x", "node0:0", "node0:70000", "fe80::1:29500"])
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(LaunchError, match="is no HOST:PORT"):
        Address.parse(text)


def test_the_numbers_of_nodes_are_those_over_which_the_batch_divides() -> None:
    config = load_config("llama2-tiny", ["train.global_batch_size=24", "train.micro_batch_size=2"])
    assert node_counts(config, 6, 1, 1) == [1, 2, 3, 4, 6]
    assert node_counts(config, 3, 2, 2) == [2, 3]
    with pytest.raises(ConfigError, match="'ddp' needs several processes, and this run has one"):
        node_counts(config.with_values({"parallel.strategy": "ddp"}), 2, 1, 1)
