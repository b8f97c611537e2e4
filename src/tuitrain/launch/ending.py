"""The `end` record of an external program: its exit code or signal, and the last lines of its console."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tuitrain.events import End, Step
from tuitrain.events.text import clean
from tuitrain.files import shortened
from tuitrain.runs.console import ConsoleFile

_MOST_LINES = 40
"""torchrun adds 30 lines of its own to the traceback of a worker."""
_ERROR = re.compile(
    r"(?:\[[^\]]*\]:?\s*)*((?:\w+\.)*(?!ChildFailed|CalledProcess)\w*(?:Error|Exception|Interrupt): \S.*)"
)
"""The last line of a traceback, after torchrun's `[rank0]: `; not that of torchrun or accelerate themselves."""


def end_of(code: int, stop_requested: bool, console: Path, newest: Step | None) -> End:
    """The record. code: the exit code, or the number of the signal below 0."""
    lines = last_lines(console)
    name = None if code >= 0 else _signal_name(-code)
    status: Literal["completed", "stopped", "failed"]
    if stop_requested:
        killed = code == -signal.SIGKILL
        status, reason = (
            "stopped",
            "stop requested; it was killed after the grace period" if killed else "stop requested",
        )
    elif code == 0:
        status, reason = "completed", "the command ended with exit code 0"
    else:
        how = f"exit code {code}" if name is None else f"signal {-code} ({name}) ended the command"
        status, reason = "failed", ": ".join(filter(None, [how, _cause(lines)]))
    return End(
        status=status,
        reason=reason,
        step=newest.step if newest else None,
        tokens=newest.tokens if newest else None,
        summary={"exit_code": code if name is None else None, "signal": name, "last_lines": lines},
    )


def last_lines(console: Path) -> list[str]:
    """The last lines of a console that are not blank, as a terminal shows them; none where it cannot be read."""
    try:
        lines = ConsoleFile(console).last_lines(_MOST_LINES)
    except OSError:
        return []
    texts = (clean(line.text).rstrip() for line in lines)
    return [shortened(text) for text in texts if text]


def _cause(lines: Sequence[str]) -> str:
    """The error of the last traceback among the lines, else the last one with a word; empty where there is none."""
    error = next((match[1] for line in reversed(lines) if (match := _ERROR.fullmatch(line))), None)
    return error or next((line.strip() for line in reversed(lines) if any(map(str.isalnum, line))), "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
