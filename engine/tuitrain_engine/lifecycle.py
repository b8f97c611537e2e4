"""A training attempt from start to `end` record: what goes wrong becomes one sentence, a status and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from tuitrain import accounting, events
from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain_engine import report
from tuitrain_engine.checkpoint import CheckpointError, SaveError
from tuitrain_engine.control import Control, StopRequested
from tuitrain_engine.data import DataError
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import Peers, World, join_world, leave_world
from tuitrain_engine.system_monitor import SystemMonitor
from tuitrain_engine.telemetry import NonFiniteError
from tuitrain_engine.trainer import Trainer, prepare, train

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130
SAVING_PATIENCE_S = 300.0


def run_attempt(run_dir: Path, *, resume: bool) -> int:
    """Train the run in this directory and return the exit code. Its config.toml must exist.

    Raises ConfigError when that cannot be read, or the processes do not suit this machine; from then on every end of
    the attempt is in the log.
    """
    config = load_config(str(run_dir / "config.toml"))
    world = join_world(config.train.device)
    code = Attempt(run_dir, config, world).run(resume)
    if world.size > 1:
        # After a failure the others may hang in a collective. And at an ordinary exit gloo aborts now and then, since
        # its threads outlive the objects that own them; by now everything is written.
        if code in (OK, INTERRUPTED):
            leave_world(world)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


class Attempt:
    """One attempt at a run, on one of its processes."""

    def __init__(self, run_dir: Path, config: RunConfig, world: World) -> None:
        self.run_dir, self.config, self.world = run_dir, config, world
        self.control = Control(run_dir, reads_files=world.is_main)
        self.journal = Journal(run_dir, writes=world.is_main)
        self.peers = Peers(run_dir, world)
        self.monitor: SystemMonitor | None = None
        self.trainer: Trainer | None = None

    def run(self, resume: bool) -> int:
        """Train, and turn whatever ends it into an `end` record and an exit code."""
        self.control.listen()
        self.peers.watch(self._abandon)
        try:
            self.trainer = prepare(self.run_dir, self.config, self.journal, self.control, self.world, resume=resume)
            if self.world.is_main:
                self.monitor = SystemMonitor(self.journal.write, self.config.telemetry.system_interval_s)
            stopped_by = train(self.trainer)
            if stopped_by is None:
                return self._end("completed", None, OK)
            return self._end("stopped", f"stopped by {stopped_by}", INTERRUPTED if self.control.interrupted else OK)
        except StopRequested as request:
            elsewhere = self.peers.failure()
            if elsewhere is not None:
                return self._fail(elsewhere, FAILURE)
            code = INTERRUPTED if self.control.interrupted else OK
            return self._end("stopped", f"stopped by {request} before the next checkpoint", code)
        except (ConfigError, DataError, CheckpointError) as error:
            return self._fail(str(error), USAGE)
        except (NonFiniteError, SaveError) as error:
            return self._fail(str(error), FAILURE)
        except Exception as error:
            if _is_out_of_memory(error):
                return self._fail(self._memory_sentence(), FAILURE)
            elsewhere = self.peers.failure(patience_s=2.0)
            if elsewhere is None and self.world.size > 1 and _is_lost_connection(error):
                elsewhere = (
                    "Another process of this run is gone without a word: it may have been killed; its console.N.log "
                    "in the run directory tells how far it came."
                )
            if elsewhere is not None:
                return self._fail(elsewhere, FAILURE)
            traceback.print_exc()
            return self._fail(f"{type(error).__name__}: {error}", FAILURE)
        finally:
            self.peers.close()
            self.journal.close()

    def _fail(self, sentence: str, code: int) -> int:
        print(sentence, file=sys.stderr)
        self._finish_checkpoint()
        self.peers.report(sentence)
        return self._end("failed", sentence, code)

    def _finish_checkpoint(self) -> None:
        """Let a checkpoint that is being written come to its end; another process may not be there to help."""
        if self.trainer is not None:
            self.trainer.checkpoints.finish(patience_s=None if self.world.size == 1 else SAVING_PATIENCE_S)

    def _abandon(self, sentence: str) -> None:
        """End from the outside: another process has failed and this one waits for it."""
        print(sentence, file=sys.stderr)
        self._finish_checkpoint()
        self._end("failed", sentence, FAILURE)
        sys.stdout.flush()
        os._exit(FAILURE)

    def _end(self, status: str, reason: str | None, code: int) -> int:
        # When one process fails torchrun sends SIGTERM to the others; it must not break off what is written here.
        self.control.wait_for_boundaries()
        if self.monitor is not None:
            self.monitor.close()
        trainer, summary = self.trainer, {}
        if trainer is not None:
            summary = summarise(trainer)
        end = events.End(
            status=status,  # type: ignore[arg-type]
            reason=reason,
            step=trainer.progress.step if trainer else None,
            tokens=trainer.progress.tokens if trainer else None,
            summary=summary,
        )
        self.journal.write(end)
        terminal = report.stdout()
        if trainer is not None and self.world.is_main:
            terminal.print(report.summary_text(end, str(self.run_dir), terminal))
        return code

    def _memory_sentence(self) -> str:
        step = f" at step {self.trainer.progress.step + 1}" if self.trainer else ""
        trainer, start = self.trainer, f"Out of memory{step}"
        if trainer is not None:
            machine = trainer.machine
            fitting = accounting.fitting_sentence(
                trainer.config, machine.dtype, self.world.size, machine.device.type, machine.memory_gb * 1e9,
                self.world.nodes,
            )  # fmt: skip
            if fitting:
                return f"{start}. By the accounting these fit: {fitting}."
        micro = self.config.train.micro_batch_size
        return (
            f"{start}: lower train.micro_batch_size (it is {micro}; the global batch stays as it is, by accumulation) "
            "or model.seq_len."
        )


def summarise(t: Trainer) -> dict[str, Any]:
    """The `end` record's summary. Means are over all timed steps of the run, earlier attempts included."""
    totals, best_step = t.progress.totals, min(t.val_losses, key=lambda step: t.val_losses[step], default=None)
    speed = None
    if totals.training_time_s:
        speed = totals.timed_steps * t.config.tokens_per_step / totals.training_time_s
    flops = accounting.flops_per_token(t.config.model).full
    return {
        "final_loss": totals.last_loss,
        "final_val_loss": t.val_losses[max(t.val_losses)] if t.val_losses else None,
        "best_val_loss": t.val_losses[best_step] if best_step is not None else None,
        "best_val_step": best_step,
        "mean_mfu": speed and accounting.mfu(speed, flops, t.world.size, t.machine.peak_tflops),
        "mean_tokens_per_sec": speed,
        "training_time_s": totals.training_time_s,
        "peak_memory_gb": totals.peak_memory_gb or None,
        "wall_time_s": t.wall_time_s,
    }


def _is_lost_connection(error: Exception) -> bool:
    """Whether a collective failed because another process is not there any more, in gloo's words or NCCL's."""
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process", "NCCL error")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _is_out_of_memory(error: Exception) -> bool:
    cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and cpu)
