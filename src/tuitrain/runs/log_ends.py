"""What a log says at its two ends: its first and last records, and those between that it takes to know the newest."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tuitrain.events import AnyRecord, Eval, Run
from tuitrain.events.results import VALIDATION, validation_split
from tuitrain.files import open_regular
from tuitrain.readers.model import Ending
from tuitrain.readers.text import LONGEST_LINE
from tuitrain.runs.curve import MAX_POINTS, Points, joined, points_of, sampled
from tuitrain.runs.follow import Batch, Follower, LineParser, LogFollower
from tuitrain.runs.history import RunHistory

HEAD_BYTES = 64 << 10
TAIL_BYTES = 64 << 10
SEARCH_BYTES = 8 << 20
"""At most so much is read at the end of a log. What is not in it counts as unknown: better than an old value."""
KEYS = ("loss", "tokens", "mfu", "tokens_per_sec")
"""Of the newest step; where its record lacks one, the newest record that has it."""
_STEPS_KEPT = 1000
_BEGINNINGS = (b'"type":"run"', b'"type":"step"')
_OVERLAP = 32


@dataclass
class LogEnds:
    """The two ends of a log. A missing log is empty.

    tail: the end of the log, which later polls continue. head: its beginning, unless `tail` has that too. whole:
    whether every line was read. searched: whether nothing more can be known. problem: why the log cannot be read.
    launched: the `run` record of the newest attempt where `tail` has none. ending: what another tool's log says of it.
    """

    mark: tuple[int, ...] = ()
    follower: LogFollower | None = None
    head: RunHistory = field(default_factory=RunHistory)
    tail: RunHistory = field(default_factory=RunHistory)
    whole: bool = True
    searched: bool = False
    curve: Points = ()
    problem: str = ""
    launched: Run | None = None
    ending: Ending | None = None

    @property
    def run(self) -> Run | None:
        """The newest `run` record."""
        return self.tail.run or self.launched or self.head.run

    @property
    def has_begun(self) -> bool:
        """Whether the newest attempt has made a step."""
        return (len(self.tail.steps) > 0 or len(self.head.steps) > 0) and self.tail.stage is None

    @property
    def end_of_lines(self) -> int:
        """Where the last whole line that was read ends, in bytes."""
        return self.follower.end_of_lines if self.follower is not None else 0

    @property
    def last_time(self) -> float | None:
        """Unix seconds of the newest record."""
        return self.head.last_time if self.tail.last_time is None else self.tail.last_time

    @property
    def wall_time_s(self) -> float | None:
        """Seconds that the run took. Of several attempts it takes every line to know how long each was."""
        run = self.run
        return self.tail.wall_time_since(run.time) if run is not None and (self.whole or run.attempt == 1) else None

    @property
    def evaluation(self) -> Eval | None:
        """The newest evaluation of the validation split."""
        evaluations = self.tail.evaluations_of(validation_split([*self.head.splits, *self.tail.splits]))
        return evaluations[-1] if evaluations else None

    def missing(self) -> list[bytes]:
        """What to search for further back: words of which a line has one that holds a value which is unknown."""
        steps, head = self.tail.steps, self.head.steps
        words = [] if len(steps) else [b'"step"']
        words += [f'"{key}"'.encode() for key in KEYS if head.has(key) and not steps.has(key)]
        return words + ([] if self.tail.evaluations_of(VALIDATION) else [b'"eval"'])


def read_log_ends(path: Path, before: LogEnds, launched_at: int | None) -> LogEnds:
    """The ends of a log as it is now, continued from what was read before; a missing log is empty.

    launched_at: where the records of the newest attempt begin, if that is known.
    """
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            ends = before if _continue(before, status) else _read_anew(path, file.fileno(), status.st_size)
            if ends.tail.run is None and launched_at:
                ends.launched = _run_at(file.fileno(), launched_at)
            ends.mark = status.st_ino, status.st_size, status.st_mtime_ns
            return ends
    except FileNotFoundError:
        return LogEnds()
    except OSError as error:
        return LogEnds(problem=f"cannot read the log: {error.strerror or error}")


def read_on(follower: Follower, ends: LogEnds) -> LogEnds:
    """The log of another tool, read to its end: all of it the first time, then what was added."""
    try:
        while True:
            batch = follower.poll()
            if batch.reset:
                ends = LogEnds()
            _absorb(ends, batch)
            ends.ending = batch.ending
            if not batch.more:
                return ends
    except OSError as error:
        ends.problem = f"cannot read the log: {error.strerror or error}"
        return ends


def _absorb(ends: LogEnds, batch: Batch) -> None:
    """Add what was read to the end of the log."""
    ends.tail.absorb(batch.records, batch.broken)
    ends.curve = joined(ends.curve, points_of(batch.records, 1 if ends.curve else MAX_POINTS))
    if len(ends.tail.steps) > 2 * _STEPS_KEPT:
        ends.tail.keep_newest(_STEPS_KEPT)


def _continue(ends: LogEnds, status: os.stat_result) -> bool:
    """Append what was written since, if the file is still the same and it is only a little."""
    follower = ends.follower
    if follower is None or status.st_size - follower.end_of_lines > HEAD_BYTES + TAIL_BYTES:
        return False
    batch = follower.poll()
    if batch.reset:
        return False
    _absorb(ends, batch)
    # A restart may have superseded the newest values.
    return ends.whole or ends.searched or not ends.missing()


def _read_anew(path: Path, file: int, size: int) -> LogEnds:
    ends = LogEnds()
    if size <= HEAD_BYTES + TAIL_BYTES:
        data = _lines(os.pread(file, size, 0))
        ends.tail, records = _history(data)
        ends.curve = points_of(records)
        end = len(data)
    else:
        head = _first_lines(file, HEAD_BYTES)
        ends.head, _ = _history(head)
        ends.curve = sampled(file, size)
        end = _search_back(file, ends, head, size)
    ends.follower = LogFollower(path, start=end)
    ends.follower.remember(file)
    return ends


def _search_back(file: int, ends: LogEnds, head: bytes, size: int) -> int:
    """Read from the end towards the head, twice as much each time, until nothing is missing.

    Returns where the last whole line ends.
    """
    begin, start, data = len(head), size, b""
    words: list[bytes] | None = None
    read = False
    while True:
        end, start = start, max(begin, size - max(TAIL_BYTES, 2 * (size - start)))
        data = os.pread(file, end - start, start) + data
        new = data[: end - start + _OVERLAP]
        read = words is None or any(word in new for word in words)
        if read:
            # The first bytes may be in the middle of a line.
            first = 0 if start == begin else data.find(b"\n") + 1
            ends.tail, _ = _history(_lines(data[first:]))
            words = ends.missing()
        if not words or start == begin or size - start >= SEARCH_BYTES:
            break
    ends.whole, ends.searched = False, bool(words)
    if start == begin and (read or (ends.head.splits and words)):
        ends.head, ends.whole = RunHistory(), True
        ends.tail, _ = _history(head + _lines(data))
    return start + len(_lines(data))


def _history(data: bytes) -> tuple[RunHistory, tuple[AnyRecord, ...]]:
    """The history of whole lines, and their records."""
    history = RunHistory()
    records, broken = LineParser().feed(data)
    history.absorb(records, broken)
    return history, records


def _first_lines(file: int, least: int) -> bytes:
    """Whole lines at the beginning of a file: at least so many bytes, and a `run` record or a step, if it has them.

    Readings of the machine precede both while a launched program starts.
    """
    data = bytearray(os.pread(file, least, 0))
    while len(data) <= LONGEST_LINE and (more := os.pread(file, TAIL_BYTES, len(data))):
        end = more.find(b"\n") + 1
        if end and any(word in data for word in _BEGINNINGS):
            data += more[:end]
            break
        data += more
    return _lines(bytes(data))


def _run_at(file: int, offset: int) -> Run | None:
    """The first `run` record from this byte on."""
    records, _ = LineParser().feed(os.pread(file, HEAD_BYTES, offset))
    return next((record for record in records if isinstance(record, Run)), None)


def _lines(data: bytes) -> bytes:
    """The whole lines of these bytes."""
    return data[: data.rfind(b"\n") + 1]


def end_of_lines(path: Path) -> int:
    """Where the last whole line of a file ends; 0 for a file that is not there or cannot be read."""
    try:
        with open_regular(path) as file:
            start = os.fstat(file.fileno()).st_size
            while start:
                end, start = start, max(0, start - TAIL_BYTES)
                newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
                if newline >= 0:
                    return start + newline + 1
    except OSError:
        pass
    return 0
