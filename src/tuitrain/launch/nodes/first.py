"""The node of rank 0: it orders the rounds of a run and writes down what it decides."""

from __future__ import annotations

import queue
import secrets
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from tuitrain import __version__
from tuitrain.config import load_config
from tuitrain.config.errors import ConfigError
from tuitrain.config.requirements import node_counts
from tuitrain.events import Alert, End, EventWriter, Record, Stage
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.events.layout import Nodes
from tuitrain.events.lock import lock_held
from tuitrain.events.peers import mark_failure, marked_failures
from tuitrain.events.requests import REQUESTED, is_requested, reason_of, stop_reason
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.nodes.connection import Address, Listener, Lost, port_sentence
from tuitrain.launch.nodes.messages import Abort, Ended, Facts, Over, Round
from tuitrain.launch.nodes.signals import Signals
from tuitrain.launch.nodes.torchrun import Torchrun
from tuitrain.launch.resume import RESUME_CONFIG
from tuitrain.runs import RunDirectory, read_snapshot
from tuitrain.runs.slurm import stopped_by_signal

POLL_S = 0.1
JOIN_S = 900.0
"""How long a node waits for the others."""
HEARTBEAT_S = 20.0
"""How often a waiting run shows other machines that it lives."""
BEGIN_S, SAVE_S = 30.0, 330.0
"""How long the processes of a node may take to end once others are missing: before they train, and after."""
FAILURE = 1
FINAL = (0, 2, 3, 130)
"""Exit codes of the engine after which another attempt would end in the same way."""


class FirstNode:
    """Leads one attempt at a run, of one round or, where nodes are lost, of several."""

    def __init__(
        self, run: RunDirectory, nodes: Nodes, address: Address, gpus: int, options: Sequence[str], signals: Signals
    ) -> None:
        """gpus: processes of each node. options: further ones of the engine in the first round."""
        self._run, self._nodes, self._address, self._gpus = run, nodes, address, gpus
        self._options, self._signals = list(options), signals
        facts = Facts(run_id=run.run_id, nodes=nodes.count, least=nodes.least, gpus=gpus, host=socket.gethostname())
        try:
            self._listener = Listener(address.port, facts, __version__)
        except OSError as error:
            raise LaunchError(port_sentence(address.port, error), exit_code=2) from None

    def lead(self) -> int:
        """Lead it; returns the exit code."""
        code = FAILURE
        try:
            code = self._lead()
        finally:
            info = self._run.read_metadata()
            again = code not in FINAL and info is not None and info.retries > 0 and not self._is_stopped()
            self._listener.end(Over(code=code, again=again))
        return code

    def _lead(self) -> int:
        if (code := self._gather()) is not None:
            return code
        options = self._options
        while True:
            ranks = self._choose()
            if ranks is None:
                return FAILURE
            code, lost = self._train(ranks, options)
            if code == 0 or not lost or self._is_stopped():
                return code
            if not self._may_go_on(lost):
                return code
            options = ["--resume"] if complete_checkpoints(self._run.path) else []

    def _gather(self) -> int | None:
        """Wait for the other nodes; returns the exit code where the run ends before it began."""
        deadline, heartbeat = time.monotonic() + JOIN_S, 0.0
        waits_for: list[int] = []
        while missing := sorted(set(range(1, self._nodes.count)) - set(self._listener.ranks)):
            stage = f"waiting for {names(missing)} at {self._address}"
            if missing != waits_for:
                waits_for = missing
                self._begin_stage(stage)
                heartbeat = time.monotonic() + HEARTBEAT_S
            elif time.monotonic() >= heartbeat:
                self._write(Stage(stage=stage))
                heartbeat = time.monotonic() + HEARTBEAT_S
            if self._is_stopped():
                signal = self._signals.stop
                by = signal.name if signal is not None else reason_of(self._run.path, "stop") or REQUESTED
                self._end("stopped", f"{stop_reason(by)} before the other nodes connected")
                return self._signals.stop_code
            if time.monotonic() >= deadline:
                who = names(missing).capitalize()
                late = f"{who} did not connect to {self._address} within {JOIN_S / 60:.3g} minutes"
                if self._listener.ranks and self._largest() is not None:
                    self._write(Alert(level="warning", code="nodes", message=f"{late}: the run begins without."))
                    return None
                self._end("failed", f"{late}: give the same command there, with its --node-rank.")
                return FAILURE
            self._next(lambda rank, message: None)
        return None

    def _choose(self) -> list[int] | None:
        """The ranks that train in the next round; None where too few are here, which the log says then."""
        count = self._largest()
        if count is None:
            self._end("failed", f"Only {len(self._listener.ranks) + 1} of {self._nodes.count} nodes are here.")
            return None
        return [0, *self._listener.ranks][:count]

    @property
    def _config(self) -> Path:
        """The configuration of this attempt: that of a resume is the run's only once it trains."""
        resumed = self._run.path / RESUME_CONFIG
        return resumed if resumed.exists() else self._run.config

    def _largest(self) -> int | None:
        """The largest number of the nodes that are here with which the run can train."""
        try:
            nodes, config = self._nodes, load_config(str(self._config))
            counts = node_counts(config, nodes.count, nodes.least, self._gpus)
        except ConfigError as error:
            raise LaunchError(str(error)) from None
        return max((count for count in counts if count <= len(self._listener.ranks) + 1), default=None)

    def _train(self, ranks: list[int], options: list[str]) -> tuple[int, list[int]]:
        """One round; returns the exit code of torchrun here, and the nodes that were lost."""
        order = Round(id=f"{self._run.run_id}-{secrets.token_hex(4)}", port=free_port(), ranks=ranks, options=options)
        waiting = sorted(set(self._listener.ranks) - set(ranks))
        rest = f", without {names(waiting)}: the batch does not divide over all" if waiting else ""
        self._begin_stage(f"starting on {names(ranks)}{rest}")
        torchrun = Torchrun(self._run, 0, self._gpus, self._address, order, self._listener.interface)
        self._signals.torchrun = torchrun
        self._listener.tell(order)
        ended, lost = {0}, dict[int, str]()

        def react(rank: int, message: object) -> None:
            if rank not in ranks:
                return
            if isinstance(message, Ended) and message.id == order.id:
                ended.add(rank)
            elif isinstance(message, Lost) and rank not in lost:
                lost[rank] = message.sentence(rank, self._listener.hosts.get(rank, "n/a"))
                mark_failure(self._run.path, order.id, f"node-{rank}", lost[rank])
                self._listener.tell(Abort(id=order.id))
            else:
                return
            torchrun.end_within(BEGIN_S if lock_held(self._run.lock) is False else SAVE_S)

        while (code := torchrun.poll()) is None:
            self._next(react)
        self._signals.torchrun = None
        deadline = time.monotonic() + SAVE_S + BEGIN_S
        while code and set(ranks) - ended - set(lost) and time.monotonic() < deadline:
            self._next(react)
        if code and read_snapshot(self._run).end is None:
            # Those that should have written it were killed.
            marked = marked_failures(self._run.path, order.id)
            self._end("failed", marked[0] if marked else "The processes of node 0 were killed.")
        gone = [rank for rank in lost if rank not in ended]
        if code == 0 and gone and self._was_stopped_by_signal() and not self._is_stopped():
            # Only the launcher of that node was killed: torchrun there has stopped the run, with a checkpoint.
            self._end("failed", lost[gone[0]])
            code = FAILURE
        return (code if code >= 0 else FAILURE), list(lost)

    def _was_stopped_by_signal(self) -> bool:
        end = read_snapshot(self._run).end
        return end is not None and stopped_by_signal(end)

    def _may_go_on(self, lost: list[int]) -> bool:
        """Whether enough nodes are left; the log says so."""
        who = f"{names(lost).capitalize()} {'was' if len(lost) == 1 else 'were'} lost"
        largest, newest = self._largest(), complete_checkpoints(self._run.path)
        step = newest[-1].step if newest else 0
        if largest is None:
            if self._nodes.least < self._nodes.count:
                message = f"{who}, and the run cannot go on with {len(self._listener.ranks) + 1} of its nodes."
                self._write(Alert(level="critical", code="restarts_ended", message=message, step=step))
            return False
        where = f"from {newest[-1].path.name}" if newest else "from the beginning"
        message = f"{who}. The run goes on with {largest} of {self._nodes.count} nodes, {where}."
        print(message, file=sys.stderr, flush=True)
        self._write(Alert(level="warning", code="restart", message=message, step=step))
        return True

    def _next(self, react: Callable[[int, object], None]) -> None:
        try:
            rank, message = self._listener.events.get(timeout=POLL_S)
        except queue.Empty:
            return
        react(rank, message)

    def _is_stopped(self) -> bool:
        return self._signals.stop is not None or is_requested(self._run.path, "stop")

    def _begin_stage(self, stage: str) -> None:
        print(f"{'start':<8}  {stage}", flush=True)
        self._write(Stage(stage=stage))

    def _end(self, status: Literal["stopped", "failed"], reason: str) -> None:
        print(reason, file=sys.stderr, flush=True)
        self._write(End(status=status, reason=reason))

    def _write(self, record: Record) -> None:
        try:
            with EventWriter(self._run.metrics) as log:
                log.write(record)
        except OSError as error:
            print(f"{self._run.metrics} cannot be written: {error.strerror}.", file=sys.stderr, flush=True)


def names(ranks: Sequence[int]) -> str:
    """`node 1`, `nodes 1 and 2`."""
    *most, last = map(str, ranks)
    return f"nodes {', '.join(most)} and {last}" if most else f"node {last}"


def free_port() -> int:
    """A port of this machine that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
