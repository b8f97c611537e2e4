"""Requests to a running engine: files left in the run directory, and signals."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from tuitrain.events.requests import REQUESTED, REQUESTS, control_directory, delete_requests, is_requested, reason_of
from tuitrain.files import FollowedDirectory, GoneError

SIGNALS = {
    "SIGINT": "stop", "SIGTERM": "stop", "SIGHUP": "stop", "SIGQUIT": "stop", "SIGUSR2": "stop", "SIGUSR1": "checkpoint"
}  # fmt: skip
"""The request of each signal. Schedulers send SIGUSR1 or SIGUSR2 before the time is over, a terminal SIGHUP."""
ORIGINS = (REQUESTED, *SIGNALS)
POLL_INTERVAL_S = 0.2
ANSWER_S = 1.0
"""How long the run directory may take to answer; then training goes on, and the answer counts when it comes."""
_BASE = 1 + len(ORIGINS)


class StopRequested(BaseException):
    """Ends the run at once: raised only where there is nothing to save, or at the second Ctrl-C."""


def to_number(requests: dict[str, str]) -> int:
    """Requests with their origins as one small number, which processes can exchange with a step's other numbers."""
    return sum((1 + ORIGINS.index(at)) * _BASE ** REQUESTS.index(name) for name, at in requests.items())


def from_number(number: int) -> dict[str, str]:
    """The requests that `to_number` wrote."""
    digits = {name: number // _BASE**index % _BASE for index, name in enumerate(REQUESTS)}
    return {name: ORIGINS[digit - 1] for name, digit in digits.items() if digit}


def listen_to(name: str, handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle a signal, but leave SIGHUP and SIGQUIT ignored where they were, as under `nohup`. Main thread only."""
    number = signal.Signals[name]
    if name in ("SIGHUP", "SIGQUIT") and signal.getsignal(number) is signal.SIG_IGN:
        return
    signal.signal(number, handler)


class Control:
    """Collects requests until the next step boundary.

    `control/stop`, `checkpoint` and so on (REQUESTS) are files, that of a stop perhaps with a reason; each is deleted
    once it is read, also one from before the engine started. The main process lists the directory, five times a second
    at most. A missing directory means no requests; it is made again.
    """

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.monotonic, *, reads_files: bool = True) -> None:
        self._run_dir = FollowedDirectory(run_dir)
        self.directory.mkdir(exist_ok=True)
        self._files = _PatientReader(self._read_files) if reads_files else None
        self.interrupted = False
        """Whether Ctrl-C requested the stop."""
        self.stop_reason = ""
        """Why a file requested the stop, where it says so."""
        self._clock = clock
        self._next_poll = clock()
        self._signalled: dict[str, str] = {}
        self._at_boundary_only = False

    @property
    def directory(self) -> Path:
        """The directory of the request files. Raises GoneError when the run directory was removed."""
        return control_directory(self._run_dir.path)

    def listen(self) -> None:
        """Handle the SIGNALS. Main thread only."""
        for name in SIGNALS:
            listen_to(name, self._on_signal)

    def wait_for_boundaries(self) -> None:
        """Defer signals to the next step boundary; only a second Ctrl-C still interrupts."""
        self._at_boundary_only = True

    def poll(self) -> dict[str, str]:
        """Requests since the last poll, each with its origin (REQUESTED, `SIGTERM`).

        Raises GoneError when the run directory was removed.
        """
        requests, self._signalled = self._signalled, {}
        now = self._clock()
        if self._files is not None and now >= self._next_poll:
            self._next_poll = now + POLL_INTERVAL_S
            for name in self._files.read():
                requests.setdefault(name, REQUESTED)
        return requests

    def stop_origin(self) -> str | None:
        """The origin of a pending stop request, or None; the request stays for `poll`. Thread-safe."""
        if "stop" in self._signalled:
            return self._signalled["stop"]
        try:
            return REQUESTED if self._files is not None and is_requested(self._run_dir.path, "stop") else None
        except GoneError:
            # `poll` reports it.
            return None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if SIGNALS[name] != "stop":
            self._signalled[SIGNALS[name]] = name
            return
        second = name == "SIGINT" and self.interrupted
        self.interrupted = self.interrupted or name == "SIGINT"
        self._signalled["stop"] = name
        if second or not self._at_boundary_only:
            raise StopRequested(name)

    def _read_files(self) -> list[str]:
        run_dir = self._run_dir.path
        try:
            self.stop_reason = reason_of(run_dir, "stop") or self.stop_reason
            return delete_requests(run_dir)
        except OSError:
            with suppress(OSError):
                control_directory(run_dir).mkdir()
            return []


class _PatientReader:
    """Reads in a thread: for a network file system that does not answer, training waits ANSWER_S once."""

    def __init__(self, read: Callable[[], list[str]]) -> None:
        self._read = read
        self._due, self._answers = SimpleQueue[None](), SimpleQueue[list[str] | OSError]()
        self._asked = False
        self._thread: threading.Thread | None = None

    def read(self) -> list[str]:
        """What was read; nothing while there is no answer. Raises OSError."""
        timeout_s = 0.0
        if not self._asked:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="control", daemon=True)
                self._thread.start()
            self._asked, timeout_s = True, ANSWER_S
            self._due.put(None)
        try:
            answer = self._answers.get(timeout=timeout_s)
        except Empty:
            return []
        self._asked = False
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _run(self) -> None:
        while True:
            self._due.get()
            try:
                self._answers.put(self._read())
            except OSError as error:
                self._answers.put(error)
