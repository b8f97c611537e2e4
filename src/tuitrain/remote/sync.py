"""Keeping a mirror current: one thread and one `ssh` for each place on another machine."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tuitrain.remote import agent
from tuitrain.remote.address import Address
from tuitrain.remote.connection import Connection, ProcessStates, RemoteError, RemoteFile, connected
from tuitrain.remote.mirror import Mirror
from tuitrain.remote.mirrored_file import FIRST_BYTES, MirroredFile, Want, drain, fresh_ranges

POLL_S = 0.5
LIST_S = 10.0
PROCESSES_S = 3.0
JOBS_S = 30.0
"""How often Slurm is asked for jobs: that is a burden for the controller of a large cluster."""
_STALE_S = 15.0
"""After which what was said of a process is not believed any more."""
LEAST_BYTES, MOST_BYTES = 32 << 10, 8 << 20
"""Of a file in one round; the rounds of a slow link are made short, so that what is newest is not kept waiting."""
ROUND_S = 0.7
_AT_ONCE = 50
"""Requests that are sent before their answers are read."""
_BACK_OFF_S = (0.3, 1.0, 2.0, 5.0, 10.0, 30.0)
_TRIES = 5
"""Connections that are made for something that is waited for."""
_SAVE_S = 3.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class Link:
    """The connection to another machine. lag_s: how old what is shown is at most; None before all was read once.

    problem: why there is no connection; empty while there is one. share: of what is wanted, how much is here.
    """

    host: str
    connected: bool
    lag_s: float | None
    problem: str = ""
    share: float = 1.0


Wants = dict[str, Want]


@dataclass(frozen=True)
class Processes:
    """Two processes of a run, 0 for none, and the name of the file that the one which writes the log holds locked.

    job: its id in the queue of Slurm, empty for none, and info: the name of a file of whoever owns that.
    """

    pid: int
    supervisor: int
    lock: str
    job: str = ""
    info: str = ""


class MirrorSync:
    """A mirror with its connection. One thread at a time exchanges requests and answers; readers read the mirror.

    ask: whether `ssh` may ask questions on the terminal until it is kept current in the background.
    """

    def __init__(self, address: Address, *, ask: bool = False) -> None:
        self.address, self.name = address, ""
        """name: of the file in the folder where the address is that of a file."""
        self.mirror: Mirror | None = None
        self.files: dict[str, RemoteFile] = {}
        """What lies below the folder."""
        self.wants: Wants = {}
        """What is kept current in the background."""
        self.on_list: Callable[[MirrorSync], None] | None = None
        """Called every LIST_S seconds in the background, with a new list of files."""
        self.processes: Callable[[], Sequence[Processes]] | None = None
        """Which processes are asked about in the background."""
        self.poll_s = POLL_S
        self._ask = ask
        self._connection: Connection | None = None
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._chunk = FIRST_BYTES
        self._current_at: float | None = None
        self._listed_at = 0.0
        self._states: dict[Processes, tuple[float, ProcessStates]] = {}
        self._processes_at = 0.0
        self._jobs: dict[Processes, tuple[float, str | None]] = {}
        """What Slurm said, and when, in Unix seconds."""
        self._saved_at = 0.0
        self._problem = ""
        self._connected = False
        self._share = 1.0
        self._likely: Wants = {}
        self._fallback: Address | None = None

    @property
    def folder(self) -> Path:
        """The folder of the mirror."""
        assert self.mirror is not None
        return self.mirror.folder

    @property
    def is_running(self) -> bool:
        """Whether it is kept current in the background."""
        return self._thread is not None

    def link(self) -> Link:
        """The state of the connection now."""
        lag = None if self._current_at is None else time.monotonic() - self._current_at
        return Link(self.address.host, self._connected, lag, self._problem, self._share)

    def open(self, likely: Wants | None = None, fallback: Address | None = None) -> None:
        """Connect and list what is there. Raises RemoteError, and FileNotFoundError where nothing is there.

        likely: what is asked for at once, before it is known what is there. fallback: what is opened instead where
        nothing is at the address.
        """
        self._likely, self._fallback = likely or {}, fallback
        self._patiently(lambda: None)

    def catch_up(self, wants: Wants) -> None:
        """Read all that is wanted as it is now. Raises RemoteError once it cannot be gone on with."""

        def read() -> None:
            while self._round(wants):
                pass

        self._patiently(read)
        self._save(at_once=True)

    def first_part(self, wants: Wants) -> None:
        """Read what can be shown first of everything that is wanted. Raises RemoteError."""

        def read() -> None:
            assert self.mirror is not None
            missing = {name: want for name, want in wants.items() if not self.mirror.file(name).has_first_part(want)}
            if missing:
                self._round(missing)

        self._patiently(read)

    def request(self, name: str, text: str = "") -> bool:
        """Make a file with this text there, in one line; returns whether it could be made. Raises RemoteError."""

        def make() -> bool:
            connection = self._connect()
            connection.send(agent.make(name, text))
            return connection.made()

        if self._thread is not None and not self._connected:
            raise RemoteError(self.address.host, self._problem or "there is no connection")
        return self._patiently(make)

    def ask_processes(self, processes: Sequence[Processes]) -> None:
        """Ask whether processes are there. Raises RemoteError."""
        self._patiently(lambda: self._ask_processes(processes))

    def state_of(self, processes: Processes) -> ProcessStates | None:
        """What was said of processes last; None where that is long ago or they were not asked about."""
        at, states = self._states.get(processes, (0.0, None))
        return states if time.monotonic() - at < _STALE_S else None

    def job_of(self, processes: Processes) -> tuple[float, str] | None:
        """When Slurm was asked last about the job of a run, in Unix seconds, and its line of `squeue`, which is empty
        for a job that is no longer there; None where that is unknown.
        """
        at, line = self._jobs.get(processes, (0.0, None))
        return (at, line) if line is not None and time.time() - at < JOBS_S + _STALE_S else None

    def start(self) -> None:
        """Keep the mirror current in the background from now on, also over lost connections."""
        if self._thread is None:
            self._ask = False
            self._thread = threading.Thread(target=self._run, name=f"tuitrain-{self.address.host}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the connection and the thread."""
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            connection.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        with self._lock:
            if self.mirror is not None:
                self.mirror.close()
                self.mirror = None

    def _patiently(self, do: Callable[[], _T]) -> _T:
        """Do something over a connection; where that is lost go on over a new one."""
        for pause in _BACK_OFF_S[:_TRIES]:
            try:
                with self._lock:
                    self._connect()
                    return do()
            except RemoteError as error:
                self._disconnected(error)
                if self.mirror is None or self._stopped.is_set():
                    raise
                last = error
            self._stopped.wait(pause)
        raise last

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                with self._lock:
                    self._connect()
                    if self.on_list is not None and began - self._listed_at >= LIST_S:
                        self._list(self._connect())
                        self.on_list(self)
                    more = self._round(self.wants)
                    if self.processes is not None and began - self._processes_at >= PROCESSES_S:
                        self._ask_processes(self.processes())
                self._save()
                failures = 0
            except RemoteError as error:
                if self._stopped.is_set():
                    return
                self._disconnected(error)
                self._stopped.wait(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
                failures += 1
                continue
            except OSError as error:
                # Such as a full disk here.
                self._problem = f"{error.strerror or error}"
                more = False
            if not more:
                self._stopped.wait(max(0.0, began + self.poll_s - time.monotonic()))

    def _connect(self) -> Connection:
        """The connection; a new one begins with the list of files, and with what is wanted first."""
        if self._connection is not None:
            return self._connection
        connection = self._connection = connected(self.address.host, ask=self._ask)
        connection.send(agent.change(self.address.path))
        if self.mirror is None:
            self._begin(connection)
        elif connection.change() == "-":
            raise RemoteError(self.address.host, f"{self.address.path} is gone")
        self._connected, self._problem = True, ""
        return connection

    def _begin(self, connection: Connection) -> None:
        """Ask for everything at once that does not need the answer to something else: each answer takes its time."""
        likely = [(name, want, each) for name, want in self._likely.items() for each in fresh_ranges(name, want)]
        connection.send(agent.listing() + b"".join(agent.get(name, *each) for name, _, each in likely))
        kind, given = connection.change(), self.address
        self.files, self._listed_at = connection.listing(), time.monotonic()
        if kind == "-" and self._fallback is not None:
            for _ in likely:
                drain(connection.answer().data)
            likely, self._likely, self.address, self._fallback = [], {}, self._fallback, None
            connection.send(agent.change(self.address.path) + agent.listing())
            kind = connection.change().replace("f", "-")
            self.files = connection.listing()
        if kind == "-":
            self._connection = None
            connection.close()
            raise FileNotFoundError(2, "no such file or directory, or one without permission", str(given))
        path = self.address.path.rstrip("/")
        folder, _, self.name = path.rpartition("/") if kind == "f" else (path, "", "")
        address = Address(self.address.host, folder or ("/" if path.startswith("/") else ""))
        self.mirror = Mirror(address, folder.rpartition("/")[2] or self.address.host.rpartition("@")[2])
        new = {name for name in self._likely if name in self.files and not self.mirror.file(name).state.inode}
        for name, want, _ in likely:
            answer = connection.answer()
            if name in new:
                self.mirror.file(name).receive(answer, want)
            else:
                drain(answer.data)

    def _list(self, connection: Connection) -> None:
        connection.send(agent.listing())
        self.files = connection.listing()
        self._listed_at = time.monotonic()

    def _ask_processes(self, processes: Sequence[Processes]) -> None:
        connection, self._processes_at = self._connect(), time.monotonic()
        for start in range(0, len(processes), _AT_ONCE):
            some = processes[start : start + _AT_ONCE]
            connection.send(b"".join(agent.processes(each.pid, each.supervisor, each.lock) for each in some))
            for each in some:
                self._states[each] = time.monotonic(), connection.processes()
        now = time.time()
        due = [each for each in processes if each.job and now - self._jobs.get(each, (0.0, None))[0] >= JOBS_S]
        for start in range(0, len(due), _AT_ONCE):
            some = due[start : start + _AT_ONCE]
            connection.send(b"".join(agent.job(each.job, each.info, fresh=each is due[0]) for each in some))
            for each in some:
                self._jobs[each] = now, connection.job()

    def _disconnected(self, error: RemoteError) -> None:
        connection, self._connection, self._connected = self._connection, None, False
        self._problem = error.strerror or str(error)
        if connection is not None:
            connection.close()
        self._save(at_once=True)

    def _save(self, at_once: bool = False) -> None:
        if self.mirror is not None and (at_once or time.monotonic() - self._saved_at > _SAVE_S):
            self._saved_at = time.monotonic()
            # Without it more has to be read the next time.
            with suppress(OSError):
                self.mirror.save()

    def _round(self, wants: Wants) -> bool:
        """Ask once for what is new of each file; returns whether more of what is wanted is there."""
        connection = self._connect()
        assert self.mirror is not None
        began = time.monotonic()
        pending: list[tuple[MirroredFile, Want, bytes]] = []
        for name, want in wants.items():
            file = self.mirror.file(name)
            pending += [(file, want, agent.get(name, *each)) for each in file.next_ranges(want, self._chunk)]
        received = 0
        for start in range(0, len(pending), _AT_ONCE):
            some = pending[start : start + _AT_ONCE]
            connection.send(b"".join(request for _, _, request in some))
            for file, want, _ in some:
                answer = connection.answer()
                received += answer.count
                file.receive(answer, want)
        self.mirror.stamp_folders()
        files = [(self.mirror.file(name), want) for name, want in wants.items()]
        if all(file.is_here >= file.state.size for file, want in files if want.most is None):
            self._current_at = began
        size = sum(file.state.size for file, want in files if want.fill)
        missing = sum(file.missing for file, want in files if want.fill)
        self._share = 1.0 - missing / size if size else 1.0
        if received >= self._chunk:
            rate = self._chunk * ROUND_S / max(time.monotonic() - began, 1e-3)
            self._chunk = int(min(max(rate, LEAST_BYTES), 4 * self._chunk, MOST_BYTES))
        return any(file.lacks(want) for file, want in files)


_OPEN: list[MirrorSync] = []


def opened(address: Address, *, ask: bool = False) -> MirrorSync:
    """A mirror that is closed when this process ends, and found by its folder."""
    sync = MirrorSync(address, ask=ask)
    if not _OPEN:
        atexit.register(_close_all)
    _OPEN.append(sync)
    return sync


def link_of(path: Path) -> Link | None:
    """The connection over which a path is kept current; None for a path that is no copy."""
    sync = sync_of(path)
    return sync.link() if sync is not None else None


def sync_of(path: Path) -> MirrorSync | None:
    """The mirror that a path lies in; None for one that is no copy."""
    return next((each for each in _OPEN if each.mirror is not None and path.is_relative_to(each.folder)), None)


def close(syncs: Iterable[MirrorSync]) -> None:
    """Close mirrors, and forget them."""
    for sync in list(syncs):
        sync.close()
        if sync in _OPEN:
            _OPEN.remove(sync)


def _close_all() -> None:
    close(_OPEN)
