"""Resuming a run from its newest valid checkpoint, in the same directory and the same log."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuitrain.config import RunConfig, load_config, resuming
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.events.layout import Nodes
from tuitrain.events.requests import delete_requests
from tuitrain.files import writing
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import POLL_S, Retries, start_engine, starting, train_command
from tuitrain.launch.preflight import Processes
from tuitrain.runs import RunDirectory, RunSnapshot, Status, lock_held, read_snapshot
from tuitrain.runs.status import process_alive

RESUME_CONFIG = ".config.resume.toml"
"""File with the configuration of a resume, until the engine has made it the run's."""
EXIT_TIMEOUT_S = 10.0
"""Time for a process to exit after its `end` record."""


@dataclass(frozen=True)
class Resumed:
    """A resumed run: its process, the checkpoint it was started from, and the size of its console before, in bytes."""

    process: subprocess.Popen[bytes]
    checkpoint: Path
    console_bytes: int


def prepare_resume(
    run: RunDirectory,
    overrides: Sequence[str] = (),
    *,
    gpus: int | None = None,
    force: bool = False,
    nodes: Nodes | None = None,
) -> tuple[RunConfig, Processes]:
    """Check that a run can be resumed here; returns its configuration with the overrides, and its processes.

    Writes nothing. gpus: of each of the nodes; None is as many as the run had. Raises as `config_to_resume` does.
    """
    config, processes = config_to_resume(run, overrides)
    return config, preflight.check(config, gpus=processes if gpus is None else gpus, force=force, nodes=nodes)


def config_to_resume(run: RunDirectory, overrides: Sequence[str] = ()) -> tuple[RunConfig, int | None]:
    """The configuration of a run that can be resumed, with the overrides, and the processes of a node of it, if known.

    Raises LaunchError, also for overrides that do not suit the checkpoint, ConfigError or FileNotFoundError.
    """
    if not run.config.exists():
        raise LaunchError(f"{run.run_id} has no config.toml: it was not started by this engine and cannot be resumed.")
    snapshot = read_snapshot(run)
    _check_is_over(run, snapshot)
    checkpoints = complete_checkpoints(run.path)
    if not checkpoints:
        raise LaunchError(f"{run.run_id} has no complete checkpoint to resume from.", exit_code=3)
    before, config = load_config(str(run.config)), load_config(str(run.config), overrides)
    refusal = resuming.refusal(resuming.changes(*map(preflight.with_absolute_paths, (before, config))))
    if refusal:
        raise LaunchError(refusal)
    done = checkpoints[-1].step
    unfinished = snapshot.status in (Status.FAILED, Status.CRASHED) and total_steps(snapshot, before, done) == done
    check_steps_left(snapshot, config, done, f"tuitrain resume {run.run_id}", unfinished=unfinished)
    return config, snapshot.info.processes_of_node if snapshot.info is not None else None


def _tokens_at(snapshot: RunSnapshot, step: int) -> int:
    """Tokens that a run had been trained on at a step, as far as its newest step tells."""
    newest = snapshot.step
    per_step = (snapshot.run.tokens_per_step if snapshot.run else None) or load_config(
        str(snapshot.directory.config)
    ).tokens_per_step
    if newest is None or newest.tokens is None:
        return step * per_step
    return newest.tokens - (newest.step - step) * per_step


def total_steps(snapshot: RunSnapshot, config: RunConfig, done: int) -> int:
    """All steps of a run that goes on from a step with a configuration."""
    return config.total_steps_from(done, _tokens_at(snapshot, done))


def check_steps_left(
    snapshot: RunSnapshot, config: RunConfig, done: int, command: str, *, unfinished: bool = False
) -> None:
    """Raise LaunchError when no steps remain after `done`, the step of a checkpoint.

    command: what goes on from it. unfinished: a run that was killed after its last checkpoint may lack the evaluation
    or sample of that step, and may be resumed for them.
    """
    total, tokens = total_steps(snapshot, config, done), _tokens_at(snapshot, done)
    if total > done or (total == done and unfinished):
        return
    train = config.train
    reached = {
        key: (limit, 2 * spent)
        for key, limit, spent in (("max_steps", train.max_steps, done), ("token_budget", train.token_budget, tokens))
        if limit is not None and limit <= spent
    }
    limits = " and ".join(f"train.{key} = {limit:,}" for key, (limit, _) in reached.items())
    more = " ".join(f"train.{key}={twice}" for key, (_, twice) in reached.items())
    raise LaunchError(
        f"{snapshot.directory.run_id} has no steps left: its checkpoint is of step {done:,}, and {limits}; to train "
        f"further, raise that: {command} {more}."
    )


def _check_is_over(run: RunDirectory, snapshot: RunSnapshot) -> None:
    """Raise LaunchError while a process of the run may still write to its log or its checkpoints."""
    status, stop = snapshot.status, f"`tuitrain stop {run.run_id}`"
    if status.live and process_alive(snapshot.info) is not False:
        raise LaunchError(f"{run.run_id} is {status}: stop it first, with {stop}.")
    deadline = time.monotonic() + (0.0 if status.live else EXIT_TIMEOUT_S)
    while lock_held(run.lock):
        if time.monotonic() >= deadline:
            if not status.live:
                raise LaunchError(f"{run.run_id} is {status}, but its process has not exited yet: try again later.")
            raise LaunchError(
                f"{run.run_id} is still training although its launcher has died: stop it first, with {stop} or "
                f"`tuitrain stop {run.run_id} --now`."
            )
        time.sleep(POLL_S)


def resume_run(
    run: RunDirectory,
    overrides: Sequence[str] = (),
    *,
    gpus: int | None = None,
    force: bool = False,
    retries: Retries = Retries(),  # noqa: B008 - frozen
    nodes: Nodes | None = None,
) -> Resumed:
    """Start the engine on the newest checkpoint of a run that is over. Raises as `prepare_resume` does, and OSError.

    The engine gets the configuration with the overrides, and makes it the run's once it has loaded the checkpoint.
    Requests to the earlier attempt are deleted.
    """
    with starting(run):
        config, processes = prepare_resume(run, overrides, gpus=gpus, force=force, nodes=nodes)
        run = RunDirectory(run.path.resolve(), run.log)
        checkpoint = complete_checkpoints(run.path)[-1].path
        printed = console_bytes(run)
        command = [*with_config(run, config, processes.count, nodes), "--resume"]
        process = start_engine(
            run, command, None, config, processes=processes.count, nodes=nodes, retries=retries
        )  # fmt: skip
    return Resumed(process, checkpoint, printed)


def console_bytes(run: RunDirectory) -> int:
    """The size of the console so far."""
    return run.console.stat().st_size if run.console.exists() else 0


def with_config(run: RunDirectory, config: RunConfig, processes: int, nodes: Nodes | None = None) -> list[str]:
    """The engine's command line for a further attempt with this configuration, which is written for it.

    Requests to the earlier attempt are deleted.
    """
    command = train_command(run, processes=processes, nodes=nodes)
    return [*command, "--config", str(write_config(run, config))]


def write_config(run: RunDirectory, config: RunConfig) -> Path:
    """Write the configuration of a further attempt for it, and delete requests to the earlier one."""
    with suppress(FileNotFoundError):
        delete_requests(run.path)
    path = run.path / RESUME_CONFIG
    with writing(path):
        path.write_text(preflight.with_absolute_paths(config).to_toml(), encoding="utf-8")
    return path
