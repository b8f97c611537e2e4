"""Start a run of the engine on this machine: check it, make its directory, start a detached process."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tuitrain.config import RunConfig
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, new_run, start, starting, train_command
from tuitrain.runs import RunDirectory


@dataclass(frozen=True)
class Started:
    """A started run, its process, and a note where it has fewer processes than there are GPUs."""

    run: RunDirectory
    process: subprocess.Popen[bytes]
    note: str | None


def start_run(
    config: RunConfig, runs_dir: Path, label: Label, *, gpus: int | None = None, force: bool = False
) -> Started:
    """Run the preflight checks, make the run's directory and start the engine in a session of its own.

    Raises LaunchError or ConfigError when a check fails, OSError when no process or directory can be made. No run
    directory is left then.
    """
    processes = preflight.check(config, gpus=gpus, force=force)
    run = new_run(runs_dir, config)
    try:
        with starting(run):
            process = start(run, train_command(run, processes=processes.count), label, processes=processes.count)
    except (LaunchError, OSError):
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return Started(run, process, processes.note)
