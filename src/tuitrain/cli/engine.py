"""Commands that the engine runs on a checkpoint, in a process of its own. `--help` does without the rooms below."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from tuitrain.cli.options import as_arguments

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


def require_checkpoint(run: RunDirectory, purpose: str) -> None:
    """Raise LaunchError unless the engine is installed and the run has a complete checkpoint."""
    from tuitrain.events.checkpoints import complete_checkpoints
    from tuitrain.launch import LaunchError
    from tuitrain.launch.preflight import require_engine

    require_engine()
    if not complete_checkpoints(run.path):
        raise LaunchError(f"{run.run_id} has no complete checkpoint to {purpose}.", exit_code=3)


def run_engine(command: str, run: RunDirectory, options: Mapping[str, Any]) -> NoReturn:
    """Run a command of the engine, and exit with its exit code."""
    words = [sys.executable, "-m", "tuitrain_engine", command, f"--run-dir={run.path}", *as_arguments(options)]
    raise typer.Exit(subprocess.run(words, stdin=subprocess.DEVNULL).returncode)
