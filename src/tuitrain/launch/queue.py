"""The queue of one machine: small files in `.queue` of the runs directory, one for each run that waits, in order.

A run in the queue has its directory and its metadata, and no process yet. The runner (`launch.queue_runner`), a process
of its own, starts the first one when what it needs is free, and ends when there is nothing left to do. It holds a lock
that ends with it; every command that uses the queue starts it again where none holds that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tuitrain.config import RunConfig
from tuitrain.events import End, EventWriter
from tuitrain.events.layout import Halving
from tuitrain.events.lock import LockedError, exclusive
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import (
    Label,
    Retries,
    new_command_run,
    new_run,
    removed_on_error,
    wrapped_command,
    write_queued,
)
from tuitrain.launch.machine import find_machine, training_device
from tuitrain.runs import RunDirectory
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.queue_order import DIRECTORY, Entry, Waiting, read_queue

if TYPE_CHECKING:
    from tuitrain.runs.foreign import Given

PATIENCE_S = 20.0


def queued(runs_dir: Path) -> list[Waiting]:
    """The entries of the queue, the next one first; a file that cannot be read is none."""
    return read_queue(runs_dir)[0]


def enqueue_all(
    configs: Sequence[RunConfig],
    runs_dir: Path,
    label: Label,
    *,
    gpus: int | None = None,
    force: bool = False,
    retries: Retries = Retries(),  # noqa: B008 - frozen
    halvings: Sequence[Halving] = (),
) -> list[RunDirectory]:
    """Check runs as `start_run` does, make their directories, and put them at the end of the queue in this order.

    label: what they share; each has the name of its configuration. halvings: one for each run of a sweep that stops its
    worse runs early. Raises LaunchError, ConfigError or OSError, and leaves none then.
    """
    machine = find_machine()
    counts = [preflight.check(config, gpus=gpus, force=force).count for config in configs]
    entries = []
    with removed_on_error() as runs:
        for at, (config, processes) in enumerate(zip(configs, counts, strict=True)):
            run = new_run(runs_dir, config)
            runs.append(run)
            write_queued(run, replace(label, name=config.name), processes, halving=halvings[at] if halvings else None)
            on_gpu = training_device(config, machine).kind != "cpu"
            entries.append(
                Entry(run_id=run.run_id, processes=processes, on_gpu=on_gpu, retries=retries.count,
                      skip_bad_batch=retries.skip_bad_batch)
            )  # fmt: skip
        _append(runs_dir, entries)
    return runs


def enqueue_command(
    command: Sequence[str],
    runs_dir: Path,
    label: Label,
    *,
    gpus: int | None = None,
    log: Path | None = None,
    grace_s: float | None = None,
    given: Given | None = None,
) -> RunDirectory:
    """Put the command of another training program at the end of the queue.

    gpus: how many it needs, by default one; on a machine without GPUs so many CPU slots. It is started in the present
    working directory, and its program is the one that is found now. given: what the user says about its log.
    Raises LaunchError or OSError, and leaves no run then.
    """
    count, available = gpus or 1, len(find_machine().gpus)
    if available and count > available:
        raise LaunchError(f"--gpus {count}, but this machine has {available} to use.", key="gpus")
    run = new_command_run(runs_dir, label.name, given)
    with removed_on_error(run):
        write_queued(run, label, count)
        words = [str(Path(shutil.which(command[0]) or command[0]).absolute()), *command[1:]]
        entry = Entry(run_id=run.run_id, processes=count, on_gpu=bool(available), directory=str(Path.cwd()))
        entry.command = wrapped_command(run, words, log, grace_s)
        _append(runs_dir, [entry])
    return run


def _append(runs_dir: Path, entries: Sequence[Entry]) -> None:
    with ordering(runs_dir):
        _write(runs_dir, [*(each.entry for each in queued(runs_dir)), *entries])


def move(run: RunDirectory, position: int) -> None:
    """Move a run to a position in the queue, the first being 1. Raises LaunchError where it is not in it."""
    _move(run, lambda _: position)


def move_by(run: RunDirectory, places: int) -> int:
    """Move a run so many places back, or forwards below 0; returns its position then. Raises LaunchError."""
    return _move(run, lambda position: max(1, position + places))


def _move(run: RunDirectory, to: Callable[[int], int]) -> int:
    """Move a run to the position that `to` makes of its present one; returns where it is then."""
    if run.remote:
        raise LaunchError(f"{run.remote} waits in a queue of another machine: move it there.")
    with ordering(run.path.parent):
        entries = [each.entry for each in queued(run.path.parent)]
        at = next((at for at, each in enumerate(entries) if each.run_id == run.run_id), None)
        if at is None:
            raise LaunchError(f"{run.run_id} is not in the queue.", exit_code=3)
        position = min(to(at + 1), len(entries))
        entries.insert(position - 1, entries.pop(at))
        _write(run.path.parent, entries)
    return position


def leave_queue(run: RunDirectory, reason: str) -> bool:
    """Take a run out of the queue, which ends it; returns whether it was in it."""
    if _file_of(run) is None:
        return False
    with ordering(run.path.parent):
        path = _file_of(run)
        if path is None:
            return False
        path.unlink(missing_ok=True)
        info = run.read_metadata()
        if info is not None and info.queued is None:
            # It was started by a runner that was killed before it could remove the file.
            return False
        end_unstarted(run, "stopped", reason)
    return True


def _file_of(run: RunDirectory) -> Path | None:
    """The file of a run in the queue, readable or not."""
    waiting, unreadable = read_queue(run.path.parent)
    files = {each.run_id: each.path for each in unreadable} | {each.entry.run_id: each.path for each in waiting}
    return files.get(run.run_id)


def start_runner(runs_dir: Path) -> None:
    """Start the runner where there is a queue or was one; it ends at once where another runs or nothing is to be done.

    Raises OSError.
    """
    if not (runs_dir / DIRECTORY).is_dir():
        return
    with (runs_dir / DIRECTORY / "runner.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "tuitrain.launch.queue_runner", str(runs_dir.absolute())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


@contextmanager
def ordering(runs_dir: Path) -> Iterator[None]:
    """While the order is changed, or the first one is started. Raises LaunchError."""
    directory = runs_dir / DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(directory / ".order.lock", PATIENCE_S):
            yield
    except LockedError:
        raise LaunchError(f"{directory} is being changed by another process: try again later.", exit_code=1) from None


def _write(runs_dir: Path, entries: Sequence[Entry]) -> None:
    """Write the entries in this order. Only files whose place has changed are replaced; what is no entry stays."""
    directory = runs_dir / DIRECTORY
    kept = {each.path for each in read_queue(runs_dir)[1]}
    for number, entry in enumerate(entries, start=1):
        path = directory / f"{number:06d}-{entry.run_id}.json"
        kept.add(path)
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(msgspec.json.encode(entry) + b"\n")
            unfinished.replace(path)
    for path in set(directory.glob("*.json")) - kept:
        path.unlink(missing_ok=True)


def end_unstarted(run: RunDirectory, status: str, reason: str) -> None:
    """Write the end of a run that was never started."""
    with suppress(EditError, OSError):
        with EventWriter(run.metrics) as log:
            log.write(End(status=status, reason=reason))  # type: ignore[arg-type]
        with edited_metadata(run) as facts:
            facts["queued"] = None
