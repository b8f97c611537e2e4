"""Manages the checkpoints of a running attempt: starts them at a step boundary, records them, prunes old ones."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from tuitrain import events
from tuitrain.config.sections import CheckpointConfig
from tuitrain.files import FollowedDirectory, GoneError
from tuitrain_engine import checkpoint
from tuitrain_engine.checkpoint import checksums
from tuitrain_engine.journal import Journal, JournalError
from tuitrain_engine.parallel import World

LOG_S = 1.0
"""How long a checkpoint waits for the log, which most likely is on the same disk."""


@dataclass(frozen=True)
class _Saving:
    """A checkpoint that is being written."""

    step: int
    path: Path
    began: float
    written: Future[Any]


class Checkpoints:
    """Writes one checkpoint at a time and keeps the newest few and the best.

    val_losses: validation loss by step, which the loop extends; the lowest is the best.
    """

    def __init__(
        self, run_dir: Path, config: CheckpointConfig, world: World, journal: Journal, val_losses: dict[int, float]
    ) -> None:
        self._run_dir, self._config, self._world, self._journal = FollowedDirectory(run_dir), config, world, journal
        self._val_losses = val_losses
        self._saving: _Saving | None = None
        self._failure: checkpoint.SaveError | None = None
        """Why the newest checkpoint could not be written."""
        # A thread that ends the run waits for the same checkpoint.
        self._finishing = threading.RLock()

    @property
    def pending(self) -> bool:
        """Whether one is still being written."""
        return self._saving is not None

    @property
    def written(self) -> bool:
        """Whether one was being written and now is, so that `finish` does not wait."""
        return self._saving is not None and self._saving.written.done()

    def has(self, step: int) -> bool:
        """Whether the checkpoint of a step is complete."""
        return checkpoint.at_step(self._run_dir.path, step) is not None

    def begin(self, step: int, model: nn.Module, optimizer: Optimizer, loop_state: dict[str, Any]) -> None:
        """Copy the state of this step and write it; with async_save the next steps do not wait for the disk."""
        self.finish()
        # A resume from this checkpoint keeps the records up to its step.
        with suppress(JournalError):
            self._journal.flush(LOG_S)
        began, path = time.perf_counter(), checkpoint.directory(self._run_dir.path, step)
        try:
            written = checkpoint.start_saving(path, model, optimizer, loop_state, self._world)
        except OSError as error:
            written = Future()
            written.set_exception(error)
        self._saving = _Saving(step, path, began, written)
        if not self._config.async_save:
            self.finish()

    def finish(self, *, final: bool = False, timeout_s: float | None = None) -> None:
        """Wait for the checkpoint that is being written, record it, and prune old ones.

        A failure becomes an alert, since training can continue. final: raise SaveError if the newest one could not be
        written, even when an earlier call waited for it.
        timeout_s: how long to wait, where another process may have died.
        """
        if not self._finishing.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return
        try:
            saving = self._saving
            if saving is not None:
                self._finish(saving, timeout_s)
            if self._world.is_main:
                with suppress(GoneError):
                    self._discard_old()
            if final and self._failure is not None:
                raise self._failure
        finally:
            self._finishing.release()

    def _finish(self, saving: _Saving, timeout_s: float | None) -> None:
        try:
            checkpoint.finish_saving(saving.path, saving.written, timeout_s)
        except checkpoint.SaveError as error:
            self._saving, self._failure = None, error
            if self._world.is_main and saving.written.done():
                # Deleting the incomplete checkpoint may free the space that was missing.
                checkpoint.discard(saving.path)
            self._journal.write(
                events.Alert(level="critical", code="checkpoint_failed", message=str(error), step=saving.step)
            )
        else:
            self._saving = self._failure = None
            self.record(saving.step, (time.perf_counter() - saving.began) * 1e3)

    def discard(self, step: int) -> None:
        """Delete the checkpoint of one step, if there is one."""
        self.finish()
        if self._world.is_main:
            checkpoint.discard(checkpoint.directory(self._run_dir.path, step))

    def record(self, step: int, duration_ms: float | None = None) -> None:
        """Write that the checkpoint of a step is on disk.

        One whose attempt was killed before it was recorded may lack its checksums, which are the last to be written.
        """
        if self._world.is_main:
            run_dir = self._run_dir.path
            path = checkpoint.directory(run_dir, step)
            if not (path / checksums.NAME).exists():
                checksums.write(path)
            self._journal.write(
                events.Checkpoint(
                    step=step,
                    path=path.relative_to(run_dir).as_posix(),
                    bytes=checkpoint.size_in_bytes(path),
                    duration_ms=duration_ms,
                )
            )

    def _discard_old(self) -> None:
        run_dir = self._run_dir.path
        losses = {saved.step: self._val_losses.get(saved.step, math.inf) for saved in checkpoint.complete(run_dir)}
        best = min(losses, key=lambda step: losses[step], default=None)
        keep_best = self._config.keep_best and best is not None and losses[best] < math.inf
        checkpoint.prune(run_dir, self._config.keep_last, best if keep_best else None)
