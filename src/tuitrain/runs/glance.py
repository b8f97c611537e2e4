"""A run at a glance: what a list of runs shows, read from the two ends of the log and a few places between them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from tuitrain.events import Alert, AnyRecord, BrokenLineError, End, Eval, Run, Step, decode
from tuitrain.runs.curve import Points, joined, looked_up, points_of
from tuitrain.runs.layout import RunDirectory, RunInfo
from tuitrain.runs.status import Status, derive_status

HEAD_BYTES = 64 << 10
TAIL_BYTES = 64 << 10
SEARCH_BYTES = 8 << 20
EVAL_MARK = b'{"type":"eval"'
_MEMORY_BYTES = 64


@dataclass(frozen=True)
class Glance:
    """The newest facts of a run; what the log does not say is None. problem: what of it cannot be read."""

    directory: RunDirectory
    info: RunInfo | None
    status: Status
    run: Run | None
    step: Step | None
    evaluation: Eval | None
    end: End | None
    last_time: float | None
    alert: Alert | None = None
    curve: Points = ()
    """The loss at a few places of the log."""
    problem: str = ""

    @property
    def name(self) -> str:
        """The run's short name, or its id."""
        if self.run is not None:
            return self.run.name
        return self.info.name if self.info else self.directory.run_id

    @property
    def created(self) -> float | None:
        """Unix seconds of its launch; of its newest record where only that is known."""
        return self.info.created if self.info is not None else self.last_time

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return self.info.tags if self.info is not None else []

    @property
    def notes(self) -> list[str]:
        """Its notes, the oldest first."""
        return self.info.notes if self.info is not None else []

    @property
    def loss(self) -> float | None:
        """The newest loss."""
        return self.step.loss if self.step is not None else None

    @property
    def val_loss(self) -> float | None:
        """The newest validation loss."""
        return self.evaluation.loss if self.evaluation is not None else None

    @property
    def params(self) -> int | None:
        """Parameters of the model."""
        return self.run.architecture.params_total if self.run is not None and self.run.architecture else None

    @property
    def progress(self) -> float | None:
        """Share of the work that is done, 0–1: of the steps, or of the token budget where there is only that."""
        if self.run is None:
            return None
        if self.run.total_steps:
            return min((self.step.step if self.step else 0) / self.run.total_steps, 1.0)
        if self.run.token_budget:
            return min((self.step.tokens or 0 if self.step else 0) / self.run.token_budget, 1.0)
        return None


def glance(directory: RunDirectory, now: float | None = None) -> Glance:
    """Look at a run: the first and the last part of its log and a few places between; a missing log is an empty one.

    The newest evaluation, where it is in neither part, is looked for backwards through at most 8 MB.
    """
    return Glancer().look(directory, now)


@dataclass(frozen=True)
class _Log:
    """What is known of a log that was read up to `offset`, the end of a line whose last bytes are `tail`."""

    mark: tuple[int, ...] = ()
    offset: int = 0
    tail: bytes = b""
    run: Run | None = None
    step: Step | None = None
    evaluation: Eval | None = None
    end: End | None = None
    alert: Alert | None = None
    last_time: float | None = None
    curve: Points = ()
    problem: str = ""


class Glancer:
    """Looks at runs again and again, and reads no more of each than what came since it last did."""

    def __init__(self) -> None:
        self._logs: dict[RunDirectory, _Log] = {}
        self._infos: dict[RunDirectory, tuple[tuple[int, ...], RunInfo | None]] = {}
        self._seen: dict[RunDirectory, Glance] = {}

    def look_at(self, runs: Sequence[RunDirectory]) -> tuple[Glance, ...]:
        """All of them, in their order; what was known of others is forgotten."""
        for gone in self._seen.keys() - set(runs):
            del self._logs[gone], self._infos[gone], self._seen[gone]
        return tuple(self.look(run) for run in runs)

    def look(self, directory: RunDirectory, now: float | None = None) -> Glance:
        """One run. As long as nothing about it changes, the very same glance."""
        log, info = self._log(directory), self._info(directory)
        known = self._seen.get(directory)
        files = {"lock": directory.lock, "log": directory.metrics}
        status = derive_status(info, log.end, log.last_time, log.step is not None, now, **files)
        problem = log.problem
        if info is None and self._infos[directory][0]:
            problem = problem or "run.json cannot be read"
        seen = Glance(
            directory, info, status, log.run, log.step, log.evaluation, log.end, log.last_time, log.alert, log.curve,
            problem,
        )  # fmt: skip
        if seen != known:
            self._seen[directory] = known = seen
        return known

    def _info(self, directory: RunDirectory) -> RunInfo | None:
        mark = _mark(directory.info)
        known = self._infos.get(directory)
        if known is None or known[0] != mark:
            known = self._infos[directory] = (mark, directory.read_info())
        return known[1]

    def _log(self, directory: RunDirectory) -> _Log:
        mark = _mark(directory.metrics)
        known = self._logs.get(directory, _Log())
        if mark != known.mark or known.problem:
            self._logs[directory] = known = _read(directory, known)
        else:
            self._logs[directory] = known
        return known


def _mark(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(directory: RunDirectory, known: _Log) -> _Log:
    """The log as it is now, from what is known of it and what came since."""
    try:
        with directory.metrics.open("rb") as file:
            status = os.fstat(file.fileno())
            mark = (status.st_ino, status.st_size, status.st_mtime_ns)
            if _grew(file, known, mark):
                file.seek(known.offset)
                data = file.read(HEAD_BYTES + TAIL_BYTES)
                records = _decoded(data)
                steps = [record for record in records if isinstance(record, Step)]
                log = _with(known, records, joined(known.curve, points_of(steps, 1)))
                offset = known.offset + data.rfind(b"\n") + 1
            else:
                log, offset = _anew(file, status.st_size)
            tail = os.pread(file.fileno(), min(_MEMORY_BYTES, offset), max(offset - _MEMORY_BYTES, 0))
            return replace(log, mark=mark, offset=offset, tail=tail)
    except FileNotFoundError:
        return _Log()
    except OSError as error:
        return _Log(problem=f"cannot read the log: {error.strerror or error}")


def _grew(file: BinaryIO, known: _Log, mark: tuple[int, ...]) -> bool:
    """Whether the file is the one that is known, and only a little was appended."""
    if not known.mark or known.mark[0] != mark[0] or not 0 <= mark[1] - known.offset <= HEAD_BYTES + TAIL_BYTES:
        return False
    return os.pread(file.fileno(), len(known.tail), known.offset - len(known.tail)) == known.tail


def _anew(file: BinaryIO, size: int) -> tuple[_Log, int]:
    """What a log says, and how far it was read."""
    if size <= HEAD_BYTES + TAIL_BYTES:
        data = file.read(size)
        records = _decoded(data)
        return _with(_Log(), records, points_of([each for each in records if isinstance(each, Step)])), _whole(data)
    head = _decoded(file.read(HEAD_BYTES) + file.readline())
    start, tail = _back_to(file, EVAL_MARK, size)
    # Of what lies where nobody looked, unknown is better than an old one.
    stale: tuple[type[Any], ...] = (Alert, Eval) if start > HEAD_BYTES and EVAL_MARK not in tail else (Alert,)
    head = [record for record in head if not isinstance(record, stale)]
    curve = looked_up(file.fileno(), size)
    torn = len(tail) - _whole(tail)
    return _with(_Log(), [*head, *_decoded(tail)], curve), size - torn


def _whole(data: bytes) -> int:
    """How many of these bytes are whole lines."""
    return data.rfind(b"\n") + 1


def _with(log: _Log, records: Iterable[AnyRecord], curve: Points) -> _Log:
    """A log with further records."""
    found: dict[str, Any] = {"curve": curve, "problem": ""}
    last_time = log.last_time
    for record in records:
        last_time = max(last_time or record.time, record.time)
        match record:
            case Run():
                found |= {"run": record, "end": None}
            case Step():
                # Steps after an end are of a later attempt, whose first record may lie between the two parts.
                found |= {"step": record, "end": None}
            case Eval():
                found["evaluation"] = record
            case Alert():
                found["alert"] = record
            case End():
                found["end"] = record
    return replace(log, **found, last_time=last_time)


def _back_to(file: BinaryIO, mark: bytes, size: int) -> tuple[int, bytes]:
    """The end of a file from the last line that begins with `mark` on, or SEARCH_BYTES of it; and where that begins.

    What lies between that line and the last TAIL_BYTES is left out.
    """
    start = max(HEAD_BYTES, size - TAIL_BYTES)
    file.seek(start - 1)
    tail = file.read(size - start + 1).partition(b"\n")[2]
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
