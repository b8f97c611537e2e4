"""A run at a glance: what a list of runs shows, read from the two ends of the log and not from its middle."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

from tuitrain.events import AnyRecord, BrokenLineError, End, Eval, Run, Step, decode
from tuitrain.runs.layout import RunDirectory, RunInfo
from tuitrain.runs.status import Status, derive_status

HEAD_BYTES = 256 << 10
TAIL_BYTES = 64 << 10
SEARCH_BYTES = 8 << 20
EVAL_MARK = b'{"type":"eval"'


@dataclass(frozen=True)
class Glance:
    """The newest facts of a run; what the log does not say is None."""

    directory: RunDirectory
    info: RunInfo | None
    status: Status
    run: Run | None
    step: Step | None
    evaluation: Eval | None
    end: End | None
    last_time: float | None

    @property
    def name(self) -> str:
        """The run's short name, or its id."""
        if self.run is not None:
            return self.run.name
        return self.info.name if self.info else self.directory.run_id


def glance(directory: RunDirectory, now: float | None = None) -> Glance:
    """Read the first and the last part of the log; a missing log is an empty one.

    The newest evaluation, where it is in neither, is looked for backwards through at most 8 MB.
    """
    info = directory.read_info()
    run: Run | None = None
    step: Step | None = None
    evaluation: Eval | None = None
    end: End | None = None
    last_time: float | None = None
    for record in _records(directory):
        last_time = max(last_time or record.time, record.time)
        match record:
            case Run():
                run, end = record, None
            case Step():
                # Steps after an end are of a later attempt, whose first record may lie between the two parts.
                step, end = record, None
            case Eval():
                evaluation = record
            case End():
                end = record
    status = derive_status(info, end, last_time, step is not None, now, lock=directory.lock)
    return Glance(directory, info, status, run, step, evaluation, end, last_time)


def _records(directory: RunDirectory) -> list[AnyRecord]:
    """The records at both ends of the log and the newest evaluation, in the order of the log."""
    try:
        with directory.metrics.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= HEAD_BYTES + TAIL_BYTES:
                return _decoded(file.read())
            head = _decoded(file.read(HEAD_BYTES) + file.readline())
            start, tail = _back_to(file, EVAL_MARK, size)
    except OSError:
        return []
    if start > HEAD_BYTES and EVAL_MARK not in tail:
        # The newest one lies where nobody looked: unknown is better than an old one.
        head = [record for record in head if not isinstance(record, Eval)]
    return head + _decoded(tail)


def _back_to(file: BinaryIO, mark: bytes, size: int) -> tuple[int, bytes]:
    """The end of a file from the last line that begins with `mark` on, or SEARCH_BYTES of it; and where that begins.

    What lies between that line and the last TAIL_BYTES is left out.
    """
    start = max(HEAD_BYTES, size - TAIL_BYTES)
    file.seek(start - 1)
    tail = file.read().partition(b"\n")[2]
    if mark in tail:
        return start, tail
    end = start + len(mark)
    while start > max(HEAD_BYTES, size - SEARCH_BYTES):
        start = max(HEAD_BYTES, start - TAIL_BYTES)
        file.seek(start - 1)
        place = file.read(end - start + 1).rfind(b"\n" + mark)
        if place >= 0:
            file.seek(start + place)
            return start, file.readline() + tail
        end = start + len(mark)
    return start, tail


def _decoded(data: bytes) -> list[AnyRecord]:
    records = []
    for line in data.split(b"\n"):
        try:
            record = decode(line) if line.strip() else None
        except BrokenLineError:
            continue
        if record is not None:
            records.append(record)
    return records
