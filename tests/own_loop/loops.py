"""Programs with a training loop of their own, run as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tuitrain import events
from tuitrain.runs import RunDirectory

TIMEOUT_S = 120.0


def environment(runs_dir: Path, **variables: str) -> dict[str, str]:
    """The environment of a program whose runs go to runs_dir."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TUITRAIN_RUN", "RANK"))}
    return {**kept, "TUITRAIN_RUNS_DIR": str(runs_dir), "TUITRAIN_SYSTEM": "0", **variables}


def run_program(runs_dir: Path, source: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, *written(runs_dir, source), *arguments],
        env=environment(runs_dir, **variables),
        cwd=runs_dir.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def start_program(runs_dir: Path, source: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program."""
    return subprocess.Popen(
        [sys.executable, *written(runs_dir, source)],
        env=environment(runs_dir, **variables),
        cwd=runs_dir.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def written(runs_dir: Path, source: str) -> list[str]:
    """A file with the program."""
    path = runs_dir.parent / "train.py"
    path.write_text(textwrap.dedent(source))
    return [str(path)]


def runs_of(runs_dir: Path) -> list[RunDirectory]:
    """The runs in the order of their beginning."""
    return [RunDirectory(path.parent) for path in sorted(runs_dir.glob("*/run.json"), key=os.path.getmtime)]


def only_run(runs_dir: Path) -> RunDirectory:
    """The one run that is there."""
    (run,) = runs_of(runs_dir)
    return run


def records(run: RunDirectory) -> list[events.AnyRecord]:
    """All records of a log, each of which is valid."""
    lines = run.metrics.read_bytes().splitlines() if run.metrics.exists() else []
    return [record for line in lines if (record := events.decode(line)) is not None]


R = TypeVar("R", bound=events.Record)


def of_type(run: RunDirectory, kind: type[R]) -> list[R]:
    """The records of one type."""
    return [record for record in records(run) if isinstance(record, kind)]


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
