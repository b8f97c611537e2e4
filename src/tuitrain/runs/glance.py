"""A run at a glance: what a list of runs shows, read from the two ends of the log and not from its middle."""

from __future__ import annotations

from dataclasses import dataclass

from tuitrain.events import AnyRecord, BrokenLineError, End, Eval, Run, Step, decode
from tuitrain.runs.layout import RunDirectory, RunInfo
from tuitrain.runs.status import Status, derive_status

HEAD_BYTES = 256 << 10
TAIL_BYTES = 64 << 10


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
    """Read the first and the last part of the log, at most 320 kB; a missing log is an empty one."""
    info = directory.read_info()
    run: Run | None = None
    step: Step | None = None
    evaluation: Eval | None = None
    end: End | None = None
    last_time: float | None = None
    for record in _both_ends(directory):
        last_time = max(last_time or record.time, record.time)
        match record:
            case Run():
                run, end = record, None
            case Step():
                step = record
            case Eval():
                evaluation = record
            case End():
                end = record
    status = derive_status(info, end, last_time, step is not None, now)
    return Glance(directory, info, status, run, step, evaluation, end, last_time)


def _both_ends(directory: RunDirectory) -> list[AnyRecord]:
    try:
        with directory.metrics.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
            tail = b""
            if size > len(head):
                start = max(len(head), size - TAIL_BYTES)
                file.seek(start)
                tail = file.read()
                if start > len(head):
                    tail = tail.partition(b"\n")[2]
    except OSError:
        return []
    # Where head and tail touch, the line between them is one line.
    joint = b"" if size - len(head) <= TAIL_BYTES else b"\n"
    records = []
    for line in (head + joint + tail).split(b"\n"):
        try:
            record = decode(line) if line.strip() else None
        except BrokenLineError:
            continue
        if record is not None:
            records.append(record)
    return records
