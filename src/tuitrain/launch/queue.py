"""The queue of one machine: small files in `.queue` of the runs directory, one for each run that waits, in order.

A run in the queue has its directory and its configuration, and no process yet. The runner, a process of its own
(`python -m tuitrain.launch.queue RUNS_DIR`), starts the first one when what it needs is free, and ends when the queue
is empty. It holds a lock that ends with it; every command that uses the queue starts it again where none holds that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain.events import End, EventWriter
from tuitrain.events.layout import RunMetadata
from tuitrain.events.lock import LockedError, exclusive
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, Retries, new_run, start, starting, train_command
from tuitrain.launch.machine import find_machine, training_device, visible
from tuitrain.monitor.gpu_reader import GpuReader
from tuitrain.runs import RunDirectory
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.status import process_alive, supervisor_alive
from tuitrain.settings import queue_slots

DIRECTORY = ".queue"
POLL_S = 0.5
LOCK_S = 2.0
"""A runner that ends gives its lock back within this time."""
PATIENCE_S = 20.0
FREE_GB = 1.0
"""A GPU of which less memory is used is free; a driver alone takes some."""


class Entry(msgspec.Struct, kw_only=True):
    """What a queued run needs: processes, and whether each of them needs a GPU or a CPU slot."""

    run_id: str
    processes: int = 1
    on_gpu: bool = False
    retries: int = 0
    skip_bad_batch: bool = False


@dataclass(frozen=True)
class Waiting:
    """An entry with its file."""

    path: Path
    entry: Entry

    @property
    def needs(self) -> str:
        """What must be free, in words."""
        count, thing = self.entry.processes, "GPU" if self.entry.on_gpu else "CPU slot"
        return f"{count} {thing}{'s'[: count > 1]}"


def queued(runs_dir: Path) -> list[Waiting]:
    """The entries of the queue, the next one first; a file that cannot be read is none."""
    entries = []
    for path in sorted((runs_dir / DIRECTORY).glob("*.json")):
        with suppress(OSError, msgspec.MsgspecError):
            entries.append(Waiting(path, msgspec.json.decode(path.read_bytes(), type=Entry)))
    return entries


def enqueue_all(
    configs: Sequence[RunConfig],
    runs_dir: Path,
    label: Label,
    *,
    gpus: int | None = None,
    force: bool = False,
    retries: Retries = Retries(),  # noqa: B008 - frozen
) -> list[RunDirectory]:
    """Check runs as `start_run` does, make their directories, and put them at the end of the queue in this order.

    label: what they share; each has the name of its configuration. Raises LaunchError, ConfigError or OSError, and
    leaves none then.
    """
    machine = find_machine()
    counts = [preflight.check(config, gpus=gpus, force=force).count for config in configs]
    runs: list[RunDirectory] = []
    entries = []
    try:
        for config, processes in zip(configs, counts, strict=True):
            run, now = new_run(runs_dir, config), time.time()
            runs.append(run)
            run.write_metadata(
                RunMetadata(
                    name=config.name, created=now, queued=now, tags=label.tags, notes=label.notes, group=label.group,
                    processes=processes, sent=label.sent,
                )
            )  # fmt: skip
            on_gpu = training_device(config, machine).kind != "cpu"
            entries.append(
                Entry(run_id=run.run_id, processes=processes, on_gpu=on_gpu, retries=retries.count,
                      skip_bad_batch=retries.skip_bad_batch)
            )  # fmt: skip
        with _ordering(runs_dir):
            _write(runs_dir, [*(each.entry for each in queued(runs_dir)), *entries])
    except (LaunchError, OSError):
        for run in runs:
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    return runs


def move(run: RunDirectory, position: int) -> None:
    """Move a run to a position in the queue, the first being 1. Raises LaunchError where it is not in it."""
    with _ordering(run.path.parent):
        entries = [each.entry for each in queued(run.path.parent)]
        entry = next((each for each in entries if each.run_id == run.run_id), None)
        if entry is None:
            raise LaunchError(f"{run.run_id} is not in the queue.", exit_code=3)
        entries.remove(entry)
        entries.insert(position - 1, entry)
        _write(run.path.parent, entries)


def leave_queue(run: RunDirectory, reason: str) -> bool:
    """Take a run out of the queue, which ends it; returns whether it was in it."""
    if not queued(run.path.parent):
        return False
    with _ordering(run.path.parent):
        waiting = next((each for each in queued(run.path.parent) if each.entry.run_id == run.run_id), None)
        if waiting is None:
            return False
        waiting.path.unlink(missing_ok=True)
        _end(run, "stopped", reason)
    return True


def start_runner(runs_dir: Path) -> None:
    """Start the runner of a queue that is not empty; one that runs already makes a second end at once."""
    if not queued(runs_dir):
        return
    with (runs_dir / DIRECTORY / "runner.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "tuitrain.launch.queue", str(runs_dir.absolute())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def run_queue(runs_dir: Path) -> None:
    """Start the runs of the queue one after the other, until it is empty. Another runner makes this one return."""
    with suppress(LockedError), exclusive(runs_dir / DIRECTORY / ".runner.lock", LOCK_S):
        while entries := queued(runs_dir):
            with _ordering(runs_dir):
                first = queued(runs_dir)[:1]
                if first and _start_if_free(runs_dir, first[0]):
                    continue
            time.sleep(POLL_S if entries else 0)


def _start_if_free(runs_dir: Path, waiting: Waiting) -> bool:
    """Start a run where what it needs is free; returns whether it is out of the queue."""
    entry, run = waiting.entry, RunDirectory(runs_dir / waiting.entry.run_id)
    info = run.read_metadata()
    if info is None or info.queued is None:
        # It was removed, or started by a runner that was killed before it could remove the entry.
        waiting.path.unlink(missing_ok=True)
        return True
    variables: dict[str, str] = {}
    if entry.on_gpu:
        free = free_gpus(runs_dir)
        if len(free) < entry.processes:
            return False
        chosen = ",".join(map(str, free[: entry.processes]))
        variables = {"CUDA_VISIBLE_DEVICES": chosen, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    else:
        used = sum(each.processes for each in _live(runs_dir) if not each.gpus)
        # One that needs more than there are starts when nothing else trains.
        if used and used + entry.processes > queue_slots():
            return False
    try:
        config = load_config(str(run.config))
        with starting(run):
            start(
                run, train_command(run, processes=entry.processes), None, processes=entry.processes,
                plots_every=config.export.plots_every, supervised=True,
                retries=Retries(entry.retries, entry.skip_bad_batch), variables=variables,
            )  # fmt: skip
    except (LaunchError, ConfigError, OSError) as error:
        _end(run, "failed", f"it could not be started from the queue: {error}")
    waiting.path.unlink(missing_ok=True)
    return True


def free_gpus(runs_dir: Path) -> list[int]:
    """The GPUs, by NVML's index, that no live run of the directory has and of which little memory is used."""
    taken = {index for each in _live(runs_dir) for index in each.gpus}
    readings = GpuReader().read()
    return [
        each.index
        for each in readings
        if each.index in visible(len(readings))
        and each.index not in taken
        and (each.mem_used_gb is None or each.mem_used_gb < FREE_GB)
    ]


def _live(runs_dir: Path) -> Iterator[RunMetadata]:
    """The metadata of the runs whose processes are alive on this machine."""
    for path in runs_dir.glob("*/run.json"):
        info = RunDirectory(path.parent).read_metadata()
        if info is not None and (process_alive(info) or supervisor_alive(info)):
            yield info


@contextmanager
def _ordering(runs_dir: Path) -> Iterator[None]:
    """While the order is changed, or the first one is started. Raises LaunchError."""
    directory = runs_dir / DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(directory / ".order.lock", PATIENCE_S):
            yield
    except LockedError:
        raise LaunchError(f"{directory} is being changed by another process: try again later.", exit_code=1) from None


def _write(runs_dir: Path, entries: Sequence[Entry]) -> None:
    """Write the entries in this order. Only files whose place has changed are replaced."""
    directory = runs_dir / DIRECTORY
    kept = set()
    for number, entry in enumerate(entries, start=1):
        path = directory / f"{number:06d}-{entry.run_id}.json"
        kept.add(path)
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(msgspec.json.encode(entry) + b"\n")
            unfinished.replace(path)
    for path in set(directory.glob("*.json")) - kept:
        path.unlink(missing_ok=True)


def _end(run: RunDirectory, status: str, reason: str) -> None:
    """Write the end of a run that was not started."""
    with suppress(EditError, OSError):
        with EventWriter(run.metrics) as log:
            log.write(End(status=status, reason=reason))  # type: ignore[arg-type]
        with edited_metadata(run) as facts:
            facts["queued"] = None


if __name__ == "__main__":
    run_queue(Path(sys.argv[1]))
