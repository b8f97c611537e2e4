"""Why a run crashed: how its process ended, as its supervisor wrote it down, and the last lines of its console."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

from tuitrain.events.layout import Exit, RunMetadata
from tuitrain.files import shortened
from tuitrain.runs.console import ConsoleFile
from tuitrain.runs.layout import RemoteMetadata
from tuitrain.runs.slurm import Job
from tuitrain.text import clean

_MOST_LINES = 40
"""torchrun adds 30 lines of its own to the traceback of a worker."""
_ERROR = re.compile(
    r"(?:\[[^\]]*\]:?\s*)*((?:\w+\.)*(?!ChildFailed|CalledProcess)\w*(?:Error|Exception|Interrupt): \S.*)"
)
"""The last line of a traceback, after torchrun's `[rank0]: `; not that of torchrun or accelerate themselves."""


def crash_reason(info: RunMetadata | None, job: Job | None = None) -> str:
    """Why a process that left no end record is gone. job: of a run in the queue of Slurm."""
    if info is None or info.exit is None:
        if job is not None and job.over:
            how = f"ended as {job.state}" if job.state else "is no longer in the queue"
            return f"its job {job.job_id} {how}, and left no end record"
        since = info.started if info is not None else None
        restarted = since is not None and not isinstance(info, RemoteMetadata) and since < psutil.boot_time()
        why = ", as the machine was restarted" if restarted else ""
        return f"the process is gone and left no end record{why}"
    # The last line before a signal is an ordinary one.
    cause = (cause_in if info.exit.signal is None else error_in)(info.exit.last_lines)
    return ": ".join(filter(None, [_how(info.exit), cause]))


def _how(ended: Exit) -> str:
    if ended.signal is None:
        return f"the process ended with exit code {ended.code} and left no end record"
    if ended.signal != "SIGKILL" or ended.out_of_memory is False:
        return f"killed by {ended.signal}"
    perhaps = "" if ended.out_of_memory else "perhaps "
    return f"killed by SIGKILL, {perhaps}from the out-of-memory killer"


def signal_name(number: int) -> str:
    """The name of a signal; its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def last_lines(console: Path, since: int = 0) -> list[str]:
    """The last lines of a console that are not blank, as a terminal shows them; none where it cannot be read.

    since: where what an attempt printed begins, in bytes.
    """
    try:
        lines = ConsoleFile(console).last_lines(_MOST_LINES)
    except OSError:
        return []
    texts = (clean(line.text).rstrip() for line in lines if line.start >= since)
    return [shortened(text) for text in texts if text]


def error_in(lines: Sequence[str]) -> str | None:
    """The error of the last traceback among the lines."""
    return next((match[1] for line in reversed(lines) if (match := _ERROR.fullmatch(line))), None)


def cause_in(lines: Sequence[str]) -> str:
    """The error of the last traceback among the lines, else the last one with a word; empty where there is none."""
    return error_in(lines) or next((line.strip() for line in reversed(lines) if any(map(str.isalnum, line))), "")
