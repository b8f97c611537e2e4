"""torchrun on one node of a run, for one round."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from tuitrain.events.peers import NODE_VARIABLE
from tuitrain.launch.nodes.connection import Address
from tuitrain.launch.nodes.messages import Round
from tuitrain.runs import RunDirectory


class Torchrun:
    """The processes of this node. Kill ends them all at once; else torchrun passes the signals on."""

    def __init__(self, run: RunDirectory, rank: int, gpus: int, address: Address, order: Round, interface: str | None):
        """Start them, as the order of the first node says. Raises OSError."""
        self.id = order.id
        variables = {NODE_VARIABLE: str(rank)}
        if interface is not None and "GLOO_SOCKET_IFNAME" not in os.environ:
            # gloo would take the interface of the machine's own name, often one that other machines cannot reach.
            variables["GLOO_SOCKET_IFNAME"] = interface
        self._process = subprocess.Popen(
            command(run, order.ranks.index(rank), gpus, address, order), env=os.environ | variables,
            start_new_session=True,
        )  # fmt: skip
        self._deadline: float | None = None

    def poll(self) -> int | None:
        """The exit code once it has ended, after it was killed where its time is over; None before."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.kill()
        return self._process.poll()

    def end_within(self, seconds: float) -> None:
        """Kill it where it has not ended by itself after so many seconds; of several such times the first counts."""
        deadline = time.monotonic() + seconds
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def send_signal(self, number: int) -> None:
        """Send a signal to torchrun, which passes it on."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill torchrun and its workers, each of which has a session of its own."""
        try:
            torchrun = psutil.Process(self._process.pid)
            processes = [torchrun, *torchrun.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for each in processes:
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


def command(run: RunDirectory, rank: int, gpus: int, address: Address, order: Round) -> Sequence[str]:
    """torchrun's command line. rank: among the nodes that train."""
    return [
        sys.executable, "-m", "tuitrain_engine.torchrun", f"--nnodes={len(order.ranks)}", f"--node-rank={rank}",
        f"--nproc-per-node={gpus}", f"--master-addr={address.host}", f"--master-port={order.port}",
        f"--rdzv-id={order.id}", "-m", "tuitrain_engine", "train", "--run-dir", str(run.path), *order.options,
    ]  # fmt: skip
