"""Starting a process of a run on this machine: its own session, its output in console.log, its metadata in run.json.

Every process is started detached. In the foreground the launcher follows the console and forwards signals, so that a
run looks the same on disk however it was started.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from tuitrain.config import RunConfig
from tuitrain.events.layout import Nodes, RunMetadata, Sent, sent_for_this
from tuitrain.events.lock import LockedError, exclusive
from tuitrain.files import writing
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.machine import usable_cores
from tuitrain.runs import RunDirectory, create_run_directory
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.log_ends import end_of_lines

if TYPE_CHECKING:
    from tuitrain.runs.foreign import Given

SPIN_COUNT = 2_000
"""How often libgomp's threads look for work before they sleep (GOMP_SPINCOUNT): `bench/threads.py` compares values."""
NODE_AGENT = "tuitrain.launch.nodes.agent"
POLL_S = 0.1
START_TIMEOUT_S = 1.0
"""Time to wait for the start lock: a process that only tests it holds it for a moment."""


@dataclass(frozen=True)
class Label:
    """Name, tags and notes that a user gave a run."""

    name: str
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    group: str | None = None
    """The name of the sweep that it belongs to."""
    sent: Sent | None = field(default_factory=sent_for_this)
    """From another machine, for it."""


@dataclass(frozen=True)
class Retries:
    """How often a crashed attempt is started again, and whether a batch at which two of them crashed is passed over."""

    count: int = 0
    skip_bad_batch: bool = False


def train_command(run: RunDirectory, *, processes: int = 1, nodes: Nodes | None = None) -> list[str]:
    """The engine's command line for a run directory; torchrun starts and monitors several processes.

    nodes: of which this is the first; processes are those of all of them.
    """
    command = [sys.executable]
    if nodes is not None:
        size = f"--nodes={nodes.count}", f"--min-nodes={nodes.least}", f"--gpus={processes // nodes.count}"
        return [*command, "-m", NODE_AGENT, f"--rendezvous={nodes.rendezvous}", *size, str(run.path)]
    if processes > 1:
        command += ["-m", "tuitrain_engine.torchrun", "--standalone", "--nproc-per-node", str(processes)]
    return [*command, "-m", "tuitrain_engine", "train", "--run-dir", str(run.path)]


def wrapped_command(
    run: RunDirectory, command: Sequence[str], log: Path | None = None, grace_s: float | None = None
) -> list[str]:
    """The command line that runs an external training program as a run.

    log: a file or folder with what the program logs itself; None: its console is read. grace_s: seconds from SIGTERM
    to SIGKILL.
    """
    options = [] if log is None else ["--log", str(log.absolute())]
    options += [] if grace_s is None else ["--grace", str(grace_s)]
    return [sys.executable, "-m", "tuitrain.launch.external", *options, str(run.path), *command]


@contextmanager
def removed_on_error(*runs: RunDirectory) -> Iterator[list[RunDirectory]]:
    """These runs, and those that the block adds to the list, are removed where it fails."""
    made = list(runs)
    try:
        yield made
    except BaseException:
        for run in made:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def new_run(runs_dir: Path, config: RunConfig) -> RunDirectory:
    """Make a run directory with the resolved configuration in it. Raises OSError, and then leaves none."""
    run = create_run_directory(runs_dir.absolute(), config.name)
    with removed_on_error(run), writing(run.config):
        run.config.write_text(config.to_toml(), encoding="utf-8")
    return run


def new_command_run(runs_dir: Path, name: str, given: Given | None) -> RunDirectory:
    """Make a run directory for an external program. given: what the user says about its log. Raises OSError."""
    run = create_run_directory(runs_dir.absolute(), name)
    if given:
        # The readers of all formats are imported only for what is said about a log of another tool.
        from tuitrain.runs.foreign import keep

        with removed_on_error(run):
            keep(run, given)
    return run


def write_queued(run: RunDirectory, label: Label, processes: int, **facts: Any) -> None:
    """Write the metadata of a new run that waits for its start."""
    now = time.time()
    run.write_metadata(RunMetadata(**vars(label), created=now, queued=now, processes=processes, **facts))


@dataclass(frozen=True)
class Started:
    """A started run, its process, and a note where it has fewer processes than there are GPUs."""

    run: RunDirectory
    process: subprocess.Popen[bytes]
    note: str | None


def start_run(
    config: RunConfig,
    runs_dir: Path,
    label: Label,
    *,
    gpus: int | None = None,
    force: bool = False,
    retries: Retries = Retries(),
    nodes: Nodes | None = None,
) -> Started:
    """Run the preflight checks, make the run's directory and start the engine in a session of its own.

    gpus: processes, of this machine where it is the first of several nodes. Raises LaunchError or ConfigError when a
    check fails, OSError when no process or directory can be made. No run directory is left then.
    """
    processes = preflight.check(config, gpus=gpus, force=force, nodes=nodes)
    run = new_run(runs_dir, config)
    with removed_on_error(run), starting(run):
        command = train_command(run, processes=processes.count, nodes=nodes)
        process = start_engine(run, command, label, config, processes=processes.count, nodes=nodes, retries=retries)
    return Started(run, process, processes.note)


@contextmanager
def starting(run: RunDirectory) -> Iterator[None]:
    """The start lock, held while a process of the run is being started: `stop` waits for it.

    Raises LaunchError when another process holds it.
    """
    try:
        with exclusive(run.start_lock, START_TIMEOUT_S):
            yield
    except LockedError:
        raise LaunchError(f"{run.run_id} is being started by another process.", exit_code=1) from None


def start_engine(
    run: RunDirectory,
    command: Sequence[str],
    label: Label | None,
    config: RunConfig,
    *,
    processes: int,
    nodes: Nodes | None = None,
    retries: Retries = Retries(),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.Popen[bytes]:
    """Start the engine as `start` does, supervised, and the process that draws its figure where it is to have one."""
    process = start(
        run, command, label, processes=processes, nodes=nodes, supervised=True, retries=retries, variables=variables
    )
    start_drawing(run, config)
    return process


def start(
    run: RunDirectory,
    command: Sequence[str],
    label: Label | None,
    *,
    processes: int = 1,
    nodes: Nodes | None = None,
    supervised: bool = False,
    retries: Retries = Retries(),
    variables: Mapping[str, str] = MappingProxyType({}),
    directory: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one and its terminal, and write its metadata to run.json.

    label: None keeps name, tags and notes of the run. processes: the number of workers that the command starts, on all
    nodes; each gets its share of the cores. supervised: whether `launch.supervise` starts it, waits for it and writes
    down its exit; that process is returned then, and passes signals on. variables: further ones of its environment,
    such as which GPUs it has. directory: where it runs, by default in that of this process. Raises OSError when the
    process cannot be started, LaunchError when run.json cannot be written; no process is left then.
    """
    process = None
    try:
        # Locked during the start, so that tags set meanwhile are not lost.
        with edited_metadata(run) as facts:
            attempt, here = attempt_facts(run, command, processes, nodes), processes // (nodes.count if nodes else 1)
            if supervised:
                process, pid = _spawn_supervised(run, command, here, variables)
            else:
                process = spawn(run, command, here, (), variables, directory)
                pid = process.pid
            facts |= {} if label is None else asdict(label)
            facts |= attempt | {
                "pid": pid,
                "pid_started": process_started(pid),
                "supervisor": process.pid if supervised else None,
                "supervisor_started": process_started(process.pid) if supervised else None,
                "gpus": [int(each) for each in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if each],
                "retries": retries.count,
                "skip_bad_batch": retries.skip_bad_batch,
            }
    except EditError as error:
        if process is not None:
            # Without run.json no command could find the process.
            for each in {pid, process.pid}:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            process.wait()
        raise LaunchError(str(error), exit_code=1) from None
    return process


def attempt_facts(
    run: RunDirectory, command: Sequence[str], processes: int, nodes: Nodes | None = None
) -> dict[str, Any]:
    """What run.json says of an attempt, but for its process, at the moment before that is started."""
    return {
        "started": time.time(),
        "log_bytes": end_of_lines(run.metrics),
        "host": socket.gethostname(),
        "command": list(command),
        "launcher": "nodes" if nodes is not None else "torchrun" if processes > 1 else "local",
        "processes": processes,
        "nodes": None if nodes is None else msgspec.to_builtins(nodes),
        "job_id": None,
        "exit": None,
        "queued": None,
    }


def start_drawing(run: RunDirectory, config: RunConfig) -> None:
    """Start the process that draws figures/latest.png of a run again and again, if any; it leaves this one at once."""
    every = config.export.plots_every
    if not every:
        return
    command = [sys.executable, "-m", "tuitrain.export.latest", str(run.path), "--every", str(every)]
    with run.console.open("ab") as console:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, check=False)


def _spawn_supervised(
    run: RunDirectory, command: Sequence[str], processes: int, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a supervisor that starts the command; returns it and the pid of the command. Raises OSError."""
    reading, writing_to = os.pipe()
    with os.fdopen(reading) as pipe:
        try:
            options = ["--pid-to", str(writing_to), str(run.path)]
            words = [sys.executable, "-m", "tuitrain.launch.supervise", *options, *command]
            process = spawn(run, words, processes, (writing_to,), variables)
        finally:
            os.close(writing_to)
        pid = pipe.read()
    if not pid:
        process.wait()
        raise OSError(errno.ECHILD, "the process could not be started; its console says why", str(run.console))
    return process, int(pid)


def spawn(
    run: RunDirectory,
    command: Sequence[str],
    processes: int,
    inherited: Sequence[int] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
    directory: str | None = None,
    console_path: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own that prints to the console of the run, or to another file.

    processes: among which the cores of this machine are shared. Raises OSError.
    """
    with (console_path or run.console).open("ab") as console:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env=process_environment(run, processes) | dict(variables),
            start_new_session=True,
            pass_fds=inherited,
            cwd=directory,
        )


def process_environment(run: RunDirectory, processes: int = 1) -> dict[str, str]:
    """The environment of a run's process: this one's, the run's directory and id, and unbuffered output.

    Several processes share the cores; torchrun would give each of them one thread. On a GPU torch allocates segments
    that can grow, so that steps of other shapes (evaluation, text) fragment the memory less. Variables that the user
    has set are kept.
    """
    own = {"TUITRAIN_RUN_DIR": str(run.path), "TUITRAIN_RUN_ID": run.run_id}
    shared = {"PYTHONUNBUFFERED": "1"}
    if processes > 1:
        shared["OMP_NUM_THREADS"] = str(max(1, usable_cores() // processes))
    if "OMP_WAIT_POLICY" not in os.environ:
        shared["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
    if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:  # the older name of the same
        shared["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
    return {**shared, **os.environ, **own}


def process_started(pid: int) -> float | None:
    """Unix seconds when a process was started; None where it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
