"""Runs of other tools as runs of ours: followed where they lie; what we keep of them lies beside the settings."""

from __future__ import annotations

import hashlib
import os
import re

from tuitrain.events.text import clean
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.mapping import Mapping
from tuitrain.readers.model import Source
from tuitrain.readers.records import RecordReader
from tuitrain.runs.follow import Batch
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.settings import settings_files, user_file

KEPT_DIRECTORY = "other-runs"
"""Beside the user's settings file: a directory for each run of another tool with what we keep of it."""


def run_of(source: Source) -> RunDirectory:
    """The run that a source is; its directory is ours and need not exist."""
    where = f"{source.path.resolve()}#{source.key}"
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", clean(source.name)).strip("-.")[:48] or "run"
    run_id = f"{slug}-{hashlib.sha256(os.fsencode(where)).hexdigest()[:6]}"
    return RunDirectory(user_file().parent / KEPT_DIRECTORY / run_id, source.path, source)


class SourceFollower:
    """Follows the log of another tool and yields our records."""

    def __init__(self, run: RunDirectory) -> None:
        if run.source is None:
            raise ValueError(f"{run.run_id} is a run of our own.")
        self._source = run.source
        reader = BY_NAME[self._source.format].open(self._source)
        self.records = RecordReader(reader, run.run_id, Mapping(names_given(run)), written_at(self._source))

    def poll(self) -> Batch:
        """The records that came since the last call. Raises PermissionError and the like."""
        read = self.records.poll()
        ending = self.records.reader.info.ending
        return Batch(tuple(read.records), tuple(read.broken), read.reset, read.more, ending=ending)


def written_at(source: Source) -> float:
    """When the files of a source were last written, in Unix seconds; 0 where they are gone."""
    times = []
    for path in (*source.files, source.path):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def names_given(run: RunDirectory) -> dict[str, str]:
    """NAME → OURS from the settings files; the one that counts more wins."""
    names: dict[str, str] = {}
    for file in reversed(settings_files()):
        table = file.values.get("map")
        if isinstance(table, dict):
            names |= {str(name): str(ours) for name, ours in table.items()}
    return names
