"""Kills an engine at an exact moment, from inside: at the n-th call that it makes in a phase, or within a record.

`armed` is called in the process before the engine runs. A moment is reproducible, and it is known which phase it
was in, which no signal from outside can tell.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache, partial, wraps
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

PHASES = ("start", "resume", "training", "evaluation", "checkpoint", "shutdown", "record")
CALLERS = ("/tuitrain/", "/tuitrain_engine/", "/torch/distributed/checkpoint/filesystem.py", "/shutil.py")
"""Whose calls count: between them the state of the run changes, in memory and on disk."""


class Moment(NamedTuple):
    """The n-th call that the engine makes in a phase; where the phase is `record`, within the n-th one of the log."""

    phase: str
    number: int


def armed(moment: Moment | None, seen: Path) -> None:
    """Kill this process at a moment; the file `seen` then says where that was.

    Without a moment the file gets the number of calls in each phase, as JSON, when the engine ends.
    """
    if moment is not None and moment.phase == "record":
        _kill_within_record(moment.number, seen)
        return
    counts = Counter[str]()
    for phase, (owner, *names) in _functions():
        for name in names:
            setattr(owner, name, _watched(getattr(owner, name), phase, counts, moment, seen))
    if moment is None:
        atexit.register(lambda: seen.write_text(json.dumps(counts), encoding="utf-8"))


def _functions() -> list[tuple[str, tuple[Any, ...]]]:
    """The functions that a phase consists of: its name, the module or class, their names there."""
    from torch.distributed.checkpoint import FileSystemWriter

    from tuitrain_engine import lifecycle, trainer
    from tuitrain_engine.checkpoint import checksums, manager

    return [
        ("start", (lifecycle, "prepare")),
        ("training", (trainer, "train_step")),
        ("evaluation", (trainer, "evaluate")),
        ("checkpoint", (manager.Checkpoints, "begin", "finish")),
        # In threads of their own.
        ("checkpoint", (FileSystemWriter, "write_data", "finish")),
        ("checkpoint", (checksums, "write")),
        ("shutdown", (lifecycle.Attempt, "_end")),
    ]


def _watched(
    function: Callable[..., Any], phase: str, counts: Counter[str], moment: Moment | None, seen: Path
) -> Callable[..., Any]:
    """The function, with the calls counted that are made in it; at the moment the process is killed."""

    def count(named: str, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            caller, name = frame.f_back, frame.f_code.co_qualname
        elif event == "c_call" and getattr(called, "__module__", None) != "builtins":
            caller, name = frame, called.__qualname__
        else:
            return
        if caller is not None and _is_counted(caller.f_code):
            counts[named] += 1
            if (named, counts[named]) == moment:
                _die(seen, f"{named}: {caller.f_code.co_qualname} calls {name}")

    @wraps(function)
    def watched(*arguments: Any, **options: Any) -> Any:
        named = "resume" if options.get("resume") else phase
        if moment is not None and named != moment.phase:
            return function(*arguments, **options)
        before = sys.getprofile()
        sys.setprofile(partial(count, named))
        try:
            return function(*arguments, **options)
        finally:
            sys.setprofile(before)

    return watched


@cache
def _is_counted(code: CodeType) -> bool:
    return any(each in code.co_filename for each in CALLERS)


def _kill_within_record(number: int, seen: Path) -> None:
    """Kill this process when half of a record is in the log, as a crash of the machine may leave it."""
    write, written = os.write, 0

    def write_half(file: int, data: bytes) -> int:
        nonlocal written
        if Path(f"/proc/self/fd/{file}").readlink().name == "metrics.jsonl":
            written += 1
            if written == number:
                write(file, data[: len(data) // 2])
                _die(seen, "record: os.write")
        return write(file, data)

    os.write = write_half


def _die(seen: Path, text: str) -> None:
    sys.setprofile(None)
    seen.write_text(text, encoding="utf-8")
    os.kill(os.getpid(), signal.SIGKILL)
