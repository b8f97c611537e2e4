"""The connections between the nodes of a run: each other one has one to the first, which listens at the rendezvous."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from tuitrain.launch.errors import LaunchError
from tuitrain.launch.nodes.messages import AnyMessage, Facts, Hello, Refused, decode, encode

BEAT_S = 1.0
SILENCE_S = 15.0
"""After so long without a heartbeat a node counts as lost: its machine or the network is gone."""
RETRY_S = 0.5
ANSWER_S = 5.0
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Address:
    """The rendezvous: a name or address of the first node, and a port there."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """HOST:PORT, with an IPv6 address in brackets. Raises LaunchError."""
        host, _, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not bare or (":" in bare and bare == host) or not port.isdigit() or not 0 < int(port) < 65536:
            raise LaunchError(
                f"--rendezvous {text!r} is no HOST:PORT, such as node0:29500: a name of the node of rank 0, and a free "
                "port there.",
                key="rendezvous",
            )
        return cls(bare, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Lost:
    """A connection has ended. silent: not closed by the other side, but without a heartbeat."""

    silent: bool

    def sentence(self, rank: int, host: str) -> str:
        """Which node was lost, and how that was noticed."""
        how = f"no heartbeat for {SILENCE_S:g} s" if self.silent else "its connection was closed"
        return f"Node {rank} ({host}) was lost: {how}."


class Connection:
    """One end of a connection: a thread reads it, another sends heartbeats."""

    def __init__(self, connected: socket.socket, received: Callable[[AnyMessage | Lost], object]) -> None:
        """received: gets each message, and at last Lost, in the thread that reads."""
        self._socket, self._received = connected, received
        self._socket.settimeout(SILENCE_S)
        self._sending, self._closed = threading.Lock(), threading.Event()

    def start(self) -> None:
        """Begin to read."""
        for target in (self._read, self._beat):
            threading.Thread(target=target, name="node", daemon=True).start()

    def send(self, message: AnyMessage) -> None:
        """Send a message; one to a node that is gone is dropped."""
        self._write(encode(message))

    def close(self) -> None:
        """End it."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @property
    def interface(self) -> str | None:
        """The network interface that leads to the other node, where it can be told."""
        address = self._socket.getsockname()[0].removeprefix("::ffff:").partition("%")[0]
        if address.startswith("127.") or address == "::1":
            return "lo"
        found = (
            name
            for name, addresses in psutil.net_if_addrs().items()
            if any(each.address.partition("%")[0] == address for each in addresses)
        )
        return next(found, None)

    def _write(self, line: bytes) -> None:
        with self._sending, suppress(OSError):
            self._socket.sendall(line)

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S):
            self._write(b"\n")

    def _read(self) -> None:
        silent = False
        try:
            with self._socket.makefile("rb") as lines:
                while line := lines.readline(_MOST_BYTES):
                    if line.strip():
                        self._received(decode(line))
        except TimeoutError:
            silent = True
        except (OSError, ValueError, LaunchError):
            pass
        self._received(Lost(silent))
        self.close()


Event = tuple[int, "AnyMessage | Lost"]


class Listener:
    """The first node's end of all connections. events: what came from which rank."""

    def __init__(self, port: int, facts: Facts, version: str) -> None:
        """Listen at all addresses of this machine. Raises OSError."""
        self.events: queue.Queue[Event] = queue.Queue()
        self.hosts: dict[int, str] = {}
        """The name of the machine of each node that has been here."""
        self._facts, self._version = facts, version
        self._nodes: dict[int, Connection] = {}
        self._changing = threading.Lock()
        self._socket = listen(port)
        threading.Thread(target=self._accept, name="rendezvous", daemon=True).start()

    @property
    def ranks(self) -> list[int]:
        """The other nodes that are here."""
        with self._changing:
            return sorted(self._nodes)

    @property
    def interface(self) -> str | None:
        """The network interface that leads to the other nodes."""
        with self._changing:
            return next((each.interface for each in self._nodes.values()), None)

    def tell(self, message: AnyMessage) -> None:
        """Send a message to all nodes that are here."""
        with self._changing:
            nodes = list(self._nodes.values())
        for node in nodes:
            node.send(message)

    def end(self, message: AnyMessage) -> None:
        """Tell all nodes that are here a last message, and end the connections; no further one is accepted before."""
        # Closing alone does not wake the thread that accepts, and a node that comes back at once would still be let in.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.tell(message)
        with self._changing:
            nodes = list(self._nodes.values())
        for node in nodes:
            node.close()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._greet, args=(connected,), name="rendezvous", daemon=True).start()

    def _greet(self, connected: socket.socket) -> None:
        try:
            connected.settimeout(ANSWER_S)
            # Unbuffered, so that nothing after the first line is read here.
            with connected.makefile("rb", buffering=0) as lines:
                hello = decode(lines.readline(_MOST_BYTES))
            if not isinstance(hello, Hello):
                return connected.close()
            if (reason := self._refusal(hello)) is not None or hello.rank is None:
                connected.sendall(encode(self._facts if reason is None else Refused(reason=reason)))
                return connected.close()
            self._join(hello.rank, hello.host, connected)
        except (OSError, LaunchError):
            connected.close()

    def _join(self, rank: int, host: str, connected: socket.socket) -> None:
        def received(message: AnyMessage | Lost) -> None:
            if isinstance(message, Lost):
                with self._changing:
                    del self._nodes[rank]
            self.events.put((rank, message))

        node = Connection(connected, received)
        with self._changing:
            taken = rank in self._nodes
            if not taken:
                self._nodes[rank], self.hosts[rank] = node, host
        if taken:
            node.send(Refused(reason=f"node {rank} is here already, as {self.hosts[rank]}"))
            return node.close()
        node.send(self._facts)
        node.start()
        self.events.put((rank, Hello(version=self._version, rank=rank, host=host)))
        return None

    def _refusal(self, hello: Hello) -> str | None:
        facts = self._facts
        if hello.version != self._version:
            return f"it has tuitrain {self._version}, this node {hello.version}: install the same on all"
        if hello.rank is None:
            return None
        if not 0 < hello.rank < facts.nodes:
            return f"--node-rank {hello.rank}, but the run has nodes 0 to {facts.nodes - 1}"
        if hello.gpus != facts.gpus:
            return f"{hello.gpus} processes here, but each node of the run has {facts.gpus}: give --gpus {facts.gpus}"
        return None


def listen(port: int) -> socket.socket:
    """A socket that listens at all addresses of this machine. Raises OSError."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def check_first(address: Address) -> None:
    """Raise LaunchError where this machine cannot listen at the port, or is not the one that the address leads to."""
    try:
        listening = listen(address.port)
    except OSError as error:
        raise LaunchError(port_sentence(address.port, error), key="rendezvous") from None
    with listening:
        listening.settimeout(ANSWER_S)
        try:
            with socket.create_connection((address.host, address.port), timeout=ANSWER_S):
                listening.accept()[0].close()
        except OSError as error:
            raise LaunchError(
                f"--rendezvous {address} does not lead to this machine ({error.strerror or error}): give a name or "
                "address of node 0, the one with --node-rank 0.",
                key="rendezvous",
            ) from None


def port_sentence(port: int, error: OSError) -> str:
    """Why this machine cannot be the first node."""
    # create_server adds the address to the text of the error.
    why = os.strerror(error.errno) if error.errno else str(error)
    return f"Port {port} of this machine cannot be used ({why}): choose another for --rendezvous."


def ask(address: Address, hello: Hello, patience_s: float, waiting: Callable[[], Any] = lambda: None) -> Facts:
    """What the first node says of its run, once it is there. waiting: called while it is not. Raises LaunchError."""
    connected, facts = connect(address, hello, patience_s, waiting)
    connected.close()
    return facts


def connect(
    address: Address, hello: Hello, patience_s: float, waiting: Callable[[], Any] = lambda: None
) -> tuple[socket.socket, Facts]:
    """A connection to the first node, and the facts of its run. Raises LaunchError as `ask` does."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            connected = socket.create_connection((address.host, address.port), timeout=ANSWER_S)
            try:
                connected.sendall(encode(hello))
                with connected.makefile("rb", buffering=0) as lines:
                    line = lines.readline(_MOST_BYTES)
                if line:
                    answer = decode(line)
                    if isinstance(answer, Facts):
                        return connected, answer
                    reason = answer.reason if isinstance(answer, Refused) else "it gave no answer"
                    raise LaunchError(f"The node of rank 0 at {address} refuses this one: {reason}.", exit_code=2)
                raise ConnectionResetError("it closed the connection")
            except BaseException:
                connected.close()
                raise
        except OSError as error:
            if time.monotonic() >= deadline:
                why = error.strerror or str(error) or type(error).__name__
                raise LaunchError(
                    f"No node of rank 0 has answered at {address} within {patience_s / 60:.3g} minutes ({why}): start "
                    "it there with --node-rank 0.",
                    exit_code=1,
                ) from None
        waiting()
        time.sleep(RETRY_S)
