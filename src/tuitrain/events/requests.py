"""Requests to a running engine: files in `control/` of the run directory, which may hold a reason.

The application writes them; the engine, or the process that runs an external program, reads and deletes them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tuitrain.events.records import Control
from tuitrain.files import open_regular
from tuitrain.text import clean

REQUESTS = ("stop", "checkpoint", "eval", "snapshot", "pause", "continue")
PAUSED = "paused"
"""The first word of the answer to a `pause` from when on the run waits; its `continue` ends that."""
REQUESTED = "request"
"""The origin of what came as a file without a reason. Others are the name of a signal, or the reason of a stop."""
_SIGNALS = {"SIGINT": "SIGINT (Ctrl-C)", "SIGHUP": "SIGHUP (its terminal was closed)"}
_BEFORE_LIMIT_S = 900.0
"""Before the time limit of a job a signal may have come for that."""
_MOST_BYTES = 1000
"""Of a reason."""
_OPPOSITES = {"pause": "continue", "continue": "pause"}


def control_directory(run_dir: Path) -> Path:
    """The directory of the requests to a run."""
    return run_dir / "control"


def write_request(run_dir: Path, name: str, reason: str = "") -> None:
    """Write a request, one of REQUESTS; of `pause` and `continue` the newer one counts. reason: why, in a few words.

    Raises ValueError for any other name, and OSError.
    """
    if name not in REQUESTS:
        raise ValueError(f"{name!r} is not a request; known: {', '.join(REQUESTS)}.")
    directory = control_directory(run_dir)
    directory.mkdir(parents=True, exist_ok=True)
    if name in _OPPOSITES:
        delete_request(run_dir, _OPPOSITES[name])
    if not reason:
        (directory / name).touch()
        return
    # Renamed, so that it is never read without its reason.
    unfinished = directory / f".{name}.{os.getpid()}"
    unfinished.write_text(reason, encoding="utf-8")
    unfinished.replace(directory / name)


def reason_of(run_dir: Path, name: str) -> str:
    """Why a pending request was made; empty where it does not say."""
    try:
        with open_regular(control_directory(run_dir) / name) as file:
            return clean(file.read(_MOST_BYTES).decode("utf-8", "replace")).strip()
    except OSError:
        return ""


def stop_reason(origin: str) -> str:
    """Why a run has stopped, as its `end` record says."""
    if not origin.startswith("SIG"):
        return "stopped on request" if origin == REQUESTED else origin
    limit = os.environ.get("SLURM_JOB_END_TIME", "").strip()
    left_s = int(limit) - time.time() if limit.isdigit() else -1.0
    before = f", {left_s:.0f} s before the time limit of its Slurm job" if 0 <= left_s < _BEFORE_LIMIT_S else ""
    return f"stopped by {_SIGNALS.get(origin, origin)}{before}"


def result_text(result: str, step: int, origin: str) -> str:
    """The result of a request, as its `control` record says."""
    return f"{result} at step {step}{f' ({origin})' if origin.startswith('SIG') else ''}"


def is_requested(run_dir: Path, name: str) -> bool:
    """Whether a request is pending."""
    return (control_directory(run_dir) / name).exists()


def delete_request(run_dir: Path, name: str) -> bool:
    """Delete a request; returns whether there was one. Raises OSError where it cannot be deleted."""
    try:
        (control_directory(run_dir) / name).unlink()
    except FileNotFoundError:
        return False
    return True


def delete_requests(run_dir: Path) -> list[str]:
    """Delete the requests and return their names, in the order of REQUESTS. Raises OSError without a directory."""
    directory = control_directory(run_dir)
    with os.scandir(directory) as entries:
        present = {entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)}
    names = [name for name in REQUESTS if name in present]
    for name in names:
        (directory / name).unlink(missing_ok=True)
    return names


def paused_since(record: Control, before: float | None) -> float | None:
    """Unix seconds since when a run waits, after this record; before: the same before it; None: it does not wait."""
    if record.request == "pause" and record.result.startswith(PAUSED):
        return record.time if before is None else before
    return None if record.request == "continue" else before
