"""The directory of a run that is written: where its files are, its metadata, and its id."""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tuitrain.events.requests import control_directory, write_request
from tuitrain.files import read_regular, writing

MOST_INFO_BYTES = 1 << 20
"""Of `run.json`: what is larger was not written by a launcher."""


SENT_VARIABLE = "TUITRAIN_SENT"
"""Of the environment of a launch: what was sent from another machine for it, as JSON."""

Pid = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Exit(msgspec.Struct, kw_only=True):
    """How the process of an attempt ended: its exit code, or the name of the signal that ended it.

    out_of_memory: whether the kernel killed processes for want of memory meanwhile; None where it does not say.
    last_lines: of its console.
    """

    time: float
    code: int | None = None
    signal: str | None = None
    out_of_memory: bool | None = None
    last_lines: list[str] = []


class Parent(msgspec.Struct, kw_only=True):
    """The run of whose checkpoint another one was made, and the step of that checkpoint."""

    run_id: str
    step: int


class Sent(msgspec.Struct, kw_only=True):
    """The working tree that `launch --host` sent for a run.

    source: HOST:DIRECTORY of where it was, commit: of git there, dirty: how many files differed from that commit or
    were not in it, digest: SHA-256 of the commit and of the names, modes and contents of those files (without git: of
    all files). method: `rsync`, `git` or `tar`, and `none` where the same tree was there already; files: in the tree;
    bytes: sent for it; destination: the directory it was sent to.
    """

    source: str
    commit: str | None = None
    dirty: int
    digest: str
    method: str
    files: int
    bytes: int
    destination: str


def sent_for_this() -> Sent | None:
    """What was sent from another machine for the run that this process launches."""
    try:
        return msgspec.json.decode(os.environ.get(SENT_VARIABLE, ""), type=Sent)
    except (msgspec.MsgspecError, UnicodeError):
        return None


class RungResult(msgspec.Struct, kw_only=True):
    """How a run of a sweep stood at a rung, in Unix seconds. loss: None for one that was not finite.

    rank: of its loss among those of the `of` runs that had reached the rung by then, the lowest being 1.
    """

    step: int
    time: float
    loss: float | None
    rank: int
    of: int
    goes_on: bool


class Halving(msgspec.Struct, kw_only=True):
    """The rungs of a run of a sweep, steps at which it goes on only if it is among the best 1/factor.

    metric: `val_loss`, or `loss`, the mean over the newest steps. results: of the rungs that it has reached.
    """

    factor: int
    metric: Literal["val_loss", "loss"]
    rungs: list[int]
    results: list[RungResult] = []


class Nodes(msgspec.Struct, kw_only=True, frozen=True):
    """The machines of a run that was started by hand on each of `count`, and the HOST:PORT where they meet.

    least: the run goes on with so many of them where others are lost.
    """

    count: int
    least: int
    rendezvous: str


class RunMetadata(msgspec.Struct, kw_only=True):
    """`run.json`: metadata of the launcher. pid_started (Unix seconds) distinguishes a reused pid from the engine's.

    started is when the newest attempt was launched, log_bytes where the last line of the log ended then: the lines
    before are of earlier attempts, and as long as none follows the newest one has not written a record yet.
    launcher: `local` (one process), `torchrun`, whose own pid this is, with `processes` workers below it, `nodes`: what
    starts torchrun on the first of several `nodes` and watches the others, `slurm`: the batch script of the job
    `job_id`, whose pid this is, or `loop`: a loop of one's own, which made the directory itself.
    supervisor: the process that started that one, waits for it and writes down its exit; retries: how often it
    may still start a crashed attempt again, skip_bad_batch: passing over the batch of a step at which two attempts
    crashed. parent: of a fork. queued: when it was put in the queue, while it waits there; gpus: those that it was
    given. group: of the runs of a sweep; halving: of one that stops its worse runs early. sent: from another machine,
    for this run.
    """

    name: str
    created: float
    started: float | None = None
    log_bytes: int | None = None
    pid: Pid | None = None
    pid_started: float | None = None
    supervisor: Pid | None = None
    supervisor_started: float | None = None
    exit: Exit | None = None
    parent: Parent | None = None
    group: str | None = None
    halving: Halving | None = None
    queued: float | None = None
    gpus: list[int] = []
    retries: int = 0
    skip_bad_batch: bool = False
    host: str | None = None
    command: list[str] = []
    launcher: str = "local"
    processes: int = 1
    nodes: Nodes | None = None
    job_id: str | None = None
    tags: list[str] = []
    notes: list[str] = []
    sent: Sent | None = None

    @property
    def processes_of_node(self) -> int:
        """Processes on each machine."""
        return self.processes // (self.nodes.count if self.nodes is not None else 1)


@dataclass(frozen=True)
class RunFiles:
    """Paths of a run's files."""

    path: Path

    @property
    def run_id(self) -> str:
        """Name of the directory."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.toml"

    @property
    def lock(self) -> Path:
        """What the process that writes the log holds locked as long as it lives."""
        return self.path / ".lock"

    @property
    def start_lock(self) -> Path:
        """What a launcher holds locked while it starts a process of the run."""
        return self.path / ".start.lock"

    @property
    def info(self) -> Path:
        """The run's metadata."""
        return self.path / "run.json"

    @property
    def info_lock(self) -> Path:
        """What is held locked while the run's metadata are changed."""
        return self.path / ".run.json.lock"

    @property
    def metrics(self) -> Path:
        """The log."""
        return self.path / "metrics.jsonl"

    @property
    def console(self) -> Path:
        """stdout and stderr of the engine."""
        return self.path / "console.log"

    def console_of(self, rank: int) -> Path:
        """stdout and stderr of one of the engine's processes; rank 0 writes `console`."""
        return self.path / f"console.{rank}.log" if rank else self.console

    def console_of_node(self, rank: int) -> Path:
        """Output of the launcher on one of several nodes; that of node 0 goes to `console`."""
        return self.path / f"console.node-{rank}.log" if rank else self.console

    def ranks_with_console(self) -> list[int]:
        """Processes other than rank 0 that have a console, in any attempt."""
        names = (path.name.split(".")[1] for path in self.path.glob("console.*.log"))
        return sorted(int(name) for name in names if name.isdigit())

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def control(self) -> Path:
        """Directory of the requests to the engine."""
        return control_directory(self.path)

    def read_metadata(self) -> RunMetadata | None:
        """The run's metadata, or None when they are absent or unreadable: a log alone is enough to watch."""
        try:
            return msgspec.json.decode(read_regular(self.info, MOST_INFO_BYTES), type=RunMetadata)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def write_metadata(self, info: RunMetadata) -> None:
        """Replace `run.json`, whatever it holds; to change it, see `editing.edited_metadata`."""
        self.write_values(msgspec.to_builtins(info))

    def write_values(self, facts: dict[str, Any]) -> None:
        """Replace `run.json` in one step, so that no reader meets half of it."""
        temporary = self.info.with_name(f".run.json.{os.getpid()}")
        try:
            with writing(self.info):
                temporary.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")
            temporary.replace(self.info)
        finally:
            temporary.unlink(missing_ok=True)

    def request(self, name: str, reason: str = "") -> None:
        """Write a request to the engine, one of `events.requests.REQUESTS`. Raises ValueError for another, OSError."""
        write_request(self.path, name, reason)


def new_run_id(name: str, now: float | None = None) -> str:
    """<name>-<yyyymmdd>-<hhmmss>-<4 hex>, local time, safe as a file name."""
    return _run_id(name, time.strftime("%Y%m%d-%H%M%S", time.localtime(now)), secrets.token_hex(2))


def planned_run_id(name: str) -> str:
    """The id of a run that is not made yet, with letters for what is known then."""
    return _run_id(name, "YYYYMMDD-HHMMSS", "XXXX")


def _run_id(name: str, stamp: str, chance: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"
    return f"{safe[:64]}-{stamp}-{chance}"


def create_run_files(runs_dir: Path, name: str) -> RunFiles:
    """Make the directory of a new run under runs_dir; the id is new even for runs of the same second.

    Raises OSError, and then leaves none.
    """
    while True:
        run = RunFiles(runs_dir / new_run_id(name))
        try:
            run.path.mkdir(parents=True)
        except FileExistsError:
            continue
        try:
            run.control.mkdir()
        except OSError:
            run.path.rmdir()
            raise
        return run
