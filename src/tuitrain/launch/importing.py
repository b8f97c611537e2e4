"""Runs of our own made from the logs of other tools."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tuitrain.events import AnyRecord, BrokenLine, EventWriter, Run
from tuitrain.events.layout import RunMetadata
from tuitrain.files import writing
from tuitrain.launch.errors import LaunchError
from tuitrain.readers.blocks import one_by_one
from tuitrain.runs import RunDirectory
from tuitrain.runs.follow import Batch
from tuitrain.runs.foreign import SourceFollower
from tuitrain.runs.layout import create_run_directory

BROKEN_KEPT = 10_000


@dataclass
class Imported:
    """A run that was made from a log. records: how many were written. broken: what of the log could not be read.

    The first BROKEN_KEPT of these are kept; `broken_count` says how many there were.
    """

    run: RunDirectory
    name: str
    log: Path
    format: str
    records: int = 0
    broken: list[BrokenLine] = field(default_factory=list)
    broken_count: int = 0


def import_run(source: RunDirectory, runs_dir: Path, name: str | None = None) -> Imported | None:
    """Make a run of ours of another tool's run; name: what it is called, by default what it calls itself.

    Returns None where its log holds no record yet. Raises LaunchError for a run of ours, and OSError, after which no
    new run is left.
    """
    if source.source is None:
        raise LaunchError(f"{source.metrics} is a log of tuitrain: there is nothing to import.")
    follower = SourceFollower(source)
    batch = follower.poll()
    while not batch.records and batch.more:
        batch = follower.poll()
    if not batch.records:
        return None
    first = next((record for record in batch.records if isinstance(record, Run)), None)
    name = name or (first.name if first is not None else source.source.name)
    run = create_run_directory(runs_dir, name)
    imported = Imported(run, name, source.metrics.absolute(), source.source.format)
    try:
        with writing(run.metrics):
            _write(imported, follower, batch)
        note = f"imported from {imported.log} ({imported.format})"
        created = first.time if first is not None else next(one_by_one(batch.records)).time
        run.write_metadata(RunMetadata(name=name, created=created, notes=[note]))
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return imported


def _write(imported: Imported, follower: SourceFollower, batch: Batch) -> None:
    """Write this batch and those that follow; a log that is replaced meanwhile is begun again."""
    while True:
        if batch.reset:
            imported.run.metrics.unlink(missing_ok=True)
            imported.records, imported.broken, imported.broken_count = 0, [], 0
        with EventWriter(imported.run.metrics) as writer:
            for record in _renamed(one_by_one(batch.records), imported):
                writer.write(record)
                imported.records += 1
        imported.broken += batch.broken[: BROKEN_KEPT - len(imported.broken)]
        imported.broken_count += len(batch.broken)
        if not batch.more:
            return
        batch = follower.poll()


def _renamed(records: Iterable[AnyRecord], imported: Imported) -> Iterable[AnyRecord]:
    """The records with the id and the name of the new run."""
    for record in records:
        if isinstance(record, Run):
            yield msgspec.structs.replace(record, run_id=imported.run.run_id, name=imported.name)
        else:
            yield record
