"""Runs of other tools as runs of ours: followed where they lie; what we keep of them lies beside the settings."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from tuitrain.files import parse_toml, read_regular, writing
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Reader, Source
from tuitrain.readers.records import RecordReader
from tuitrain.readers.supplied import supplied_of
from tuitrain.runs.follow import Batch
from tuitrain.runs.layout import RunDirectory
from tuitrain.settings import MOST_BYTES, SettingsError, settings_files, user_file
from tuitrain.text import clean

KEPT_DIRECTORY, GIVEN_FILE = "other-runs", "given.toml"
"""Beside the user's settings file: a directory for each run of another tool with what we keep of it."""


def run_of(source: Source) -> RunDirectory:
    """The run that a source is; its directory is ours and need not exist."""
    where = f"{source.path.resolve()}#{source.key}"
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", clean(source.name.rpartition("/")[2])).strip("-.")[:40] or "run"
    run_id = f"{slug}-{hashlib.sha256(os.fsencode(where)).hexdigest()[:6]}"
    return RunDirectory(user_file().parent / KEPT_DIRECTORY / run_id, source.path, source)


class SourceFollower:
    """Follows the log of another tool and yields our records. reader: of the log, where the caller has one."""

    def __init__(self, run: RunDirectory, reader: Reader | None = None) -> None:
        if run.source is None:
            raise ValueError(f"{run.run_id} is a run of our own.")
        self._source = run.source
        facts = supplied_of(given_for(run).facts)
        self.records = RecordReader(
            reader or BY_NAME[self._source.format].open(self._source), run.run_id, mapping_for(run), self._written_at,
            facts,
        )  # fmt: skip

    def _written_at(self) -> float:
        return written_at(self._source)

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


@dataclass(frozen=True)
class Given:
    """What the user says about a log of another tool. names: NAME → OURS; facts: what the log lacks, by key."""

    names: Mapping[str, str]
    facts: Mapping[str, Any]

    def __bool__(self) -> bool:
        return bool(self.names or self.facts)


def given_for(run: RunDirectory) -> Given:
    """What was said about a run with --map and --set. Raises SettingsError where the file of it cannot be read."""
    kept = _kept(run)
    return Given(_table(kept, "map"), _table(kept, "set"))


def mapping_for(run: RunDirectory) -> NameMapping:
    """How the names of a run's metrics are mapped. Raises SettingsError where a file cannot be read."""
    return NameMapping(given_for(run).names, names_in_settings())


def names_in_settings() -> dict[str, str]:
    """NAME → OURS of the settings files; those of the project count more. Raises SettingsError."""
    names: dict[str, str] = {}
    for file in reversed(settings_files()):
        names |= _table(file.values, "map")
    return names


def keep(run: RunDirectory, given: Given) -> None:
    """Keep what the user says about a run, beside the settings; what was said before stays. Raises OSError."""
    kept = _kept(run)
    tables = {"map": _table(kept, "map") | dict(given.names), "set": _table(kept, "set") | dict(given.facts)}
    run.path.mkdir(parents=True, exist_ok=True)
    path = run.path / GIVEN_FILE
    with writing(path):
        path.write_text(tomli_w.dumps({"log": str(run.metrics.resolve()), **tables}))


def _kept(run: RunDirectory) -> dict[str, Any]:
    path = run.path / GIVEN_FILE
    try:
        return parse_toml(read_regular(path, MOST_BYTES).decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = values.get(name)
    return dict(table) if isinstance(table, dict) else {}
