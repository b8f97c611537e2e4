"""Runs by the names that a user gives them, for commands that draw any log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory

PROBE_BYTES = 256 << 10
"""How much of a file is read to decide whether it is a log."""


def find_log(name: str, directory: Path) -> RunDirectory:
    """The run with this name. Raises RunNotFoundError, also for a file that is not a log."""
    from tuitrain.runs import RunNotFoundError, find_run

    run = find_run(name, directory)
    if not _may_be_log(run.metrics):
        raise RunNotFoundError(f"{run.metrics} is not the log of a run: none of its lines is a record.")
    return run


def _may_be_log(path: Path) -> bool:
    """Whether any of the first lines of a file is a record, or it has no whole line yet."""
    from tuitrain.events import BrokenLineError, decode

    if not path.is_file():
        return True
    with path.open("rb") as file:
        *lines, rest = file.read(PROBE_BYTES).split(b"\n")
    for line in lines:
        try:
            decode(line)
        except BrokenLineError:
            continue
        return True
    return not any(map(bytes.strip, lines)) and rest.lstrip()[:1] in (b"", b"{")
