"""The newest facts of a log, from its two ends and as much of what lies between as it takes to know them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tuitrain.accounting import RECENT_RECORDS
from tuitrain.events import Alert, End, Eval, Run, Step, WallTime
from tuitrain.files import open_regular
from tuitrain.runs.curve import Points, joined, looked_up, points_of
from tuitrain.runs.follow import LONGEST_LINE, LineParser
from tuitrain.runs.results import VALIDATION, RunResults, validation_split
from tuitrain.runs.status import Liveness

HEAD_BYTES = 64 << 10
TAIL_BYTES = 64 << 10
SEARCH_BYTES = 8 << 20
"""At most so much is read at the end of a log. What is not in it counts as unknown: better than an old value."""
KEYS = ("loss", "tokens", "mfu", "tokens_per_sec")
"""Of the newest step; where its record lacks one, the newest record that has it tells it."""
_STEPS_KEPT = 1000
_MEMORY_BYTES = 64
_OVERLAP = 32


class Records:
    """What the records of a log come to, taken in in their order."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.live = Liveness()
        self.alert: Alert | None = None
        self.results = RunResults()
        self.steps: list[Step] = []
        """The newest of those that were not superseded."""
        self.broken = 0
        self.attempt_step: int | None = None
        """The first step of the newest attempt, where its beginning is among the records."""
        self.wall_time = WallTime()
        self._begins = False

    def absorb(self, data: bytes) -> list[Step]:
        """Take in whole lines. Returns the steps among them."""
        records, broken = LineParser().feed(data)
        self.broken += len(broken)
        for record in records:
            self.live.take(record)
            self.wall_time.absorb(record)
            match record:
                case Step():
                    self._absorb_step(record)
                case Eval():
                    self.results.add(record)
                case Run():
                    self.run, self._begins = record, True
                    self.results.begin()
                case End():
                    self.results.begin()
                case Alert():
                    self.alert = record
        del self.steps[:-_STEPS_KEPT]
        return [record for record in records if isinstance(record, Step)]

    def _absorb_step(self, record: Step) -> None:
        if self._begins:
            self._begins, self.attempt_step = False, record.step
        if record.step < self.results.least_step:
            self.results.restart(record.step)
        self.results.least_step = record.step
        while self.steps and self.steps[-1].step >= record.step:
            self.steps.pop()
        self.steps.append(record)

    def recent(self) -> tuple[tuple[float, int, float], ...]:
        """Time, step and tokens of the newest steps of the newest attempt, at most RECENT_RECORDS."""
        if self._begins:
            return ()
        first = self.attempt_step or 0
        return tuple(
            (each.time, each.step, each.tokens if each.tokens is not None else math.nan)
            for each in self.steps[-RECENT_RECORDS:]
            if each.step >= first
        )

    def value(self, key: str) -> float | None:
        """The newest value of a key of the steps."""
        return next((value for step in reversed(self.steps) if (value := getattr(step, key)) is not None), None)

    def newest_step(self) -> Step | None:
        """The newest step, with the newest known value of each of KEYS."""
        if not self.steps:
            return None
        lacking = [key for key in KEYS if getattr(self.steps[-1], key) is None]
        return msgspec.structs.replace(self.steps[-1], **{key: self.value(key) for key in lacking})


@dataclass
class NewestFacts:
    """What is known of a log that was read up to `offset`, the end of a line whose last bytes are `tail`.

    records: of the end of the log. head: of its beginning, unless `records` has those too. whole: whether every line
    was read. searched: whether nothing more can be known. problem: why the log cannot be read.
    """

    mark: tuple[int, ...] = ()
    offset: int = 0
    tail: bytes = b""
    records: Records = field(default_factory=Records)
    head: Records = field(default_factory=Records)
    whole: bool = True
    searched: bool = False
    curve: Points = ()
    problem: str = ""
    launched: Run | None = None

    def settle(self) -> None:
        """Find out what the records come to."""
        records, head = self.records, self.head
        self.run = records.run or self.launched or head.run
        self.step = records.newest_step()
        self.stage = records.live.stage
        self.begun = (records.live.has_steps or head.live.has_steps) and self.stage is None
        self.evaluation = self._evaluation()
        self.end, self.alert = records.live.end, records.alert
        self.last_time = head.live.last_time if records.live.last_time is None else records.live.last_time
        self.broken = head.broken + records.broken
        self.recent = records.recent()
        self.wall_time_s = self._wall_time_s()

    def _wall_time_s(self) -> float | None:
        """Of several attempts it takes every line to know how long each was."""
        known = self.run is not None and (self.whole or self.run.attempt == 1)
        return self.records.wall_time.seconds(self.run.time) if self.run is not None and known else None

    def _evaluation(self) -> Eval | None:
        splits = dict.fromkeys([*self.head.results.splits, *self.records.results.splits])
        found = self.records.results.evaluations(validation_split(splits))
        return found[-1] if found else None

    def missing(self) -> list[bytes]:
        """What to look for further back: words of which a line has one that tells what is not known yet."""
        records, head = self.records, self.head
        words = [] if records.steps else [b'"step"']
        words += [f'"{key}"'.encode() for key in KEYS if head.value(key) is not None and records.value(key) is None]
        return words + ([] if records.results.evaluations(VALIDATION) else [b'"eval"'])


def read_newest(path: Path, known: NewestFacts, launched_at: int | None) -> NewestFacts:
    """The facts of a log as it is now, from those that are known of it and what came since; a missing log is empty.

    launched_at: where the records of the newest attempt begin, as far as that is known.
    """
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            mark = status.st_ino, status.st_size, status.st_mtime_ns
            facts = known if _read_on(file.fileno(), known, mark) else _anew(file.fileno(), status.st_size)
            if facts.records.run is None and launched_at:
                facts.launched = _run_at(file.fileno(), launched_at)
            facts.mark = mark
            facts.tail = os.pread(file.fileno(), min(_MEMORY_BYTES, facts.offset), max(facts.offset - _MEMORY_BYTES, 0))
    except FileNotFoundError:
        facts = NewestFacts()
    except OSError as error:
        facts = NewestFacts(problem=f"cannot read the log: {error.strerror or error}")
    facts.settle()
    return facts


def _read_on(file: int, known: NewestFacts, mark: tuple[int, ...]) -> bool:
    """Take in what was appended, if the file is the one that is known and it is only a little."""
    if not known.mark or known.mark[0] != mark[0] or not 0 <= mark[1] - known.offset <= HEAD_BYTES + TAIL_BYTES:
        return False
    if os.pread(file, len(known.tail), known.offset - len(known.tail)) != known.tail:
        return False
    data = _lines(os.pread(file, mark[1] - known.offset, known.offset))
    known.curve = joined(known.curve, points_of(known.records.absorb(data), 1))
    known.offset += len(data)
    # A restart may have left nothing of what was known.
    return known.whole or known.searched or not known.missing()


def _anew(file: int, size: int) -> NewestFacts:
    facts = NewestFacts()
    if size <= HEAD_BYTES + TAIL_BYTES:
        data = _lines(os.pread(file, size, 0))
        facts.curve = points_of(facts.records.absorb(data))
        facts.offset = len(data)
        return facts
    head = _first_lines(file, HEAD_BYTES)
    facts.head.absorb(head)
    facts.curve = looked_up(file, size)
    _search_back(file, facts, head, size)
    return facts


def _search_back(file: int, facts: NewestFacts, head: bytes, size: int) -> None:
    """Read from the end towards the head, twice as much each time, until all is known."""
    begin, start, data = len(head), size, b""
    wanted: list[bytes] | None = None
    read = False
    while True:
        end, start = start, max(begin, size - max(TAIL_BYTES, 2 * (size - start)))
        data = os.pread(file, end - start, start) + data
        new = data[: end - start + _OVERLAP]
        read = wanted is None or any(word in new for word in wanted)
        if read:
            # What begins in the middle of a line is none.
            first = 0 if start == begin else data.find(b"\n") + 1
            facts.records = Records()
            facts.records.absorb(_lines(data[first:]))
            wanted = facts.missing()
        if not wanted or start == begin or size - start >= SEARCH_BYTES:
            break
    facts.offset = start + len(_lines(data))
    facts.whole, facts.searched = False, bool(wanted)
    if start == begin and (read or (facts.head.results.splits and wanted)):
        facts.head, facts.records, facts.whole = Records(), Records(), True
        facts.records.absorb(head + _lines(data))


def _first_lines(file: int, least: int) -> bytes:
    """Whole lines at the beginning of a file: at least so many bytes, if it has them."""
    data = bytearray(os.pread(file, least, 0))
    while len(data) <= LONGEST_LINE and (more := os.pread(file, TAIL_BYTES, len(data))):
        end = more.find(b"\n") + 1
        data += more[:end] if end else more
        if end:
            break
    return _lines(bytes(data))


def _run_at(file: int, offset: int) -> Run | None:
    """The first `run` record from this place on."""
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
                place = os.pread(file.fileno(), end - start, start).rfind(b"\n")
                if place >= 0:
                    return start + place + 1
    except OSError:
        pass
    return 0
