"""Reports why a process failed to the main process, which writes the log, by a file in the run directory.

A process that fails leaves the others waiting in a collective, some backends for minutes, and torchrun kills them
before they could report the reason. A thread of the main process polls for such a file. A thread of every process
checks that torchrun still runs: without it nothing would end a process that hangs.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tuitrain.events.peers import NODE_VARIABLE, failure_files, mark_failure

POLL_INTERVAL_S = 0.5
GRACE_S = 5.0
"""How long the main process may take to end by itself before `abandon` ends it."""
REASON_S, LOST_S = 2.0, 20.0
"""How long to wait for the reason of a lost connection: of another process, and where nodes watch each other."""
ORPHAN_GRACE_S = 120.0
"""How long a training process may take to reach a step boundary and save, once torchrun has died."""


class Peers:
    """Watches the other processes of an attempt for failures. Create it before any slow work."""

    def __init__(self, run_dir: Path, rank: int, size: int) -> None:
        self._attempt = os.environ.get("TORCHELASTIC_RUN_ID", "none")
        self._directory, self._rank, self._size = run_dir, rank, size
        self._parent = os.getppid()
        self._closing = threading.Event()
        self.abandon: Callable[[str], None] = _exit
        """Ends this process from the thread, given the reason."""
        self.training = False
        """Whether a checkpoint can be saved."""
        self.node_lost = False
        """Whether that failure is the loss of a node, whose processes take part in nothing any more."""
        self.orphaned = False
        """Whether torchrun has died."""

    def report(self, sentence: str) -> None:
        """Write why this process fails, for the main one, which writes its own end."""
        if self._rank > 0:
            mark_failure(self._directory, self._attempt, f"rank-{self._rank}", f"Process {self._rank}: {sentence}")

    @property
    def patience_s(self) -> float:
        """How long to wait for the reason where a connection to another process is lost."""
        return LOST_S if self.is_main and NODE_VARIABLE in os.environ else REASON_S

    def failure(self, timeout_s: float = 0.0) -> str | None:
        """Why another process failed, or which node was lost; waits a little for its file."""
        if self._size == 1:
            return None
        deadline = time.monotonic() + timeout_s
        while True:
            for path in failure_files(self._directory, self._attempt):
                sentence = path.read_text(encoding="utf-8")
                self.node_lost = path.name.rpartition("-")[0].endswith("-node")
                if self.is_main:
                    path.unlink(missing_ok=True)
                return sentence
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_INTERVAL_S / 5)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the log."""
        return self._rank == 0

    def watch(self) -> None:
        """Watch from a thread: `abandon` when another process has failed or torchrun has died, and this one hangs."""
        if self._size > 1:
            threading.Thread(target=self._watch, name="peers", daemon=True).start()

    def close(self) -> None:
        """Stop watching: this process ends by itself."""
        self._closing.set()
        if self._rank == 0:
            # Files that cannot be deleted do no harm.
            with suppress(OSError):
                for path in self._directory.glob(".failed-*"):
                    path.unlink(missing_ok=True)

    def _watch(self) -> None:
        while not self._closing.wait(POLL_INTERVAL_S):
            if os.getppid() != self._parent:
                self.orphaned = True
                os.kill(os.getpid(), signal.SIGTERM)
                if not self._closing.wait(ORPHAN_GRACE_S if self.training else GRACE_S):
                    self.abandon("torchrun, which started this run, has died, and the run hung.")
                return
            if self._rank == 0 and failure_files(self._directory, self._attempt) and not self._closing.wait(GRACE_S):
                sentence = self.failure()
                if sentence is not None:
                    self.abandon(sentence)
                return


def _exit(why: str) -> None:
    """Before the log exists: print the reason and exit."""
    os.write(2, f"{why}\n".encode())
    os._exit(1)
