"""What an external program prints or logs, as records in the log of its run."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from pathlib import Path

import msgspec

from tuitrain.events import AnyRecord, End, EventWriter, Record, Run, System
from tuitrain.files import FollowedDirectory
from tuitrain.monitor import SystemMonitor, monitor_enabled
from tuitrain.readers.blocks import one_by_one
from tuitrain.readers.discover import sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Reader, Reading, RunInfo, Source
from tuitrain.readers.records import RecordReader
from tuitrain.readers.stream_reader import StreamReader
from tuitrain.readers.supplied import supplied_of
from tuitrain.readers.tail import CHUNK_BYTES
from tuitrain.runs import RunDirectory, lock_held
from tuitrain.runs.foreign import Given, names_in_settings, written_at

LOOK_S = 2.0
"""A folder may hold thousands of files."""
SYSTEM_INTERVAL_S = 5.0
_MOST_READINGS = 1000
"""That wait for the disk."""
_SYSTEM = b'{"type":"system",'
"""The beginning of a line with readings of the machine."""
_SLACK_S = 2.0
"""By which the clock of a file system may be behind."""


class ConsoleReader:
    """Reads a console, in whatever format shows in it. Raises OSError where there is none."""

    def __init__(self, console: Path, name: str, start: int = 0) -> None:
        """start: where what the program prints begins, in bytes; before it are earlier attempts."""
        # An open file stays known when the run is renamed.
        self._file = console.open("rb", buffering=0)
        self._file.seek(start)
        self._stream = StreamReader(name)

    @property
    def info(self) -> RunInfo:
        """What is known of the run."""
        return self._stream.info

    def poll(self) -> Reading:
        """The items of what was printed."""
        data = self._file.read(CHUNK_BYTES)
        self._stream.add(data)
        reading = self._stream.poll()
        reading.more = len(data) == CHUNK_BYTES
        return reading

    def finish(self) -> None:
        """End the last line."""
        self._stream.add(b"\n")


class AwaitedReader:
    """Reads a file or folder of any format once it is there and was written since the program started.

    Of several runs in a folder it reads the first that has metrics. What is found at the start is looked for again
    every LOOK_S seconds.
    """

    def __init__(self, path: Path, started: float) -> None:
        self._path = path
        self._since = started - _SLACK_S
        self._reader: Reader | None = None
        self._looked = 0.0

    @property
    def info(self) -> RunInfo:
        """What is known of the run."""
        return self._reader.info if self._reader is not None else RunInfo(self._path.name)

    def poll(self) -> Reading:
        """The items of what was added; none as long as nothing is there."""
        if self._reader is not None:
            return self._reader.poll()
        if time.monotonic() - self._looked < LOOK_S:
            return Reading()
        self._looked = time.monotonic()
        return self._look()

    def finish(self) -> None:
        """Look at the next poll, however short the time since the last look."""
        self._looked = 0.0

    def _look(self) -> Reading:
        for source in self._written():
            reader = BY_NAME[source.format].open(source)
            reading = reader.poll()
            if reading.items:
                self._reader = reader
                return reading
        return Reading()

    def _written(self) -> list[Source]:
        if not self._path.exists():
            return []
        return [source for source in sources_of(self._path) if written_at(source) >= self._since]


class ProgramLog:
    """Appends what a reader reads of a program, and readings of the machine, to the log of its run.

    It ends where the program writes there itself: it holds the lock of the run, as `tuitrain.init` does, or has
    written to the log.

    name: that of the run. started: when the program was, in Unix seconds. given: names and facts that the user
    supplied. attempt: its number, after those whose bytes `earlier` in the log are. Nothing that fails here ends the
    program: the reason is printed, and nothing more is read. What cannot be written, as on a full disk, is tried
    again; meanwhile the console keeps what the program prints.
    """

    def __init__(
        self,
        directory: FollowedDirectory,
        reader: ConsoleReader | AwaitedReader,
        name: str,
        started: float,
        given: Given,
        attempt: int = 1,
        earlier: int = 0,
    ) -> None:
        self._directory = directory
        self._attempt = attempt
        self._reader = reader
        self._name = name
        self._started = started
        self._records = RecordReader(
            reader, directory.path.name, NameMapping(given.names, names_in_settings()),
            supplied=supplied_of(given.facts),
        )  # fmt: skip
        self._earlier = earlier
        self._writer: EventWriter | None = None
        self._waiting: list[AnyRecord] = []
        """Records of the run before its first metric: they are the program's to write if it writes metrics itself."""
        self._unwritten: deque[Record] = deque()
        self._said_unwritten = False
        self._readings: deque[Record] = deque(maxlen=_MOST_READINGS)
        """Of the machine, from another thread, not yet written."""
        self._monitor: SystemMonitor | None = None
        if monitor_enabled():
            # The folder of the runs is in the same file system, and keeps its name.
            self._monitor = SystemMonitor(self._readings.append, SYSTEM_INTERVAL_S, directory.path.parent)
        self._ended = False

    def poll(self) -> None:
        """Append what was read since the last call."""
        while not self._ended:
            try:
                if not self._append():
                    return
            # A program trains on whatever a reader makes of its output.
            except Exception as error:
                print(f"tuitrain: metrics are no longer read from the output: {error}", file=sys.stderr, flush=True)
                self._end()

    def finish(self) -> None:
        """Append the rest."""
        self._close_monitor()
        self._reader.finish()
        self.poll()
        if self._unwritten:
            print(f"tuitrain: {len(self._unwritten):,} records are lost.", file=sys.stderr, flush=True)

    def _end(self) -> None:
        self._ended = True
        self._close_monitor()

    def _close_monitor(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def _append(self) -> bool:
        """Read and write once; returns whether there is more at once."""
        if self._unwritten and not self._write():
            return False
        # Read before the program's output, whose records are of the time when it is read.
        ready = [self._readings.popleft() for _ in range(len(self._readings))]
        read = self._records.poll()
        if not read.records and not read.reset and not ready:
            return read.more
        run = RunDirectory(self._directory.path)
        log = run.metrics
        if self._is_foreign(log) or lock_held(run.lock):
            self._end()
            return False
        if read.reset:
            # The format showed only now, or the file was written anew.
            self._waiting = []
            self._begin_anew(log)
        self._waiting += [self._of_run(each) for each in one_by_one(read.records) if self._is_taken(each)]
        if not all(isinstance(each, Run) for each in self._waiting):
            ready += self._waiting
            self._waiting = []
        self._unwritten.extend(ready)
        return self._write() and read.more

    def _write(self) -> bool:
        """Append the records that wait; False where they cannot be written."""
        log = RunDirectory(self._directory.path).metrics
        try:
            while self._unwritten:
                self._writer = self._writer or EventWriter(log)
                self._writer.write(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as error:
            if not self._said_unwritten:
                self._said_unwritten = True
                sentence = f"{log} cannot be written: {error.strerror}. It is tried again."
                print(f"tuitrain: {sentence}", file=sys.stderr, flush=True)
            return False
        return True

    def _is_taken(self, record: AnyRecord) -> bool:
        """Whether it is for the log: the end is another's to write, and readings of the machine are not kept twice."""
        return not isinstance(record, End) and not (isinstance(record, System) and monitor_enabled())

    def _of_run(self, record: AnyRecord) -> AnyRecord:
        """The record; that of a run with its name and the time of its start."""
        if isinstance(record, Run):
            return msgspec.structs.replace(record, name=self._name, time=self._started, attempt=self._attempt)
        return record

    def _is_foreign(self, log: Path) -> bool:
        """Whether the log holds more than what was written here."""
        try:
            return log.stat().st_size > self._earlier + (self._writer.written if self._writer is not None else 0)
        except FileNotFoundError:
            return False

    def _begin_anew(self, log: Path) -> None:
        """Remove from the log what was read of the program."""
        if self._writer is not None:
            written = log.read_bytes()[self._earlier :]
            kept = [line for line in written.splitlines(keepends=True) if line.startswith(_SYSTEM)]
            self._writer.close()
            os.truncate(log, self._earlier)
            self._writer = EventWriter(log)
            self._writer.append(b"".join(kept))
