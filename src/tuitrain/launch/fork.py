"""A fork: a new run that goes on from a checkpoint of another one, in a directory and a log of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tuitrain.config import load_config, resuming
from tuitrain.events.checkpoints import INDEX, SavedCheckpoint, checkpoint_directory, complete_checkpoints
from tuitrain.events.layout import Parent
from tuitrain.launch import preflight
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, Started, new_run, removed_on_error, start_engine, starting, train_command
from tuitrain.launch.resume import check_steps_left
from tuitrain.runs import RunDirectory, read_snapshot
from tuitrain.runs.editing import edited_metadata

_TOKENIZER = "tokenizer"
"""The directory of a run with its tokenizer, which the text was read with."""


def fork_run(
    parent: RunDirectory,
    step: int | None,
    overrides: Sequence[str],
    runs_dir: Path,
    tags: Sequence[str] = (),
    notes: Sequence[str] = (),
    *,
    gpus: int | None = None,
    force: bool = False,
) -> Started:
    """Start a run from the checkpoint of a step, None: the newest, of another run, which may still train.

    Its configuration is the parent's with the overrides; what a resume may not change a fork may not either. gpus: None
    is as many processes as the parent had. Raises LaunchError, ConfigError or OSError, and leaves no run then.
    """
    if not parent.config.exists():
        raise LaunchError(
            f"{parent.run_id} has no config.toml: it was not started by this engine and cannot be forked."
        )
    saved = _checkpoint(parent, step)
    before, config = load_config(str(parent.config)), load_config(str(parent.config), overrides)
    before, config = preflight.with_absolute_paths(before), preflight.with_absolute_paths(config)
    refusal = resuming.refusal(resuming.changes(before, config))
    if refusal:
        raise LaunchError(refusal.replace("The run cannot resume", "A fork cannot go on", 1))
    snapshot = read_snapshot(parent)
    check_steps_left(snapshot, config, saved.step, f"tuitrain fork {parent.run_id} --at {saved.step}")
    if gpus is None and snapshot.info is not None:
        gpus = snapshot.info.processes_of_node
    processes = preflight.check(config, gpus=gpus, force=force)
    run = new_run(runs_dir, config)
    with removed_on_error(run):
        _copy(parent, saved, run)
        with edited_metadata(run) as facts:
            facts["parent"] = msgspec.to_builtins(Parent(run_id=parent.run_id, step=saved.step))
        with starting(run):
            command = [*train_command(run, processes=processes.count), "--resume"]
            label = Label(config.name, list(tags), list(notes))
            process = start_engine(run, command, label, config, processes=processes.count)
    return Started(run, process, processes.note)


def _checkpoint(run: RunDirectory, step: int | None) -> SavedCheckpoint:
    saved = complete_checkpoints(run.path)
    if not saved:
        raise LaunchError(f"{run.run_id} has no complete checkpoint to fork from.", exit_code=3)
    if step is None:
        return saved[-1]
    chosen = next((each for each in saved if each.step == step), None)
    if chosen is None:
        steps = ", ".join(f"{each.step}" for each in saved)
        raise LaunchError(f"{run.run_id} has no checkpoint of step {step}; it has those of {steps}.", exit_code=3)
    return chosen


def _copy(parent: RunDirectory, saved: SavedCheckpoint, run: RunDirectory) -> None:
    """Give a run the checkpoint and the tokenizer. No bytes are copied where the file system can link.

    Raises LaunchError when the parent has deleted the checkpoint meanwhile.
    """
    target = checkpoint_directory(run.path, saved.step)
    target.mkdir(parents=True)
    try:
        # The index comes last: it makes the checkpoint complete.
        for path in sorted(saved.path.iterdir(), key=lambda path: path.name == INDEX):
            _link(path, target / path.name)
    except FileNotFoundError:
        raise LaunchError(f"{saved.path} was deleted while it was copied: choose a newer step.", exit_code=3) from None
    if (parent.path / _TOKENIZER).is_dir():
        shutil.copytree(parent.path / _TOKENIZER, run.path / _TOKENIZER)


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, target)
