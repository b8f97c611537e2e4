"""Snapshots of other tools' runs that are quiet, kept in the user's cache directory: a log is read once for a list."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from tuitrain.events import Alert, End, Eval, Run, Stage, Step
from tuitrain.files import cache_directory, read_regular
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.known_files import readers_digest, write_cache
from tuitrain.readers.model import Ending, Source
from tuitrain.runs.curve import Points
from tuitrain.runs.foreign import given_for, names_in_settings
from tuitrain.runs.layout import RunDirectory

_DIRECTORY = "snapshots"
_MOST = 5_000
_MOST_BYTES = 1 << 20
_MOST_FILES = 2_000
"""Of a folder that is one run; the snapshot of one with more is not kept."""
_QUIET_SECONDS = 60.0
"""Age of the last write from which on a snapshot is worth keeping."""


class KeptSnapshot(msgspec.Struct, frozen=True):
    """The fields of a `RunSnapshot` that come from the log, and what its status is derived from."""

    mark: str
    run: Run | None
    step: Step | None
    evaluation: Eval | None
    end: End | None
    alert: Alert | None
    stage: Stage | None
    last_time: float | None
    curve: Points
    recent: tuple[tuple[float, float, float], ...]
    wall_time_s: float | None
    broken_lines: int
    ending: Ending | None
    has_begun: bool


def mark_of(run: RunDirectory) -> tuple[str, float]:
    """What changes when the files of a run do, or what the user says about it, and when they were last written.

    The mark is empty where the run has too many files. Raises OSError.
    """
    source = run.source
    assert source is not None
    given = given_for(run)
    digest = hashlib.sha256(f"{readers_digest()} {source.format} {given} {names_in_settings()}".encode())
    newest = 0.0
    files = _files(source)
    if len(files) > _MOST_FILES:
        return "", 0.0
    for path in files:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        digest.update(f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}\n".encode())
        newest = max(newest, status.st_mtime)
    return digest.hexdigest(), newest


def _files(source: Source) -> list[Path]:
    files = [*source.files, source.path]
    # A database has its newest rows in a file beside it.
    files += [path.with_name(f"{path.name}-wal") for path in source.files if source.key]
    for pattern in BY_NAME[source.format].beside:
        files += sorted(source.files[0].parent.glob(pattern))
    for folder, folders, names in os.walk(source.path):
        folders.sort()
        files += [Path(folder, name) for name in sorted(names)]
        if len(files) > _MOST_FILES:
            break
    return files


def kept_snapshot(run: RunDirectory, mark: str) -> KeptSnapshot | None:
    """The snapshot that was kept of a run with this mark; None where there is none, or a damaged one."""
    try:
        kept = msgspec.msgpack.decode(read_regular(_path(run), _MOST_BYTES), type=KeptSnapshot)
    except (OSError, msgspec.MsgspecError):
        return None
    return kept if kept.mark == mark else None


def keep_snapshot(run: RunDirectory, kept: KeptSnapshot, newest: float) -> None:
    """Keep a snapshot, unless the run was written to just now. A cache that can't be written is no error."""
    if time.time() - newest > _QUIET_SECONDS:
        with suppress(OSError):
            write_cache(_path(run), msgspec.msgpack.encode(kept), _MOST)


def _path(run: RunDirectory) -> Path:
    """Raises OSError."""
    return cache_directory() / _DIRECTORY / f"{run.run_id}.msgpack"
