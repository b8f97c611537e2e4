"""trackio's project databases: one run for each id."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine, Gpu, System
from tuitrain.readers.document import read_json
from tuitrain.readers.mapping import GIB
from tuitrain.readers.model import Format, Probe, Reading, Row, RunInfo, Source
from tuitrain.readers.settings import flattened
from tuitrain.readers.sqlite import MAGIC, DatabaseFollower, NewRows, reading, tables
from tuitrain.readers.table import numbers_of
from tuitrain.readers.text import position, unix_time

_COLUMNS = {"id", "timestamp", "run_name", "step", "metrics"}
_GPU = re.compile(r"gpu/(\d{1,3})/(\w+)")
_GPU_FIELDS = {
    "utilization": ("util_percent", 1.0), "allocated_memory": ("mem_used_gb", GIB), "temp": ("temp_c", 1.0),
    "total_memory": ("mem_total_gb", GIB), "power": ("power_w", 1.0), "power_limit": ("power_limit_w", 1.0),
    "sm_clock": ("sm_clock_mhz", 1.0), "memory_clock": ("mem_clock_mhz", 1.0),
}  # fmt: skip
_SYSTEM_FIELDS = {
    "cpu/utilization": ("cpu_percent", 1.0), "memory/used": ("ram_used_gb", GIB), "memory/total": ("ram_total_gb", GIB),
    "disk/read_mb_per_sec": ("disk_read_mb_s", 1.0), "disk/write_mb_per_sec": ("disk_write_mb_s", 1.0),
    "network/sent_mb_per_sec": ("net_sent_mb_s", 1.0), "network/recv_mb_per_sec": ("net_recv_mb_s", 1.0),
}  # fmt: skip
"""Names of trackio 0.43 (gpu.py, cpu.py), with the factor to our units."""


class TrackioReader:
    """Follows one run in a database; key: its id, in databases before there were ids its name."""

    def __init__(self, path: Path, name: str, key: str) -> None:
        self.info = RunInfo(name)
        self._path = path
        self._key = key
        self._database = DatabaseFollower(path, self._begin, self._read)
        self._begin()

    def _begin(self) -> None:
        self._tables: dict[str, set[str]] = {}
        self._metrics: NewRows | None = None
        self._system: NewRows | None = None
        self._configuration: Any = None

    def poll(self) -> Reading:
        """The rows that were inserted, and the readings of the machine."""
        return self._database.poll()

    def _read(self, connection: sqlite3.Connection, result: Reading) -> None:
        if self._metrics is None:
            self._tables = tables(connection)
            column = key_column(self._tables)
            self._metrics = NewRows("metrics", column, self._key, ("timestamp", "step", "metrics"))
            if {column, "timestamp", "metrics"} <= self._tables.get("system_metrics", set()):
                self._system = NewRows("system_metrics", column, self._key, ("timestamp", "metrics"))
        self._configure(connection)
        rows, reset, result.more = self._metrics.read(connection)
        result.reset = result.reset or reset
        written, time = None, None
        for number, timestamp, step, data in rows:
            if timestamp != written:
                # The rows of a batch have one time.
                written, time = timestamp, unix_time(str(timestamp))
            try:
                values = numbers_of(_plain(_object(data)))
                result.items.append(Row(position(step), values, time))
            except (ValueError, TypeError) as error:
                result.broken.append(BrokenLine(number, str(error), self._path.name))
        if self._system is not None:
            machine, _, more = self._system.read(connection)
            result.more = result.more or more
            result.items += [_system(unix_time(str(each[1])) or 0.0, each[2]) for each in machine]

    def _configure(self, connection: sqlite3.Connection) -> None:
        columns = self._tables.get("configs", set())
        column = key_column(self._tables)
        if not {column, "run_name", "config"} <= columns:
            return
        query = f'SELECT run_name, config FROM configs WHERE "{column}" = ? ORDER BY rowid DESC LIMIT 1'
        row = connection.execute(query, (self._key,)).fetchone()
        if row is None or row == self._configuration:
            return
        self._configuration = row
        try:
            tree = _object(row[1])
        except ValueError:
            return
        self.info.name = str(row[0])
        self.info.started = unix_time(str(tree.get("_Created")))
        self.info.hyperparameters = flattened({name: value for name, value in tree.items() if name[:1] != "_"})


def _object(data: Any) -> dict[str, Any]:
    """The JSON object in a cell, which is bytes or a text. Raises ValueError."""
    tree = read_json(data if isinstance(data, bytes) else str(data).encode())
    if not isinstance(tree, dict):
        raise ValueError("it is not an object")
    return tree


def _plain(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Without images, tables and the like, which are objects with a `_type`."""
    return {
        name: _plain(value) if isinstance(value, dict) else value
        for name, value in tree.items()
        if not (isinstance(value, dict) and "_type" in value)
    }


def _system(time: float, data: Any) -> System:
    try:
        values = numbers_of(_object(data))
    except ValueError:
        values = {}
    gpus: dict[int, dict[str, float]] = {}
    fields: dict[str, float] = {}
    for name, value in values.items():
        if name in _SYSTEM_FIELDS:
            field, factor = _SYSTEM_FIELDS[name]
            fields[field] = value * factor
        elif (match := _GPU.fullmatch(name)) and match[2] in _GPU_FIELDS:
            field, factor = _GPU_FIELDS[match[2]]
            gpus.setdefault(int(match[1]), {})[field] = value * factor
    return System(time=time, host="", gpus=[Gpu(index=at, **gpus[at]) for at in sorted(gpus)], **fields)  # type: ignore[arg-type]


def key_column(columns: Mapping[str, set[str]]) -> str:
    """The column that tells the runs of a database apart."""
    return "run_id" if "run_id" in columns.get("metrics", set()) else "run_name"


def _matches(probe: Probe) -> bool:
    if not probe.head.startswith(MAGIC) or probe.path is None:
        return False
    try:
        with reading(probe.path) as connection:
            return tables(connection).get("metrics", set()) >= _COLUMNS
    except OSError:
        return False


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    """Each run in each database, in the order in which they began."""
    for file in files:
        try:
            with reading(file) as connection:
                names = _runs(connection)
        except OSError:
            continue
        yield from (Source("trackio", file, name, (file,), key) for key, name in names.items())


def _runs(connection: sqlite3.Connection) -> dict[str, str]:
    """The keys of the runs with their names."""
    known = tables(connection)
    column = key_column(known)
    names: dict[str, str] = {}
    # The configuration is written with the first metrics.
    for table in ("metrics", "configs"):
        if {column, "run_name"} <= known.get(table, set()):
            query = f'SELECT "{column}", run_name FROM {table} GROUP BY 1 ORDER BY min(rowid)'
            names |= {str(key): str(name) for key, name in connection.execute(query)}
    return names


FORMAT = Format(
    "trackio", "trackio's project databases", "tuitrain watch ~/.cache/huggingface/trackio/PROJECT.db", _matches,
    _sources, lambda source: TrackioReader(source.path, source.name, source.key), binary=True,
)  # fmt: skip
