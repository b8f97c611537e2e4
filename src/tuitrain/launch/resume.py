"""Continuing a run from its newest valid checkpoint, in the same directory and the same log."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tuitrain.config import RunConfig, load_config, resuming
from tuitrain.files import writing
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import POLL_S, start, train_command
from tuitrain.launch.processes import Processes
from tuitrain.runs import Glance, RunDirectory, Status, glance, lock_held
from tuitrain.runs.status import process_alive

EXIT_PATIENCE_S = 10.0
"""How long a process may take to go after it has written its `end` record."""


def newest_checkpoint(run: RunDirectory) -> Path | None:
    """The newest checkpoint that was written to its end: one whose `.metadata` exists.

    Whether its files are whole is for the engine to find out: it goes back to an older one where they are not, and
    fails with a sentence and exit code 3 when none is.
    """
    complete = sorted(path.parent for path in run.checkpoints.glob("step-*/.metadata"))
    return complete[-1] if complete else None


def prepare_resume(
    run: RunDirectory, overrides: Sequence[str] = (), *, gpus: int | None = None, force: bool = False
) -> tuple[RunConfig, Processes]:
    """Check that a run can go on; its configuration with the overrides applied, and its processes. Changes nothing.

    gpus: None is as many as the run had. Raises LaunchError, also for overrides that the checkpoint does not go with,
    ConfigError or FileNotFoundError.
    """
    if not run.config.exists():
        raise LaunchError(f"{run.run_id} has no config.toml: it was not started by this engine and cannot be resumed.")
    now = glance(run)
    _check_is_over(run, now)
    if newest_checkpoint(run) is None:
        raise LaunchError(f"{run.run_id} has no complete checkpoint to continue from.", exit_code=3)
    config = load_config(str(run.config), overrides)
    _check_changes(load_config(str(run.config)), config)
    done = now.end.step if now.end else None
    if now.status is Status.COMPLETED and done is not None and done >= config.total_steps:
        raise LaunchError(
            f"{run.run_id} has done all its {config.total_steps:,} steps; to go further raise train.max_steps: "
            f"tuitrain resume {run.run_id} train.max_steps={2 * done}."
        )
    if gpus is None and now.info is not None:
        gpus = now.info.processes
    return config, preflight.check(config, gpus=gpus, force=force)


def _check_is_over(run: RunDirectory, now: Glance) -> None:
    """Raise LaunchError while a process of the run may still write to its log or its checkpoints."""
    if now.status.live and process_alive(now.info) is not False:
        raise LaunchError(f"{run.run_id} is {now.status}: stop it first, with `tuitrain stop {run.run_id}`.")
    deadline = time.monotonic() + (0.0 if now.status.live else EXIT_PATIENCE_S)
    while lock_held(run.lock):
        if time.monotonic() >= deadline:
            if not now.status.live:
                raise LaunchError(f"{run.run_id} is {now.status}, but its process is still there: try again later.")
            raise LaunchError(
                f"{run.run_id} is still training although its launcher is gone: stop it first, with `tuitrain stop "
                f"{run.run_id}` or `tuitrain stop {run.run_id} --now`."
            )
        time.sleep(POLL_S)


def _check_changes(before: RunConfig, after: RunConfig) -> None:
    """Raise LaunchError when a key changes that must not."""
    refusal = resuming.refusal(resuming.changes(*map(preflight.with_absolute_paths, (before, after))))
    if refusal:
        raise LaunchError(refusal)


def _keep_config(run: RunDirectory, text: str) -> None:
    """Keep the configuration of the steps so far next to the new one, where they differ."""
    if run.config.read_text(encoding="utf-8") != text:
        number = 1 + len(list(run.path.glob("config.earlier-*.toml")))
        shutil.copyfile(run.config, run.path / f"config.earlier-{number}.toml")


def resume_run(run: RunDirectory, config: RunConfig, processes: int) -> subprocess.Popen[bytes]:
    """Write the configuration, drop requests that were meant for the earlier attempt, and start the engine.

    An earlier configuration that differs stays there as config.earlier-1.toml and so on.
    """
    run = RunDirectory(run.path.resolve(), run.log)
    temporary = run.config.with_name(".config.toml.new")
    text = config.to_toml()
    with writing(run.config):
        temporary.write_text(text, encoding="utf-8")
    _keep_config(run, text)
    temporary.replace(run.config)
    for request in run.control.glob("*"):
        request.unlink(missing_ok=True)
    return start(run, train_command(run, processes=processes, resume=True), None, processes=processes)
