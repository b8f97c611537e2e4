"""The `end` record of an external program: its exit code or signal, and the last lines of its console."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Literal

from tuitrain.events import End, Step
from tuitrain.runs.crash import cause_in, last_lines, signal_name


def end_of(code: int, stop: str | None, console: Path, newest: Step | None, *, out_of_memory: bool = False) -> End:
    """The record. code: the exit code, or the number of the signal below 0. stop: what asked it to stop, in words.

    out_of_memory: whether the kernel killed processes for want of memory meanwhile.
    """
    lines = last_lines(console)
    name = None if code >= 0 else signal_name(-code)
    status: Literal["completed", "stopped", "failed"]
    if stop is not None:
        killed = code == -signal.SIGKILL
        status, reason = "stopped", f"{stop}; it was killed after the grace period" if killed else stop
    elif code == 0:
        status, reason = "completed", "the command ended with exit code 0"
    else:
        how = f"exit code {code}" if name is None else f"signal {-code} ({name}) ended the command"
        if name == "SIGKILL" and out_of_memory:
            how += ", from the out-of-memory killer"
        status, reason = "failed", ": ".join(filter(None, [how, cause_in(lines)]))
    return End(
        status=status,
        reason=reason,
        step=newest.step if newest else None,
        tokens=newest.tokens if newest else None,
        summary={"exit_code": code if name is None else None, "signal": name, "last_lines": lines},
    )
