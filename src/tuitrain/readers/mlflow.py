"""MLflow's stores: a folder of files for each run, and the tables of an SQLite database."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine
from tuitrain.files import read_regular
from tuitrain.readers.metric_files import MetricFiles, Point, names_below, rows_of
from tuitrain.readers.model import Ending, Format, Probe, Reader, Reading, RunInfo, Source
from tuitrain.readers.settings import SettingsFile, read_settings, scalar
from tuitrain.readers.sqlite import MAGIC, DatabaseFollower, NewRows, reading, tables
from tuitrain.readers.text import as_float, number, position, seconds

_ENDINGS: dict[str, Ending] = {
    "RUNNING": "running", "FINISHED": "completed", "FAILED": "failed", "KILLED": "interrupted",
    "1": "running", "3": "completed", "4": "failed", "5": "interrupted",
}  # fmt: skip
"""By the words of the tables and the numbers of `meta.yaml` (mlflow/protos/service.proto, RunStatus)."""
_LARGEST = 1.7976931348623157e308
"""How infinity is stored in a table (mlflow/store/tracking/sqlalchemy_store.py)."""
_LONGEST = 4096
"""Bytes of the file that describes a run."""
_RUN_KEYS = re.compile(r"^run_(?:id|uuid): ", re.MULTILINE)
_LONGEST_PARAMETER = 1 << 20
_TABLES = {
    "runs": {"run_uuid", "name", "status", "start_time", "lifecycle_stage"},
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "params": {"key", "value", "run_uuid"},
    "tags": {"key", "value", "run_uuid"},
}
"""The tables that a database of MLflow has, and of their columns those that are read."""
_DELETED = "deleted"
_NAME_TAG = "mlflow.runName"


class FileStoreReader:
    """Follows a run's folder, which has a file for each metric and parameter."""

    def __init__(self, folder: Path, name: str) -> None:
        self.info = RunInfo(name)
        self._folder = folder
        self._meta = SettingsFile(folder / "meta.yaml")
        self._metrics = MetricFiles(folder / "metrics", lambda: point_in)
        self._parameters: set[str] = set()
        self._ending: Ending | None = None

    def poll(self) -> Reading:
        """What was appended to the metrics."""
        changed = self._meta.changed()
        if changed:
            self.info.name = _name(self._folder, changed)
            self.info.started = seconds(number(str(changed.get("start_time"))) or 0.0)
            self._ending = _ENDINGS.get(str(changed.get("status")))
        result = self._metrics.poll()
        self.info.ending = None if result.more else self._ending
        new = set(names_below(self._folder / "params")) - self._parameters
        for name in sorted(new):
            try:
                text = read_regular(self._folder / "params" / name, _LONGEST_PARAMETER).decode("utf-8", "replace")
            except OSError:
                continue
            self._parameters.add(name)
            self.info.hyperparameters = {**self.info.hyperparameters, name: scalar(text)}
        return result


def point_in(name: str, line: bytes) -> Point | None:
    """The point in `TIMESTAMP_MS VALUE [STEP [DATASET DIGEST]]`, which is at step 0 where it has none."""
    parts = line.decode("utf-8", "replace").split()
    if not parts:
        return None
    if len(parts) not in (2, 3, 5):
        raise ValueError(f"it has {len(parts)} fields instead of a time, a value and a step")
    time, value = number(parts[0]), number(parts[1])
    if time is None or value is None:
        raise ValueError("its time or its value is not a number")
    return time, name, position(int(parts[2])) if len(parts) > 2 else 0.0, value, seconds(time)


class DatabaseReader:
    """Follows one run in a database; key: its id."""

    def __init__(self, path: Path, name: str, key: str) -> None:
        self.info = RunInfo(name)
        self._path, self._key = path, key
        self._database = DatabaseFollower(path, self._begin, self._read)
        self._begin()

    def _begin(self) -> None:
        self._rows = NewRows("metrics", "run_uuid", self._key, ("timestamp", "key", "step", "value", "is_nan"))

    def poll(self) -> Reading:
        """The rows that were inserted."""
        return self._database.poll()

    def _read(self, connection: sqlite3.Connection, result: Reading) -> None:
        ending = self._describe(connection)
        rows, reset, result.more = self._rows.read(connection)
        self.info.ending = None if result.more else ending
        result.reset = result.reset or reset
        points: list[Point] = []
        for number_of_row, *cells in rows:
            try:
                points.append(_point(*cells))
            except (ValueError, TypeError) as error:
                # A cell of an SQLite table may hold anything.
                result.broken.append(BrokenLine(number_of_row, str(error), self._path.name))
        result.items += rows_of(points)

    def _describe(self, connection: sqlite3.Connection) -> Ending | None:
        """Take over what the tables say about the run. Returns how it ended."""
        query = "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY rowid LIMIT 5000"
        self.info.hyperparameters = {
            name: scalar(str(value)) for name, value in connection.execute(query, (self._key,))
        }
        for key, name, status, started, _ in _runs(connection, self._key):
            self.info.name = str(name or key)
            self.info.started = seconds(number(str(started)) or 0.0)
            return _ENDINGS.get(str(status))
        return None


def _point(time: float, name: Any, step: float, value: float, is_nan: Any) -> Point:
    """The point of a row. Raises ValueError and TypeError for cells that are no numbers."""
    return time, str(name), position(step), _value(value, is_nan), seconds(as_float(time))


def _value(value: float, is_nan: Any) -> float:
    return math.nan if is_nan else math.copysign(math.inf, value) if abs(value) >= _LARGEST else value


def _runs(connection: sqlite3.Connection, key: str | None = None) -> list[Any]:
    """Id, name, status, start in milliseconds and stage of one run or of all, in the order in which they were made."""
    query = (
        f"SELECT run_uuid, coalesce(nullif(name, ''), (SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid"
        f" AND key = '{_NAME_TAG}')), status, start_time, lifecycle_stage FROM runs"
    )
    if key is None:
        return connection.execute(f"{query} ORDER BY rowid").fetchall()
    return connection.execute(f"{query} WHERE run_uuid = ?", (key,)).fetchall()


def _name(folder: Path, meta: Mapping[str, Any]) -> str:
    """The name of a run: its own, in older stores a tag, else its id."""
    name = meta.get("run_name") or meta.get("name")
    if not name:
        try:
            tag = read_regular(folder / "tags" / _NAME_TAG, _LONGEST_PARAMETER)
        except OSError:
            tag = b""
        name = tag.decode("utf-8", "replace").strip() or folder.name
    return str(name)


def _matches(probe: Probe) -> bool:
    if probe.head.startswith(MAGIC):
        return probe.path is not None and _is_database(probe.path)
    if b"lifecycle_stage:" not in probe.head[:_LONGEST] or b"artifact_uri:" not in probe.head[:_LONGEST]:
        return False
    return _RUN_KEYS.search(probe.text) is not None


def _is_database(path: Path) -> bool:
    try:
        with reading(path) as connection:
            columns = tables(connection)
    except OSError:
        return False
    return all(needed <= columns.get(table, set()) for table, needed in _TABLES.items())


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    """Each run that was not deleted: the folder of its `meta.yaml`, and those in the tables of a database."""
    for file in files:
        if file.suffix == ".yaml":
            meta = read_settings(file)
            if meta.get("lifecycle_stage") != _DELETED:
                yield Source("mlflow", file.parent, _name(file.parent, meta), (file,))
            continue
        try:
            with reading(file) as connection:
                runs = _runs(connection)
        except OSError:
            continue
        for key, name, _, _, stage in runs:
            if stage != _DELETED:
                yield Source("mlflow", file, str(name or key), (file,), str(key))


def _open(source: Source) -> Reader:
    make = partial(DatabaseReader, key=source.key) if source.key else FileStoreReader
    return make(source.path, source.name)


FORMAT = Format(
    "mlflow", "MLflow: mlruns folders and mlflow.db", "tuitrain watch mlruns", _matches, _sources, _open, binary=None,
)  # fmt: skip
