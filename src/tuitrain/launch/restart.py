"""Restarting a crashed run from its newest checkpoint, by the process that supervises it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec

from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain.events import Alert, End, EventWriter, Record
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.events.requests import is_requested
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import attempt_facts, process_started, start_drawing, starting
from tuitrain.launch.resume import with_config
from tuitrain.runs import RunDirectory, RunMetadata, RunSnapshot, lock_held, read_snapshot
from tuitrain.runs.crash import crash_reason
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.log_ends import end_of_lines
from tuitrain.runs.snapshot import RESTARTS_ENDED

POLL_S = 0.1
LONGEST_WAIT_S = 60.0
"""The first restart comes after a second, each further one in a row after twice as long, up to this."""
ORPHANS_S = 150.0
"""Time for workers whose torchrun has died to save and end."""
USAGE, NOT_FOUND, INTERRUPTED = 2, 3, 130
_FINAL = (0, USAGE, NOT_FOUND, INTERRUPTED)
"""Exit codes of the engine after which another attempt would end in the same way."""
_BAD_NUMBERS = ("non_finite_loss", "non_finite_gradient")


class Restarts:
    """The restarts of one run. is_stopped: whether its supervisor was asked to stop."""

    def __init__(self, run: RunDirectory, is_stopped: Callable[[], bool]) -> None:
        self._run, self._is_stopped = run, is_stopped
        self._crashed_at: int | None = None
        """The newest step at the crash before."""
        self._in_a_row = 0
        self._made = 0
        """Restarts so far."""
        self._left: int | None = None
        """Restarts that were left after the newest; None before the first."""
        self._skipped: set[int] = set()

    def next_attempt(self, code: int) -> subprocess.Popen[bytes] | None:
        """The engine of the next attempt, after one that ended with this code; None where the run has ended."""
        used_up = self._left == 0
        if code in _FINAL or self._is_over(least=0 if used_up else 1):
            return None
        info, snapshot = self._run.read_metadata(), read_snapshot(self._run)
        assert info is not None
        step = snapshot.step.step if snapshot.step is not None else 0
        # Without a record of this attempt the newest end is of one before.
        end = snapshot.end if info.log_bytes != end_of_lines(self._run.metrics) else None
        reason = (end.reason if end is not None else None) or crash_reason(info)
        if used_up:
            made = "its one restart is" if self._made == 1 else f"all {self._made} restarts are"
            self._give_up(f"It crashed again and {made} used, so it is not restarted", reason, step)
            return None
        try:
            config = load_config(str(self._run.config))
            if (skipped := self._batches_to_skip(info, snapshot, config, step)) is None:
                self._give_up("It crashed at the same step again, so it is not restarted", reason, step)
                return None
            self._in_a_row = self._in_a_row + 1 if step == self._crashed_at else 1
            self._crashed_at = step
            wait_s = min(2.0 ** (self._in_a_row - 1), LONGEST_WAIT_S)
            left = f"{info.retries - 1} more {'restart is' if info.retries == 2 else 'restarts are'} possible"
            message = f"It crashed: {reason.rstrip('.')}. It is restarted in {wait_s:g} s; {left}."
            self._write(_alert("warning", "restart", message, step))
            if not self._wait(wait_s):
                self._write(End(status="stopped", reason="stopped before it was restarted", step=step))
                return None
            return self._start(config.with_values({"train.skip_steps": skipped}))
        except (LaunchError, ConfigError, EditError, OSError) as error:
            self._give_up(f"It crashed and cannot be restarted ({str(error).rstrip('.')})", reason, step)
            return None

    def _give_up(self, why: str, reason: str, step: int) -> None:
        self._write(_alert("critical", RESTARTS_ENDED, f"{why}: {reason.rstrip('.')}.", step))

    def _is_over(self, least: int = 1) -> bool:
        """Whether fewer restarts are left, or none is wanted, or another process has started the run meanwhile."""
        info = self._run.read_metadata()
        if info is None or info.retries < least or info.supervisor != os.getpid():
            return True
        return self._is_stopped() or is_requested(self._run.path, "stop")

    def _batches_to_skip(
        self, info: RunMetadata, snapshot: RunSnapshot, config: RunConfig, step: int
    ) -> tuple[int, ...] | None:
        """train.skip_steps of the next attempt; None where it would crash at the same step as the two before."""
        if step != self._crashed_at:
            return config.train.skip_steps
        if not info.skip_bad_batch or step in self._skipped:
            return None
        self._skipped.add(step)
        return tuple(sorted({*config.train.skip_steps, *_bad_steps(snapshot, config, step)}))

    def _wait(self, seconds: float) -> bool:
        """Wait so long, and for processes of the attempt before; returns whether the run is to be restarted then."""
        begin = time.monotonic()
        orphans = True
        while orphans or time.monotonic() < begin + seconds:
            if self._is_over():
                return False
            time.sleep(POLL_S)
            orphans = lock_held(self._run.lock) is True and time.monotonic() < begin + ORPHANS_S
        return True

    def _start(self, config: RunConfig) -> subprocess.Popen[bytes]:
        """Start the engine on the newest checkpoint, or from the beginning where there is none."""
        run, resumes = self._run, bool(complete_checkpoints(self._run.path))
        with starting(run), edited_metadata(run) as facts:
            info = msgspec.convert(facts, RunMetadata)
            command = [*with_config(run, config, info.processes, info.nodes), *(["--resume"] if resumes else [])]
            attempt = attempt_facts(run, command, info.processes, info.nodes)
            engine = subprocess.Popen(command, start_new_session=True)
            facts |= attempt | {"pid": engine.pid, "pid_started": process_started(engine.pid)}
            facts["retries"] -= 1
            self._made, self._left = self._made + 1, facts["retries"]
        start_drawing(run, config)
        return engine

    def _write(self, record: Record) -> None:
        try:
            with EventWriter(self._run.metrics) as log:
                log.write(record)
        except OSError as error:
            print(f"{self._run.metrics} cannot be written: {error.strerror}.", file=sys.stderr)


def _alert(level: str, code: str, message: str, step: int) -> Alert:
    return Alert(level=level, code=code, message=message, step=step)  # type: ignore[arg-type]


def _bad_steps(snapshot: RunSnapshot, config: RunConfig, step: int) -> range:
    """The steps of which one has the batch at which the run crashes; step: the newest in the log.

    An engine that could still write its end says which. Of one that was killed the steps since its last record are
    possible, and on CUDA, where numbers are read a step late, one more.
    """
    alert, end = snapshot.alert, snapshot.end
    if end is not None and alert is not None and alert.code in _BAD_NUMBERS and alert.step is not None:
        return range(alert.step, alert.step + 1)
    if end is not None and end.step is not None:
        return range(end.step + 1, end.step + 2)
    hardware = snapshot.run.hardware if snapshot.run is not None else None
    late = hardware is not None and hardware.device_type == "cuda"
    return range(step + 1, step + 1 + config.telemetry.log_interval + late)
