"""A node of a rank above 0: it does what the first one orders, and notices where that one is lost."""

from __future__ import annotations

import os
import queue
import socket
import sys
import time
from contextlib import suppress

from tuitrain import __version__
from tuitrain.config import load_config
from tuitrain.config.errors import ConfigError
from tuitrain.events import End, EventWriter
from tuitrain.events.lock import lock_held, no_locks_sentence
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.nodes.connection import SILENCE_S, Address, Connection, Lost, connect
from tuitrain.launch.nodes.first import FAILURE, JOIN_S, POLL_S, SAVE_S
from tuitrain.launch.nodes.messages import Abort, AnyMessage, Ended, Hello, Over, Round
from tuitrain.launch.nodes.signals import Signals
from tuitrain.launch.nodes.torchrun import Torchrun
from tuitrain.runs import RunDirectory, read_snapshot

AGAIN_S = 180.0
"""How long to wait for the first node to start a crashed run again."""
ALONE_S = 120.0
"""How long the processes of this node may take to save and end where only the first node's launcher is lost."""
QUIET_HEARTBEATS = 3
"""A log without a record for so many heartbeats, and for SILENCE_S, has no writer: a silent first node is gone."""


class OtherNode:
    """Takes part in the attempts at a run."""

    def __init__(self, run: RunDirectory, rank: int, address: Address, gpus: int, signals: Signals) -> None:
        self._run, self._rank, self._address, self._gpus, self._signals = run, rank, address, gpus, signals
        self._torchrun: Torchrun | None = None

    def attend(self) -> int:
        """Take part until the run has ended; returns its exit code. Raises LaunchError where the first node refuses."""
        over = self._attempt(JOIN_S)
        while over.again:
            over = self._attempt(AGAIN_S)
        return over.code

    def _attempt(self, patience_s: float) -> Over:
        hello = Hello(version=__version__, rank=self._rank, host=socket.gethostname(), gpus=self._gpus)
        connected, facts = connect(self._address, hello, patience_s, self._give_up_if_stopped)
        if facts.run_id != self._run.run_id:
            connected.close()
            raise LaunchError(f"At {self._address} is {facts.run_id}, not {self._run.run_id}.", exit_code=1)
        events: queue.Queue[AnyMessage | Lost] = queue.Queue()
        first = Connection(connected, events.put)
        first.start()
        print(f"{'start':<8}  node {self._rank} of {facts.run_id}, with node 0 ({facts.host})", flush=True)
        try:
            return self._follow(first, events, facts.host)
        finally:
            first.close()
            if self._torchrun is not None:
                self._torchrun.kill()
            self._torchrun = self._signals.torchrun = None

    def _follow(self, first: Connection, events: queue.Queue[AnyMessage | Lost], host: str) -> Over:
        while True:
            event = None
            with suppress(queue.Empty):
                event = events.get(timeout=POLL_S)
            match event:
                case Round() if self._rank in event.ranks and self._torchrun is None:
                    self._torchrun = self._signals.torchrun = Torchrun(
                        self._run, self._rank, self._gpus, self._address, event, first.interface
                    )
                case Abort() if self._torchrun is not None and self._torchrun.id == event.id:
                    self._torchrun.end_within(SAVE_S)
                case Over():
                    self._finish(ALONE_S)
                    return event
                case Lost():
                    return Over(code=self._stay_behind(host, event))
            if self._torchrun is not None and (code := self._torchrun.poll()) is not None:
                first.send(Ended(id=self._torchrun.id, code=code))
                self._torchrun = self._signals.torchrun = None
            if self._torchrun is None and self._signals.stop is not None:
                return Over(code=self._signals.stop_code)

    def _finish(self, seconds: float) -> None:
        """Wait for the end of torchrun here; kill it after so many seconds."""
        if self._torchrun is not None:
            self._torchrun.end_within(seconds)
            while self._torchrun.poll() is None:
                time.sleep(POLL_S)

    def _stay_behind(self, host: str, lost: Lost) -> int:
        """End this node, and the run where nobody else does: its writer may have died with the first node."""
        sentence = lost.sentence(0, host)
        print(sentence, file=sys.stderr, flush=True)
        # No checkpoint is completed without a node that is silent.
        self._finish(0.0 if lost.silent else ALONE_S)
        size, since, quiet_s = self._log_bytes(), time.monotonic(), self._quiet_s()
        sure = not lost.silent and no_locks_sentence(self._run.lock) is None
        while lock_held(self._run.lock) or (not sure and time.monotonic() - since < quiet_s):
            if self._log_bytes() != size or time.monotonic() - since > SAVE_S:
                return FAILURE
            time.sleep(POLL_S)
        if read_snapshot(self._run).end is None:
            try:
                with EventWriter(self._run.metrics) as log:
                    log.write(End(status="failed", reason=sentence))
            except OSError as error:
                print(f"{self._run.metrics} cannot be written: {error.strerror}.", file=sys.stderr, flush=True)
        return FAILURE

    def _quiet_s(self) -> float:
        """How long the log has to be quiet."""
        with suppress(ConfigError):
            return max(SILENCE_S, QUIET_HEARTBEATS * load_config(str(self._run.config)).telemetry.system_interval_s)
        return SILENCE_S

    def _log_bytes(self) -> int:
        """The size of the log; NFS tells what it is now where the file is opened."""
        try:
            with self._run.metrics.open("rb") as log:
                return log.seek(0, os.SEEK_END)
        except OSError:
            return 0

    def _give_up_if_stopped(self) -> None:
        if self._signals.stop is not None:
            raise LaunchError("It was stopped before the first node answered.", exit_code=self._signals.stop_code)
