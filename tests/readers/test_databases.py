"""Runs in SQLite databases: trackio's and MLflow's, while another process writes them."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import writers
from tests.readers.reading import Read, points, readers_of
from tuitrain.events import System
from tuitrain.readers import sqlite
from tuitrain.readers.discover import probe_of, recognised, sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.model import Reader

TRACKIO = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
  run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT);
CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
  config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id));
CREATE TABLE system_metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
  run_name TEXT NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT);
CREATE INDEX idx_metrics_run_step ON metrics(run_id, step);
"""
"""The tables of trackio 0.43 that are read."""
OLD_TRACKIO = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_name TEXT NOT NULL,
  step INTEGER NOT NULL, metrics TEXT NOT NULL);
"""
MLFLOW = """
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20), status VARCHAR(9),
  start_time BIGINT, end_time BIGINT, lifecycle_stage VARCHAR(20), experiment_id INTEGER, PRIMARY KEY (run_uuid));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
  run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
  CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
CREATE TABLE params ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL);
CREATE TABLE tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL);
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
"""
"""The tables of MLflow 3.17 that are read."""
WHEN = "2026-05-01T10:00:00+00:00"


def trackio_row(connection: sqlite3.Connection, run: str, step: int, metrics: Any) -> None:
    """Insert what trackio would: JSON as bytes."""
    row = (f"id-{run}", WHEN, run, step, json.dumps(metrics).encode())
    connection.execute("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)", row)


@contextmanager
def database(path: Path, schema: str, journal: str = "wal") -> Iterator[sqlite3.Connection]:
    """A database that is open for writing; each statement is committed at once."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.executescript(schema)
        yield connection


def readers(path: Path) -> dict[str, Reader]:
    return {source.name: BY_NAME[source.format].open(source) for source in sources_of(path)}


def listing(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


WRITER = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    connection.executescript(line)
    print("done", flush=True)
"""


class Writer:
    """Another process that keeps a database open and commits what it is told to."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def execute(self, statements: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(statements.replace("\n", " ") + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def inserted(step: int) -> str:
    return (
        "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics)"
        f" VALUES ('id-a', '{WHEN}', 'a', {step}, '{{\"loss\": {9 - step}}}');"
    )


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    process = Writer(tmp_path / "a.db")
    yield process
    process.kill()


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_is_followed_while_another_process_writes(writer: Writer, tmp_path: Path, journal: str) -> None:
    writer.execute(f"PRAGMA journal_mode={journal}; {TRACKIO} {inserted(0)}")
    (reader,) = readers(tmp_path).values()
    assert points(reader.poll().items) == [(0, {"loss": 9})]
    for step in (1, 2, 3):
        before = listing(tmp_path)
        assert points(reader.poll().items) == []
        assert listing(tmp_path) == before
        writer.execute(inserted(step))
        assert points(reader.poll().items) == [(step, {"loss": 9 - step})]
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE);" + inserted(4))
    assert points(reader.poll().items) == [(4, {"loss": 5})]
    writer.execute(inserted(5))
    writer.close()
    assert points(reader.poll().items) == [(5, {"loss": 4})]
    assert sorted(listing(tmp_path)) == ["a.db"]


def test_a_reader_does_not_make_a_writer_wait(writer: Writer, tmp_path: Path) -> None:
    writer.execute(f"PRAGMA journal_mode=wal; {TRACKIO} {inserted(0)}")
    with sqlite.reading(tmp_path / "a.db") as connection:
        rows = connection.execute("SELECT step FROM metrics")
        writer.execute(inserted(1))
        assert rows.fetchall() == [(0,)]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_what_a_killed_writer_left_is_read_and_stays_as_it_is(writer: Writer, tmp_path: Path, journal: str) -> None:
    writer.execute(f"PRAGMA journal_mode={journal}; PRAGMA cache_size=1; {TRACKIO} {inserted(0)}")
    # A transaction that is larger than the cache is written to the file before its end.
    writer.execute("BEGIN; " + "".join(map(inserted, range(1, 2000))))
    writer.kill()
    before = listing(tmp_path)
    assert len(before) > 1
    (reader,) = readers(tmp_path).values()
    assert points(reader.poll().items) == [(0, {"loss": 9})]
    assert listing(tmp_path) == before


@pytest.mark.parametrize("files", [("a.db", "a.db-wal"), ("a.db", "a.db-wal", "a.db-shm")])
def test_a_copy_of_a_live_database_needs_its_write_ahead_log(
    writer: Writer, tmp_path: Path, files: tuple[str, ...]
) -> None:
    writer.execute(f"PRAGMA journal_mode=wal; {TRACKIO} {inserted(0)} {inserted(1)}")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in files:
        shutil.copy(tmp_path / name, copy)
    before = listing(copy)
    (reader,) = readers(copy).values()
    assert points(reader.poll().items) == [(0, {"loss": 9}), (1, {"loss": 8})]
    assert listing(copy) == before


def test_a_copy_without_the_write_ahead_log_has_what_was_in_the_database(tmp_path: Path) -> None:
    with database(tmp_path / "a.db", TRACKIO) as connection:
        trackio_row(connection, "a", 0, {"loss": 9})
        connection.execute("PRAGMA wal_checkpoint")
        trackio_row(connection, "a", 1, {"loss": 8})
        (tmp_path / "copy").mkdir()
        shutil.copy(tmp_path / "a.db", tmp_path / "copy")
    (reader,) = readers(tmp_path / "copy").values()
    assert points(reader.poll().items) == [(0, {"loss": 9})]
    assert sorted(listing(tmp_path / "copy")) == ["a.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    with database(tmp_path / "a.db", TRACKIO) as connection:
        trackio_row(connection, "a", 0, {"loss": 9})
        tmp_path.chmod(0o500)
        (reader,) = readers(tmp_path).values()
        assert points(reader.poll().items) == [(0, {"loss": 9})]
        tmp_path.chmod(0o700)


def test_new_runs_are_found_and_each_has_its_own_rows(tmp_path: Path) -> None:
    with database(tmp_path / "a.db", TRACKIO) as connection:
        for step in range(3):
            trackio_row(connection, "a", step, {"loss": step})
            trackio_row(connection, "b", 10 * step, {"loss": -step})
        first = readers(tmp_path)
        assert {name: len(reader.poll().items) for name, reader in first.items()} == {"a": 3, "b": 3}
        trackio_row(connection, "c", 0, {"loss": 5})
        trackio_row(connection, "b", 30, {"loss": -3})
        assert {name: points(reader.poll().items) for name, reader in first.items()} == {
            "a": [], "b": [(30, {"loss": -3})],
        }  # fmt: skip
        assert sorted(readers(tmp_path)) == ["a", "b", "c"]


def test_two_runs_of_one_name_are_two_runs(tmp_path: Path) -> None:
    with database(tmp_path / "a.db", TRACKIO) as connection:
        for key in ("one", "two"):
            row = (key, WHEN, "same", 1, b'{"loss": 1}')
            connection.execute(
                "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)", row
            )
    assert [(source.name, source.key) for source in sources_of(tmp_path)] == [("same", "one"), ("same", "two")]


def test_values_and_configuration_of_trackio(tmp_path: Path) -> None:
    with database(tmp_path / "a.db", TRACKIO) as connection:
        config = json.dumps({"lr": 0.1, "model": {"layers": 2}, "_Created": WHEN, "_Group": None}).encode()
        connection.execute(
            "INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
            ("id-a", "a", config, WHEN),
        )
        values = {"loss": "NaN", "top": "-Infinity", "image": {"_type": "trackio.image", "width": 5}, "in": {"a": 1}}
        trackio_row(connection, "a", 1, values)
        trackio_row(connection, "a", 2, [1])
        machine = json.dumps({"gpu/0/utilization": 50, "gpu/0/total_memory": 80, "cpu/utilization": 7}).encode()
        connection.execute(
            "INSERT INTO system_metrics (run_id, timestamp, run_name, metrics) VALUES (?, ?, ?, ?)",
            ("id-a", WHEN, "a", machine),
        )
    (reader,) = readers(tmp_path).values()
    reading = reader.poll()
    assert repr(points(reading.items)) == "[(1.0, {'loss': nan, 'top': -inf, 'in.a': 1.0})]"
    assert [(line.number, line.file) for line in reading.broken] == [(2, "a.db")]
    assert reader.info.hyperparameters == {"lr": 0.1, "model.layers": 2}
    assert reader.info.started == reading.items[0].time == 1777629600  # type: ignore[union-attr]
    (system,) = (item for item in reading.items if isinstance(item, System))
    assert (system.cpu_percent, system.gpus[0].util_percent) == (7, 50)
    assert system.gpus[0].mem_total_gb == pytest.approx(85.899, abs=1e-3)


def test_trackio_itself_is_followed(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="trackio needs an older pillow than constraints.txt has")
    got = Read()
    with writers.writer(writers.TRACKIO, tmp_path) as process:
        writers.log_steps(process, 1, 20)
        while not (found := readers_of(tmp_path / "logs")):
            time.sleep(0.05)
        (reader,) = found.values()
        while len(got.poll(reader).points("train/loss")) < 20:
            time.sleep(0.05)
        writers.log_steps(process, 21, 40)
    got.poll(reader)
    assert got.points("train/loss") == [(step, 5 / step) for step in range(1, 41)]
    assert got.points("reward.mean") == [(step, step / 10) for step in range(1, 41)]
    assert all(math.isnan(value) for _, value in got.points("reward.nan"))
    assert got.points("val/loss") == [(step, 6 / step) for step in (10, 20, 30, 40)]
    assert reader.info.hyperparameters == {"model.layers": 2}


def test_a_database_of_trackio_before_runs_had_ids(tmp_path: Path) -> None:
    with database(tmp_path / "a.db", OLD_TRACKIO) as connection:
        for name in ("a", "b"):
            row = (WHEN, name, 1, '{"loss": 2}')
            connection.execute("INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?)", row)
    found = readers(tmp_path)
    assert sorted(found) == ["a", "b"]
    assert all(points(reader.poll().items) == [(1, {"loss": 2})] for reader in found.values())


def test_many_rows_come_in_several_readings(tmp_path: Path) -> None:
    count = 2 * sqlite.ROWS_AT_ONCE + 5
    with database(tmp_path / "a.db", TRACKIO) as connection:
        connection.execute("BEGIN")
        for step in range(count):
            trackio_row(connection, "ab"[step % 2], step, {"loss": 1})
        connection.execute("COMMIT")
        for name, reader in readers(tmp_path).items():
            steps, more = [], True
            while more:
                reading = reader.poll()
                steps += [x for x, _ in points(reading.items)]
                more = reading.more
            assert steps == list(range("ab".index(name), count, 2))


@pytest.mark.parametrize("schema", [TRACKIO, MLFLOW])
def test_a_database_that_is_made_anew_is_read_anew(tmp_path: Path, schema: str) -> None:
    def fill(path: Path, steps: range) -> None:
        with database(path, schema, "delete") as connection:
            if schema == MLFLOW:
                connection.execute("INSERT INTO runs VALUES ('id-a', 'a', '', 'RUNNING', 1, 1, 'active', 0)")
            for step in steps:
                if schema == TRACKIO:
                    trackio_row(connection, "a", step, {"loss": 1})
                else:
                    connection.execute("INSERT INTO metrics VALUES ('loss', 1, ?, 'id-a', ?, 0)", (step, step))

    fill(tmp_path / "a.db", range(3))
    (reader,) = readers(tmp_path).values()
    assert len(reader.poll().items) == 3
    fill(tmp_path / "new.db", range(10, 14))
    (tmp_path / "new.db").rename(tmp_path / "a.db")
    reading = reader.poll()
    assert (reading.reset, [x for x, _ in points(reading.items)]) == (True, [10, 11, 12, 13])


def test_values_and_statuses_of_mlflow(tmp_path: Path) -> None:
    with database(tmp_path / "mlflow.db", MLFLOW, "delete") as connection:
        for key, name, status in (("1", "a", "FINISHED"), ("2", None, "RUNNING"), ("3", "", "FAILED")):
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, '', ?, 1777629600000, NULL, 'active', 0)", (key, name, status)
            )
        connection.execute("INSERT INTO runs VALUES ('4', 'gone', '', 'FINISHED', 1, 1, 'deleted', 0)")
        connection.execute("INSERT INTO tags VALUES ('mlflow.runName', 'b', '2')")
        connection.executemany("INSERT INTO params VALUES (?, ?, '1')", [("lr", "0.1"), ("model/act", "gelu")])
        connection.executemany(
            "INSERT INTO metrics VALUES (?, ?, ?, '1', ?, ?)",
            [
                ("loss", 3.0, 1777629601000, 1, 0), ("lr", 0.5, 1777629601000, 1, 0),
                ("loss", 0.0, 1777629602000, 2, 1), ("loss", 1.7976931348623157e308, 1777629603000, 3, 0),
                ("loss", -1.7976931348623157e308, 1777629604000, 4, 0),
                # What shares a step is in the order of its times.
                ("twice", 7.0, 1777629606000, 5, 0), ("twice", 6.0, 1777629605000, 5, 0),
            ],
        )  # fmt: skip
    found = readers(tmp_path)
    assert sorted(found) == ["3", "a", "b"]
    read = {name: points(reader.poll().items) for name, reader in found.items()}
    assert {name: reader.info.ending for name, reader in found.items()} == {
        "a": "completed", "b": "running", "3": "failed",
    }  # fmt: skip
    assert found["a"].info.hyperparameters == {"lr": 0.1, "model/act": "gelu"}
    assert found["a"].info.started == 1777629600
    assert repr(read["a"]) == repr([
        (1.0, {"loss": 3.0, "lr": 0.5}), (2.0, {"loss": math.nan}), (3.0, {"loss": math.inf}),
        (4.0, {"loss": -math.inf}), (5.0, {"twice": 6.0}), (5.0, {"twice": 7.0}),
    ])  # fmt: skip


def test_the_end_of_a_run_comes_with_its_last_rows(tmp_path: Path) -> None:
    with database(tmp_path / "mlflow.db", MLFLOW, "delete") as connection:
        connection.execute("INSERT INTO runs VALUES ('1', 'a', '', 'RUNNING', 1, NULL, 'active', 0)")
        (reader,) = readers(tmp_path).values()
        assert (points(reader.poll().items), reader.info.ending) == ([], "running")
        connection.execute("INSERT INTO metrics VALUES ('loss', 1, 5, '1', 5, 0)")
        connection.execute("UPDATE runs SET status = 'FINISHED'")
        assert (points(reader.poll().items), reader.info.ending) == ([(5, {"loss": 1})], "completed")


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE metrics (id INTEGER, value REAL)",
        "CREATE TABLE cookies (name TEXT)",
        # Not even a view that would never end.
        "CREATE VIEW metrics AS WITH RECURSIVE a(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM a)"
        " SELECT id, '' AS timestamp, '' AS run_name, id AS step, '' AS metrics FROM a",
    ],
)
def test_other_databases_are_not_claimed(tmp_path: Path, schema: str) -> None:
    with database(tmp_path / "a.db", schema, "delete"):
        assert recognised(probe_of(tmp_path / "a.db")) is None
    (tmp_path / "b.db").write_bytes(sqlite.MAGIC + bytes(4000))
    assert recognised(probe_of(tmp_path / "b.db")) is None


def test_a_damaged_database_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with database(path, TRACKIO, "delete") as connection:
        connection.execute("BEGIN")  # one commit, for each waits for the disk
        for step in range(2000):
            trackio_row(connection, "a", step, {"loss": 1})
        connection.execute("COMMIT")
    (reader,) = readers(tmp_path).values()
    data = path.read_bytes()
    path.write_bytes(data[:20_000] + b"\xff" * (len(data) - 20_000))
    with pytest.raises(OSError, match="the database can't be read: "):
        reader.poll()
