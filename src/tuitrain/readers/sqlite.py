"""SQLite databases that another program may be writing: read without writing a byte, nor making it wait."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tuitrain.files import open_regular
from tuitrain.readers.model import Reading

MAGIC = b"SQLite format 3\0"
ROWS_AT_ONCE = 20_000
"""How many rows one poll reads."""
_WAL_VERSION = 2
_LOCKED_SECONDS = 1.0
"""How long a writer's lock is waited for; one that keeps a rollback journal holds it for milliseconds."""
_LONGEST_VALUE = 64 << 20
_SETTLED_SECONDS = 1.0
"""Age of a file's last write after which a further one has another time."""


class DatabaseFollower:
    """Reads a database whenever it was written, and from its beginning when another one took its place.

    read: adds what is new to a reading. begin: forgets what was read.
    """

    def __init__(
        self, path: Path, begin: Callable[[], None], read: Callable[[sqlite3.Connection, Reading], None]
    ) -> None:
        self._path = path
        self._begin = begin
        self._read = read
        self._files = [path, _beside(path, "-wal")]
        self._mark: tuple[tuple[int, ...], ...] = ()
        self._settled = False
        self._more = False
        self._inode = 0

    def poll(self) -> Reading:
        """What is new. Raises OSError with a sentence where the database cannot be read."""
        result = Reading()
        if not self._changed() and not self._more:
            return result
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return result
        if self._inode not in (0, inode):
            result.reset = True
            self._begin()
        with reading(self._path) as connection:
            self._read(connection, result)
        self._inode, self._more = inode, result.more
        return result

    def _changed(self) -> bool:
        """Whether it may have been written since the last call."""
        marks: list[tuple[int, ...]] = []
        newest = 0.0
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                marks.append(())
                continue
            marks.append((status.st_ino, status.st_size, status.st_mtime_ns))
            newest = max(newest, status.st_mtime)
        changed = tuple(marks) != self._mark or not self._settled
        self._mark, self._settled = tuple(marks), time.time() - newest > _SETTLED_SECONDS
        return changed


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that only reads, for a moment: while it is open, a writer can't clean up.

    In the folder of the database nothing is made or changed. SQLite itself would make an index of a write-ahead log
    that has none, as after copying it, and roll back what a killed writer left: that is done in a copy elsewhere.
    Raises OSError with a sentence, also for errors of SQLite in the block.
    """
    try:
        with _connection(path) as connection:
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # SQLite quotes a damaged name in its message.
        code = errno.EBUSY if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY else errno.EIO
        raise OSError(code, f"the database can't be read: {error}", str(path)) from error


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    with open_regular(path) as file:
        head = os.pread(file.fileno(), 20, 0)
    if head[: len(MAGIC)] != MAGIC:
        raise OSError(errno.EINVAL, "it is not an SQLite database", str(path))
    options = "mode=ro"
    if head[18:19] == bytes([_WAL_VERSION]):
        if not _holds_data(_beside(path, "-wal")):
            options += "&immutable=1"
        elif _beside(path, "-shm").exists():
            options += "&readonly_shm=1"
        else:
            options = ""
    if options:
        with closing(_opened(f"{path.absolute().as_uri()}?{options}")) as connection:
            if _is_readable(connection):
                yield connection
                return
    with tempfile.TemporaryDirectory(prefix="tuitrain-") as folder:
        copy = Path(folder) / "copy.db"
        for suffix in ("", "-wal", "-journal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
        with closing(_opened(copy.as_uri())) as connection:
            yield connection


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=_LOCKED_SECONDS, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def _is_readable(connection: sqlite3.Connection) -> bool:
    """Whether a reader that may not write can read it: one whose writer was killed needs repair first."""
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    return True


def tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """The names of the columns of each table; views are none."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 200")]
    columns = "SELECT name FROM pragma_table_info(?)"
    return {name: {column for (column,) in connection.execute(columns, (name,))} for name in names}


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _holds_data(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


class NewRows:
    """Reads the rows of one run in a table, each once, in the order in which they were inserted.

    column: the one whose value says which run a row is of. columns: those that are read, after the row's number.
    """

    def __init__(self, table: str, column: str, value: str, columns: tuple[str, ...]) -> None:
        self._table = f'"{table}"'
        # A `+` keeps SQLite from using an index: new rows are at the table's end, those of the run anywhere in it.
        names = ", ".join(f'"{name}"' for name in columns)
        self._rows = (
            f'SELECT rowid, {names} FROM {self._table} WHERE rowid > ? AND rowid <= ? AND +"{column}" = ?'
            f" ORDER BY rowid LIMIT {ROWS_AT_ONCE}"
        )
        self._range = f'SELECT min(rowid), max(rowid) FROM {self._table} WHERE "{column}" = ? AND rowid > ?'
        self._value = value
        self._seen = 0
        self._caught_up = False

    def read(self, connection: sqlite3.Connection) -> tuple[list[tuple[Any, ...]], bool, bool]:
        """At most ROWS_AT_ONCE further rows, whether there are fewer rows than before, and whether there are more.

        With fewer rows the table is read from its beginning.
        """
        newest = connection.execute(f"SELECT max(rowid) FROM {self._table}").fetchone()[0] or 0
        reset = newest < self._seen
        if reset:
            self._seen, self._caught_up = 0, False
        begin, end = self._seen, newest
        if not self._caught_up:
            # Of a table that holds many runs only the part is read that has rows of this one.
            first, last = connection.execute(self._range, (self._value, self._seen)).fetchone()
            begin, end = (first - 1, last) if first is not None else (newest, newest)
        rows = connection.execute(self._rows, (begin, end, self._value)).fetchall() if begin < end else []
        more = len(rows) == ROWS_AT_ONCE
        self._seen = rows[-1][0] if more else newest
        self._caught_up = self._caught_up or not more
        return rows, reset, more
