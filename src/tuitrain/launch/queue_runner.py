"""The runner of a queue: `python -m tuitrain.launch.queue_runner RUNS_DIR`.

It starts the first run of the queue when what it needs is free, judges the runs of halved sweeps at their rungs, and
ends when nothing waits and no such run trains. What it decides is written to run.json before it is done, so that
another runner goes on where a killed one was.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

from tuitrain.config import ConfigError, load_config
from tuitrain.events.layout import RunMetadata
from tuitrain.events.lock import LockedError, exclusive
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.halving import Judge
from tuitrain.launch.local import Retries, start, start_engine, starting, train_command
from tuitrain.launch.machine import visible
from tuitrain.launch.metadata_cache import MetadataCache
from tuitrain.launch.queue import end_unstarted, ordering, queued
from tuitrain.monitor.gpu_reader import GpuReader
from tuitrain.runs import RunDirectory, lock_held
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.queue_order import DIRECTORY, Entry, Waiting
from tuitrain.runs.status import process_alive, supervisor_alive
from tuitrain.settings import queue_slots

POLL_S = 0.5
LOCK_S = 2.0
"""A runner that ends gives its lock back within this time."""
FREE_GB = 1.0
"""A GPU of which less memory is used is free; a driver alone takes some."""


def run_queue(runs_dir: Path) -> None:
    """Start the runs of the queue one after the other, until it is empty. Another runner makes this one return."""
    with suppress(LockedError), exclusive(runs_dir / DIRECTORY / ".runner.lock", LOCK_S):
        runs = MetadataCache(runs_dir)
        judge = Judge(runs)
        while judge.poll() or queued(runs_dir):
            with ordering(runs_dir):
                first = queued(runs_dir)[:1]
                if first and _start_if_free(runs, first[0]):
                    continue
            time.sleep(POLL_S)


def _start_if_free(runs: MetadataCache, waiting: Waiting) -> bool:
    """Start a run where what it needs is free; returns whether it is out of the queue."""
    entry, run = waiting.entry, RunDirectory(runs.directory / waiting.entry.run_id)
    info = run.read_metadata()
    if info is None or info.queued is None:
        # It was removed, or started by a runner that was killed before it could remove the entry.
        waiting.path.unlink(missing_ok=True)
        return True
    if lock_held(run.lock):
        # Started by a runner that was killed before it could write down the process, which trains.
        with suppress(EditError), edited_metadata(run) as facts:
            facts["queued"] = None
        waiting.path.unlink(missing_ok=True)
        return True
    variables: dict[str, str] = {}
    if entry.on_gpu:
        free = free_gpus(runs)
        if len(free) < entry.processes:
            return False
        chosen = ",".join(map(str, free[: entry.processes]))
        variables = {"CUDA_VISIBLE_DEVICES": chosen, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    else:
        used = sum(each.processes_of_node for each in _live(runs) if not each.gpus)
        # One that needs more than there are starts when nothing else trains.
        if used and used + entry.processes > queue_slots():
            return False
    try:
        with starting(run):
            _start(run, entry, variables)
    except (LaunchError, ConfigError, OSError) as error:
        end_unstarted(run, "failed", f"it could not be started from the queue: {error}")
    waiting.path.unlink(missing_ok=True)
    return True


def _start(run: RunDirectory, entry: Entry, variables: dict[str, str]) -> None:
    """Start the process of a queued run. Raises LaunchError, ConfigError or OSError."""
    if entry.command:
        start(run, entry.command, None, processes=entry.processes, variables=variables, directory=entry.directory)
        return
    config = load_config(str(run.config))
    start_engine(
        run, train_command(run, processes=entry.processes), None, config, processes=entry.processes,
        retries=Retries(entry.retries, entry.skip_bad_batch), variables=variables,
    )  # fmt: skip


def free_gpus(runs: MetadataCache) -> list[int]:
    """The GPUs, by NVML's index, that no live run of the directory has and of which little memory is used."""
    taken = {index for each in _live(runs) for index in each.gpus}
    readings = GpuReader().read()
    return [
        each.index
        for each in readings
        if each.index in visible(len(readings))
        and each.index not in taken
        and (each.mem_used_gb is None or each.mem_used_gb < FREE_GB)
    ]


def _live(runs: MetadataCache) -> list[RunMetadata]:
    """The metadata of the runs whose processes are alive on this machine."""
    return [info for _, info in runs.read() if process_alive(info) or supervisor_alive(info)]


if __name__ == "__main__":
    run_queue(Path(sys.argv[1]))
