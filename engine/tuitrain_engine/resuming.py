"""Resuming: which checkpoint, whether the configuration suits it, and which records of its step the log has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from tuitrain import events
from tuitrain.config import ConfigError, RunConfig, load_config, resuming, validate
from tuitrain_engine import checkpoint
from tuitrain_engine.checkpoint import CheckpointError, SavedCheckpoint
from tuitrain_engine.data import Dataset
from tuitrain_engine.journal import Journal
from tuitrain_engine.model import Transformer
from tuitrain_engine.parallel import World
from tuitrain_engine.progress import Progress


@dataclass(frozen=True)
class Restored:
    """The state that a run resumes from."""

    checkpoint: SavedCheckpoint
    damaged: list[str]
    """What is wrong with newer checkpoints, a sentence each."""
    config: dict[str, Any]
    """The configuration that the checkpoint was written with."""
    changes: list[resuming.Change]
    progress: Progress
    evaluations: list[events.Eval]
    written: frozenset[str]
    """The kinds (`eval`, `sample`, `checkpoint`) that the log has records of at the checkpoint's step."""

    def alerts(self) -> Iterator[events.Alert]:
        """Sentences for the user about this resume."""
        step = self.progress.step
        other = resuming.other_sequences(self.changes)
        if other:
            yield events.Alert(level="warning", code="data_changed", message=other, step=step)
        for sentence in self.damaged:
            message = f"{sentence} The run continues from {self.checkpoint.path.name}."
            yield events.Alert(level="warning", code="checkpoint_damaged", message=message, step=step)


def restore(
    run_dir: Path,
    config: RunConfig,
    world: World,
    model: Transformer,
    optimizer: Optimizer,
    dataset: Dataset,
    journal: Journal,
) -> Restored:
    """Fill model, optimizer and data position from the newest whole checkpoint. Changes nothing on disk.

    Raises CheckpointError when there is none, ConfigError when the configuration does not suit it.
    """
    saved, damaged = world.broadcast_object(checkpoint.choose(run_dir) if world.is_main else None)
    if saved is None:
        raise CheckpointError(f"{checkpoint.none_sentence(run_dir, damaged)} There is nothing to resume from.")
    state = checkpoint.load(saved.path, model, optimizer, world)
    try:
        before = state["config"]
        progress = Progress.from_state(state["progress"], before)
    except (AttributeError, KeyError, TypeError):
        raise CheckpointError(f"{saved.path} is damaged: it does not contain the progress of the run.") from None
    changes = _changes(before, config)
    refusal = resuming.refusal(changes)
    if refusal:
        raise ConfigError(refusal)
    if progress.step > config.total_steps_from(progress.step, progress.tokens):
        raise ConfigError(
            f"No steps are left: {saved.path.name} is the newest checkpoint, and train.max_steps = "
            f"{config.train.max_steps}. Raise train.max_steps, or launch a new run."
        )
    dataset.train.restore(state.get("data", {}), progress.sequences)
    evaluations, written = world.broadcast_object(
        (journal.evaluations(up_to_step=progress.step), journal.written_at(progress.step)) if world.is_main else None
    )
    return Restored(saved, damaged, before, changes, progress, evaluations, written)


def keep_config(run_dir: Path, config: RunConfig, *, earlier: bool) -> None:
    """Write a configuration to config.toml, if it differs.

    earlier: whether steps were trained with the old one; it is then kept as config.earlier-1.toml and so on.
    """
    path = run_dir / "config.toml"
    if load_config(str(path)) == config:
        return
    if earlier:
        number = 1 + len(list(run_dir.glob("config.earlier-*.toml")))
        shutil.copyfile(path, run_dir / f"config.earlier-{number}.toml")
    unfinished = path.with_name(".config.toml.new")
    unfinished.write_text(config.to_toml(), encoding="utf-8")
    unfinished.replace(path)


def _changes(before: dict[str, Any], after: RunConfig) -> list[resuming.Change]:
    try:
        return resuming.changes(validate(before), after)
    except ConfigError:
        # Of a version with other keys: loading still checks its weights and its data.
        return []
