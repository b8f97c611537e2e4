"""Continuing a run from its newest valid checkpoint, in the same directory and the same log."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tuitrain.config import RunConfig, load_config
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, start, train_command
from tuitrain.launch.processes import Processes
from tuitrain.runs import RunDirectory, Status, glance


def newest_checkpoint(run: RunDirectory) -> Path | None:
    """The newest complete checkpoint: one whose `.metadata` exists."""
    complete = sorted(path.parent for path in run.checkpoints.glob("step-*/.metadata"))
    return complete[-1] if complete else None


def prepare_resume(
    run: RunDirectory, overrides: Sequence[str] = (), *, gpus: int | None = None, force: bool = False
) -> tuple[RunConfig, Processes]:
    """Check that a run can go on; its configuration with the overrides applied, and its processes. Changes nothing.

    gpus: None is as many as the run had. Raises LaunchError, ConfigError or FileNotFoundError.
    """
    if not run.config.exists():
        raise LaunchError(f"{run.run_id} has no config.toml: it was not started by this engine and cannot be resumed.")
    now = glance(run)
    if now.status.live:
        raise LaunchError(f"{run.run_id} is {now.status}: stop it first, with `tuitrain stop {run.run_id}`.")
    if newest_checkpoint(run) is None:
        raise LaunchError(f"{run.run_id} has no complete checkpoint to continue from.", exit_code=3)
    config = load_config(str(run.config), overrides)
    done = now.end.step if now.end else None
    if now.status is Status.COMPLETED and done is not None and done >= config.total_steps:
        raise LaunchError(
            f"{run.run_id} has done all its {config.total_steps:,} steps; to go further raise train.max_steps: "
            f"tuitrain resume {run.run_id} train.max_steps={2 * done}."
        )
    if gpus is None and now.info is not None:
        gpus = now.info.processes
    return config, preflight.check(config, gpus=gpus, force=force)


def resume_run(run: RunDirectory, config: RunConfig, processes: int) -> subprocess.Popen[bytes]:
    """Write the configuration, drop requests that were meant for the earlier attempt, and start the engine."""
    run = RunDirectory(run.path.resolve(), run.log)
    temporary = run.config.with_name(".config.toml.new")
    temporary.write_text(config.to_toml(), encoding="utf-8")
    temporary.replace(run.config)
    for request in run.control.glob("*"):
        request.unlink(missing_ok=True)
    info = run.read_info()
    label = Label(info.name, info.tags, info.notes) if info else Label(config.name)
    return start(run, train_command(run, processes=processes, resume=True), label, processes=processes)
