"""Appends lines to a log from a thread: a disk that is full, slow or does not answer holds up nobody who logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from tuitrain.events.codec import encode
from tuitrain.events.records import Alert
from tuitrain.events.writer import EventWriter

MOST_WAITING_BYTES = 16 << 20
"""Of lines that wait for the disk: some 50,000 steps. Further ones are lost, and the log says which."""
RETRY_S = 1.0
REPORTED_S = 5.0
"""An outage of at least so long is recorded also where nothing was lost."""
_MOST_AT_ONCE = 1000


class _Line(NamedTuple):
    data: bytes
    step: int | None
    then: Callable[[], object] | None
    of_outage: bool = False


class _Lost:
    """Lines that found no room."""

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None

    def add(self, step: int | None) -> None:
        self.count += 1
        if step is not None:
            self.first = step if self.first is None else min(self.first, step)
            self.last = step if self.last is None else max(self.last, step)

    def __str__(self) -> str:
        which = "1 record" if self.count == 1 else f"{self.count:,} records"
        if self.first is None:
            return which
        return (
            f"{which} of step{f' {self.first:,}' if self.first == self.last else f's {self.first:,} to {self.last:,}'}"
        )


class BackgroundWriter:
    """Appends lines to a log, in their order, from a thread; what cannot be written is tried again every RETRY_S.

    interval_s: how long lines are collected; 0: each is written at once. failed: called by the thread with the error
    when writing begins to fail. tick: called by it after each round. At most `most_bytes` wait: what is added beyond is
    lost, and an alert in its place in the log says how many records of which steps, and why.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval_s: float = 0.0,
        failed: Callable[[OSError], object] = lambda error: None,
        tick: Callable[[], object] = lambda: None,
        most_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        """Raises OSError when the log cannot be opened."""
        self._writer = EventWriter(path)
        self._interval_s, self._failed, self._tick, self._most_bytes = interval_s, failed, tick, most_bytes
        # Reentrant: a signal may come while a line is added, and what handles it logs too.
        self._changed = threading.Condition(threading.RLock())
        self._lines: list[_Line] = []
        self._bytes = 0
        self._lost: _Lost | None = None
        self._added = self._written = self._tried = 0
        """Lines since the beginning."""
        self._round = self._failed_round = 0
        self._error: OSError | None = None
        self._failing_since = 0.0
        self._bug: BaseException | None = None
        self._wake, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> tuple[OSError, float] | None:
        """The error of the newest attempt, and for how many seconds they have failed; None when the newest did not."""
        error = self._error
        return None if error is None else (error, time.monotonic() - self._failing_since)

    def add(
        self, line: bytes, step: int | None = None, *, then: Callable[[], object] | None = None, always: bool = False
    ) -> None:
        """Add one line, with its line end; it never waits for the disk.

        step: what the line is of. then: called by the thread once it was tried to write the line. always: also beyond
        what may wait, as the end of a run.
        """
        if self._bug is not None:
            raise self._bug
        with self._changed:
            if always and self._lost is not None:
                self._say_lost("the log could not be written in time")
            if (self._lost is not None or self._bytes + len(line) > self._most_bytes) and not always:
                self._lost = self._lost or _Lost()
                self._lost.add(step)
                return
            self._append(_Line(line, step, then))
            if not self._interval_s and self._error is None:
                self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was added is written; False where that fails, or takes longer."""
        with self._changed:
            target, first = self._added, self._round + 1
            self._wake.set()
            self._changed.wait_for(
                lambda: self._written >= target or self._failed_round >= first or self._bug is not None, timeout_s
            )
            return self._written >= target

    def close(self, timeout_s: float) -> bool:
        """Write what is left and end the thread; returns whether all is written. Closing twice does no harm."""
        done = self.flush(timeout_s) if self._thread.is_alive() else self._written == self._added
        self._closing = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s if done else RETRY_S)
            if not self._thread.is_alive():
                # A thread that still waits for the disk needs the file.
                self._writer.close()
        return done

    def _append(self, line: _Line) -> None:
        self._lines.append(line)
        self._bytes += len(line.data)
        self._added += 1

    def _alert(self, level: Literal["info", "critical"], code: str, message: str, step: int | None = None) -> None:
        self._append(_Line(encode(Alert(level=level, code=code, message=message, step=step)), step, None, True))

    def _say_lost(self, why: str) -> None:
        """Add the alert that stands for the lines that found no room."""
        lost, self._lost = self._lost, None
        assert lost is not None
        self._alert("critical", "records_lost", f"{lost} are missing here: {why}.", lost.last)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.wait(self._interval_s or None if self._error is None else RETRY_S)
                self._wake.clear()
                while self._write_some():
                    pass
                self._tick()
        except BaseException as error:
            self._bug = error
        finally:
            with self._changed:
                self._changed.notify_all()

    def _write_some(self) -> bool:
        """Write lines that wait, many at once; returns whether that went well and more may wait."""
        with self._changed:
            batch = self._lines[:_MOST_AT_ONCE]
            self._round += bool(batch)
        if not batch:
            return False
        began, error, count = time.monotonic(), None, len(batch)
        try:
            self._writer.append(b"".join(line.data for line in batch))
        except OSError as problem:
            error, count = problem, self._writer.whole_lines
        self._settle(batch, count, error, began)
        return error is None

    def _settle(self, batch: list[_Line], count: int, error: OSError | None, began: float) -> None:
        """Take account of an attempt that began then, of whose lines so many are written."""
        fails_now, before = error is not None and self._error is None, self._error
        with self._changed:
            del self._lines[:count]
            self._bytes -= sum(len(line.data) for line in batch[:count])
            untold = batch[max(self._tried - self._written, 0) :]
            self._tried = max(self._tried, self._written + len(batch))
            self._written += count
            self._error = error
            if fails_now:
                self._failing_since = began
            if error is not None:
                self._failed_round = self._round
            else:
                self._say_outage(batch, before, began)
            self._changed.notify_all()
        if fails_now and error is not None:
            self._failed(error)
        for line in untold:
            if line.then is not None:
                line.then()

    def _say_outage(self, batch: list[_Line], before: OSError | None, began: float) -> None:
        """After lines that could be written: record what was lost, and an outage that lost nothing.

        before: the error of the attempt before. began: when this one did.
        """
        seconds = time.monotonic() - (began if before is None else self._failing_since)
        if before is not None:
            why = f"the log could not be written for {seconds:,.0f} s ({_reason(before)})"
        elif seconds >= REPORTED_S:
            why = f"the file system did not answer for {seconds:,.0f} s"
        else:
            why = "the log could not be written in time"
        if self._lost is not None:
            # Room for many is waited for, or lost lines and alerts would alternate.
            if self._bytes <= self._most_bytes // 2:
                self._say_lost(why)
        elif seconds >= REPORTED_S and not all(line.of_outage for line in batch):
            self._alert("info", "log_delayed", f"{why[0].upper()}{why[1:]}; nothing is missing.")


def _reason(error: OSError) -> str:
    return str(error.strerror or error)
