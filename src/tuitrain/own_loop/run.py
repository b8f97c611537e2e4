"""A run of anybody's training loop: what it logs, and what it is asked to do."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from tuitrain import events
from tuitrain.events.requests import result_text, stop_reason
from tuitrain.own_loop.exits import EXITS, ending_of
from tuitrain.own_loop.lines import Lines
from tuitrain.own_loop.pace import Pace
from tuitrain.own_loop.requests import Requests
from tuitrain.own_loop.tables import Table
from tuitrain.own_loop.values import plain, step_number

if TYPE_CHECKING:
    from tuitrain.monitor import SystemMonitor
    from tuitrain.readers.supplied import Supplied

LOGGER = logging.getLogger("tuitrain")
FLUSH_S = 0.2
"""How long lines are collected: a process that is killed loses those of at most so long."""
END_S = 10.0
"""How long the end of a run waits for a disk that does not answer."""
_LEVELS: dict[str, Literal["info", "warning", "critical"]] = {
    "info": "info", "warn": "warning", "warning": "warning", "error": "critical", "critical": "critical",
}  # fmt: skip


class Run:
    """One run; `tuitrain.init` makes it. Nothing here raises into the loop: what goes wrong is said once.

    id: the name of its directory; path: the directory. A run without a path writes nothing: that of a process other
    than rank 0, of a forked one, or one that was switched off.
    """

    def __init__(self, name: str, run_id: str, path: Path | None, supplied: Supplied | None = None) -> None:
        """Raises OSError when the log cannot be written."""
        self.name, self.id, self.path = name, run_id, path
        self.config = Table(self._config_changed)
        """The configuration: a dict whose keys are attributes too; what is set later is added to the log."""
        self.summary = Table(self._summary_set)
        """The newest value of each metric by its name, and what the loop sets; the latter goes to the log, and to the
        `end` record, where it replaces what the log says."""
        self._set_by_loop: set[str] = set()
        self._unwritten: set[str] = set()
        """What the loop has set since it was written last."""
        self._mutex = RLock()
        self._step, self._newest = 0, -1
        self._step_metric: str | None = None
        self._warned: set[str] = set()
        self._lines = Lines(Pace(supplied), self._warn_skipped)
        self._requests = Requests(path)
        self._monitor: SystemMonitor | None = None
        self._lock_file: int | None = None
        self._log: events.BackgroundWriter | None = None
        if path is not None:
            self._log = events.BackgroundWriter(
                path / "metrics.jsonl", interval_s=FLUSH_S, failed=self._warn_unwritten, tick=self._tick
            )

    @property
    def step(self) -> int:
        """The step of the next `log` without one."""
        return self._step

    @property
    def dir(self) -> str:
        """The run directory as text; empty where the run writes nothing."""
        return "" if self.path is None else str(self.path)

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **ignored: Any) -> None:
        """Log numbers by name: of Python, numpy, torch and the like; nested dicts are joined by dots.

        step: without it steps count up from 0 with every call. commit: whether the next call is of the next step;
        by default only where no step is given. What is logged of one step adds up.
        """
        if (written := self._log) is None:
            return self._warn_closed()
        try:
            with self._mutex:
                at = self._position(data, step)
                lines, numbers = self._lines.of_step(data, at, time.time(), time.monotonic())
                for line in lines:
                    written.add(line, at)
                if axes := self._lines.new_axes:
                    self._lines.new_axes = {}
                    self._update(lambda: {"x_axes": axes})
                self.summary.record(numbers)
                self._newest = max(self._newest, at)
                self._step = max(self._step, at + (step is None if commit is None else bool(commit)))
        except Exception as error:
            self._warn_error("log", error)

    def eval(self, data: Mapping[str, Any], step: int | None = None, split: str = "val") -> None:
        """Log an evaluation of a split: `loss`, `accuracy` and any other number. step: by default the newest."""
        if (written := self._log) is None:
            return self._warn_closed()
        try:
            with self._mutex:
                at = self._step_of(step)
                written.add(self._lines.of_evaluation(data, at, str(split), time.time()), at)
        except Exception as error:
            self._warn_error("eval", error)

    def sample(self, text: str, step: int | None = None, prompt: str = "") -> None:
        """Log a text that the model wrote. step: by default the newest."""
        self._lines.pace.interrupt()
        self._write("sample", lambda: events.Sample(step=self._step_of(step), text=str(text), prompt=str(prompt)))

    def saved(self, path: str | os.PathLike[str], step: int | None = None) -> None:
        """Log that a checkpoint is complete at this path. step: by default the newest."""
        self._lines.pace.interrupt()
        self._write("saved", lambda: events.Checkpoint(step=self._step_of(step), path=os.fspath(path)))

    def alert(self, title: str = "", text: str = "", level: Any = "warning", **ignored: Any) -> None:
        """Log something that a person should know. level: info, warning or critical (error)."""
        word = str(getattr(level, "value", level) or "warning").lower()
        message = ": ".join(str(each) for each in (title, text) if each) or "an alert without a title"
        step = self._newest if self._newest >= 0 else None
        self._write(
            "alert", lambda: events.Alert(level=_LEVELS.get(word, "warning"), code="loop", message=message, step=step)
        )

    def define_metric(self, name: str, step_metric: str | None = None, **ignored: Any) -> None:
        """As W&B's: what metrics of this name, or pattern, are drawn over; of "*" it gives the steps."""
        if step_metric is None:
            return
        if name == "*":
            self._step_metric = str(step_metric)
        else:
            self._lines.axes[str(name)] = str(step_metric)

    def watch(self, *models: Any, **ignored: Any) -> None:
        """Accepted for scripts written for W&B; it has no effect."""

    unwatch = watch

    @property
    def should_stop(self) -> bool:
        """Whether `tuitrain stop` or a signal asked for the end: save, leave the loop and finish.

        Of several processes only rank 0 knows of `tuitrain stop`: it has to tell the others.
        """
        return self._requests.origin("stop") is not None

    @property
    def checkpoint_requested(self) -> bool:
        """Whether `tuitrain checkpoint` asked for one since the last look: save, and call `saved`."""
        return self._taken("checkpoint")

    @property
    def eval_requested(self) -> bool:
        """Whether `tuitrain eval` asked for an evaluation since the last look: evaluate, and call `eval`."""
        return self._taken("eval")

    def finish(self, exit_code: int | None = None, **ignored: Any) -> None:
        """End the run: completed, stopped where that was asked for, failed with an exit code other than 0."""
        self.finish_with(SystemExit(exit_code))

    def finish_with(self, error: BaseException) -> None:
        """End the run as an exception says, of which SystemExit without a code is success; once is enough."""
        if self._log is None:
            return
        self._write_summary()
        status, reason = ending_of(error)
        stop = self._requests.origin("stop") if self._requests.listens_to("stop") else None
        if stop is not None and status == "completed":
            status, reason = "stopped", stop_reason(stop)
        if self._monitor is not None:
            self._monitor.close()
        tokens, now = self._lines.pace.tokens, time.time()
        self._write("finish", always=True, record=lambda: events.End(
            time=now,
            status=status,  # type: ignore[arg-type]
            reason=reason,
            step=self._newest if self._newest >= 0 else None,
            tokens=None if tokens is None else int(tokens),
            summary=self._log_summary(now) | plain({key: self.summary[key] for key in self._set_by_loop}),
        ))  # fmt: skip
        try:
            if not self._log.close(END_S):
                self._warn("end", f"the log in {self.dir} cannot be written: the end of the run is not in it.")
        except Exception as failure:
            self._warn_error("finish", failure)
        self._log = None
        self.disown()
        EXITS.remove(self)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish_with(error if error is not None else SystemExit())

    # What `init`, signals and the end of the program do.

    def begin(self, record: events.Run, lock_file: int | None) -> None:
        """Write the `run` record. lock_file: the open file of the run's lock, which `finish` closes."""
        self._lock_file = lock_file
        self._write("init", lambda: record)
        if self._log is not None:
            self._log.flush(END_S)

    def monitor(self, interval_s: float) -> None:
        """Log readings of the machine from a thread, until the run is finished."""
        from tuitrain.monitor import SystemMonitor, monitor_enabled

        if self.path is not None and monitor_enabled():
            self._monitor = SystemMonitor(lambda record: self._write("system", lambda: record), interval_s, self.path)

    def request_stop(self, origin: str) -> bool:
        """Ask for the end; returns whether the loop will learn of it: it has read `should_stop`, and not been told."""
        if not self._requests.listens_to("stop") or self._requests.origin("stop") is not None:
            return False
        self._requests.add("stop", origin)
        return True

    def disown(self) -> None:
        """Write nothing more and give the lock back."""
        self._log = None
        if self._lock_file is not None:
            with suppress(OSError):
                os.close(self._lock_file)
            self._lock_file = None

    def _log_summary(self, now: float) -> dict[str, Any]:
        """What the log says of the run at its end; empty where it cannot be read."""
        assert self._log is not None and self.path is not None
        self._log.flush(END_S)
        # numpy takes a while to import, which a loop of few steps would notice before its end.
        from tuitrain.accounting.outcome import end_summary

        try:
            with (self.path / "metrics.jsonl").open("rb") as lines:
                return end_summary(lines, now)
        except OSError:
            return {}

    def _taken(self, request: str) -> bool:
        origin = self._requests.take(request)
        if origin is None:
            return False
        result = result_text("begun", max(self._newest, 0), origin)
        self._write("control", lambda: events.Control(request=request, result=result))
        return True

    def _position(self, data: Mapping[str, Any], step: int | None) -> int:
        """The step that data is of."""
        if step is None:
            if self._step_metric is None or self._step_metric not in data:
                return self._step
            step = data[self._step_metric]
        at = step_number(step)
        if at is None:
            self._warn("step", f"step {step!r} is no whole number from 0: {self._step} is taken instead.")
            return self._step
        return at

    def _step_of(self, step: int | None) -> int:
        """The given step, else the newest one."""
        at = None if step is None else step_number(step)
        if step is not None and at is None:
            self._warn("step", f"step {step!r} is no whole number from 0: the newest step is taken instead.")
        return max(self._newest, 0) if at is None else at

    def _config_changed(self, values: dict[str, Any]) -> None:
        self._update(lambda: {"config": plain(values)})

    def _summary_set(self, values: dict[str, Any]) -> None:
        with self._mutex:
            self._set_by_loop.update(values)
            self._unwritten.update(values)

    def _tick(self) -> None:
        self._requests.poll()
        self._write_summary()

    def _write_summary(self) -> None:
        """Add to the log what the loop has set in the summary since the last time; it may do so at every step."""
        with self._mutex:
            values = {name: value for name, value in self.summary.items() if name in self._unwritten}
            self._unwritten.clear()
        if values:
            self._update(lambda: {"logged_summary": plain(values)})

    def _update(self, values: Callable[[], dict[str, Any]]) -> None:
        """Add what a function makes to the `run` record."""
        self._write("run", lambda: events.Run(run_id=self.id, name=self.name, update=True, **values()))

    def _write(self, what: str, record: Any, *, always: bool = False) -> None:
        """Add the record that a function makes; whatever goes wrong is said once."""
        log = self._log
        if log is None:
            return
        try:
            log.add(events.encode(record()), always=always)
        except Exception as error:
            self._warn_error(what, error)

    def _warn(self, topic: str, sentence: str) -> None:
        """Warn once about a subject; never raises."""
        if topic not in self._warned and len(self._warned) < 1000:
            self._warned.add(topic)
            LOGGER.warning("tuitrain: %s", sentence)

    def _warn_closed(self) -> None:
        if self.path is not None:
            self._warn("closed", f"the run {self.id} is finished in this process; nothing more is logged to it.")

    def _warn_skipped(self, name: str, kind: str) -> None:
        self._warn(f"skipped {name}", f"{name!r} is not logged: {kind} is no number.")

    def _warn_unwritten(self, error: OSError) -> None:
        where = None if self.path is None else self.path / "metrics.jsonl"
        self._warn("unwritten", f"{where} cannot be written ({error.strerror or error}): it is tried again.")

    def _warn_error(self, what: str, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error, limit=-2)).rstrip()
        self._warn(f"error {what} {type(error).__name__}", f"{what} failed, and the loop goes on.\n{trace}")
