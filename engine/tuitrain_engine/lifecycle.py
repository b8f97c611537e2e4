"""A training attempt from start to `end` record: each failure becomes one sentence, a status and an exit code."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import torch

from tuitrain import accounting, events
from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain.events.lock import LockedError, acquire, no_locks_sentence
from tuitrain.events.requests import stop_reason
from tuitrain.files import GoneError, os_error_text
from tuitrain.monitor import SystemMonitor
from tuitrain_engine import report
from tuitrain_engine.building import decide_micro_batch
from tuitrain_engine.checkpoint import CheckpointError, SaveError
from tuitrain_engine.control import Control, StopRequested
from tuitrain_engine.data import CacheError, DataError, load_tokenizer
from tuitrain_engine.hardware import Machine, find_machine
from tuitrain_engine.journal import Journal, JournalError
from tuitrain_engine.parallel import World, join_world, leave_world
from tuitrain_engine.peers import Peers
from tuitrain_engine.telemetry import NonFiniteError
from tuitrain_engine.trainer import Trainer, prepare, train

OK, FAILURE, USAGE, NOT_FOUND, INTERRUPTED = 0, 1, 2, 3, 130
SAVING_TIMEOUT_S, SAVING_WITHOUT_NODE_S = 300.0, 10.0
LOCK_TIMEOUT_S = 1.0


class AlreadyTrainedError(RuntimeError):
    """Another engine trains this run, so nothing may be written to its log."""


def run_attempt(
    run_dir: Path, control: Control, peers: Peers, *, resume: bool, resume_config: Path | None = None
) -> int:
    """Train the run in this directory and return the exit code. Its config.toml must exist.

    resume_config: a file with the configuration to resume with, which is deleted; it becomes the run's once the
    checkpoint was loaded with it.

    Raises ConfigError when that cannot be read or the processes do not suit this machine, AlreadyTrainedError when
    another process trains this run; from then on every end of the attempt is in the log.
    """
    config = load_config(str(resume_config or run_dir / "config.toml"))
    if peers.is_main:
        _lock(run_dir)
    world = join_world(config.train.device)
    if resume_config is not None and world.is_main:
        # By now all processes have read it.
        resume_config.unlink(missing_ok=True)
    code = Attempt(run_dir, config, world, control, peers).run(resume)
    if world.size > 1:
        # After a failure the others may hang in a collective. And at a normal exit gloo sometimes aborts, since its
        # threads outlive the objects that own them; by now everything is written.
        if code in (OK, INTERRUPTED):
            leave_world(world)
        _exit_at_once(code)
    return code


def _lock(run_dir: Path) -> None:
    """Lock the run against a second engine until this process ends; the launcher checks the lock too."""
    try:
        acquire(run_dir / ".lock", LOCK_TIMEOUT_S)
    except LockedError:
        raise AlreadyTrainedError(f"{run_dir} is being trained by another process: stop that one first.") from None
    if (sentence := no_locks_sentence(run_dir / ".lock")) is not None:
        report.stderr().print(sentence)


def _exit_at_once(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


class Attempt:
    """One attempt at a run, on one of its processes."""

    def __init__(self, run_dir: Path, config: RunConfig, world: World, control: Control, peers: Peers) -> None:
        self.run_dir, self.config, self.world, self.control, self.peers = run_dir, config, world, control, peers
        self.journal = Journal(run_dir, writes=world.is_main)
        self.monitor: SystemMonitor | None = None
        self.trainer: Trainer | None = None
        self._ending, self._ended = threading.Lock(), False
        peers.abandon = self._abandon

    def run(self, resume: bool) -> int:
        """Train, and turn any outcome into an `end` record and an exit code."""
        try:
            self.trainer = prepare(self.run_dir, self.config, self.journal, self.control, self.world, resume=resume)
            self.peers.training = True
            if self.world.is_main:
                self.monitor = SystemMonitor(
                    self.journal.write,
                    self.config.telemetry.system_interval_s,
                    self.run_dir,
                    self.trainer.telemetry.rank_times.pop_means,
                )
            stopped_by = train(self.trainer)
            if stopped_by is None:
                return self._end("completed", None, OK)
            return self._end("stopped", self._why_stopped(stopped_by), INTERRUPTED if self.control.interrupted else OK)
        except StopRequested as request:
            peer_failure = self.peers.failure()
            if peer_failure is not None:
                return self._fail(peer_failure, FAILURE)
            code = INTERRUPTED if self.control.interrupted else OK
            return self._end("stopped", f"{self._why_stopped(str(request))} before the next checkpoint", code)
        except CheckpointError as error:
            return self._fail(str(error), NOT_FOUND)
        except (ConfigError, DataError) as error:
            # Once it trains, the configuration is not the cause: a resume may succeed.
            return self._fail(str(error), FAILURE if self.peers.training or isinstance(error, CacheError) else USAGE)
        except (NonFiniteError, SaveError, JournalError, GoneError) as error:
            return self._fail(str(error), FAILURE)
        except Exception as error:
            sentence = self._sentence(error)
            if sentence is None:
                report.stderr().print(traceback.format_exc())
                sentence = f"{type(error).__name__}: {error}"
            return self._fail(sentence, FAILURE)
        finally:
            self.peers.close()
            self.journal.close()

    def _why_stopped(self, by: str) -> str:
        if self.peers.orphaned:
            return "torchrun, which started the run, has died: stopped"
        return stop_reason(self.control.stop_reason or by)

    def _sentence(self, error: Exception) -> str | None:
        """The sentence on an error with a known cause; None for a bug."""
        if _is_out_of_memory(error):
            return self._memory_sentence()
        peer_failure = self.peers.failure(self.peers.patience_s)
        if peer_failure is None and self.world.size > 1 and "Timed out waiting" in str(error):
            return (
                f"A step waited more than parallel.timeout_s = {self.config.parallel.timeout_s:g} s for another "
                "process of this run, which hangs or waits for data. See the console of its rank."
            )
        if peer_failure is None and self.world.size > 1 and _is_lost_connection(error):
            return (
                "Another process of this run died without a message: it may have been killed. See the console of its "
                "rank in the run directory."
            )
        return peer_failure or (os_error_text(error) if isinstance(error, OSError) else None)

    def _fail(self, sentence: str, code: int) -> int:
        report.stderr().print(sentence)
        self._finish_checkpoint()
        self.peers.report(sentence)
        return self._end("failed", sentence, code)

    def _finish_checkpoint(self) -> None:
        """Wait for a checkpoint that is being written; another process may have died."""
        if self.trainer is not None:
            # A log that cannot be written and a removed directory are reported by others.
            several = SAVING_WITHOUT_NODE_S if self.peers.node_lost else SAVING_TIMEOUT_S
            with suppress(JournalError, GoneError):
                self.trainer.checkpoints.finish(timeout_s=None if self.world.size == 1 else several)

    def _abandon(self, sentence: str) -> None:
        """End this process, which waits for another one that has failed."""
        report.stderr().print(sentence)
        self._finish_checkpoint()
        self._end("failed", sentence, FAILURE)
        _exit_at_once(FAILURE)

    def _end(self, status: str, reason: str | None, code: int) -> int:
        """Write the `end` record once; returns the exit code, a failure's where the record could not be written."""
        with self._ending:
            if not self._ended:
                self._ended = True
                if not self._write_end(status, reason) and code == OK:
                    return FAILURE
        return code

    def _write_end(self, status: str, reason: str | None) -> bool:
        # When one process fails torchrun sends SIGTERM to the others; it must not interrupt this write.
        self.control.wait_for_boundaries()
        if self.monitor is not None:
            self.monitor.close()
        trainer, now = self.trainer, time.time()
        end = events.End(
            time=now,
            status=status,  # type: ignore[arg-type]
            reason=reason,
            step=trainer.progress.step if trainer else None,
            tokens=trainer.progress.tokens if trainer else None,
            summary=self.journal.summary(now) if trainer else {},
        )
        try:
            self.journal.write(end)
            self.journal.flush()
        except JournalError as error:
            report.stderr().print(str(error))
            return False
        terminal = report.stdout()
        if trainer is not None and self.world.is_main:
            terminal.print(report.summary_text(end, str(self.run_dir), terminal))
        return True

    def _memory_sentence(self) -> str:
        """The sentence that memory ran out, with the settings that should fit."""
        start = f"Out of memory at step {self.trainer.progress.step + 1}" if self.trainer else "Out of memory"
        try:
            machine = find_machine(self.config.train, self.config.hardware)
            fitting = accounting.fitting_sentence(self._resolved_config(machine), machine.devices(self.world))
        except (ConfigError, DataError, OSError, ValueError):
            return f"{start}, before the vocabulary was known: use a smaller micro-batch or a smaller model."
        if fitting:
            return f"{start}. By the memory estimate these fit: {fitting}."
        remedy = "use a smaller model, a shorter model.seq_len or more GPUs"
        return f"{start}, and by the memory estimate nothing fits: {remedy}."

    def _resolved_config(self, machine: Machine) -> RunConfig:
        """The configuration with vocabulary and micro-batch, also while the trainer is still being prepared."""
        if self.trainer is not None:
            return self.trainer.config
        tokenizer = load_tokenizer(self.run_dir / "tokenizer")
        config, _ = decide_micro_batch(self.config, tokenizer.vocab_size, machine, self.world)
        return config.with_vocab_size(tokenizer.vocab_size)


def _is_lost_connection(error: Exception) -> bool:
    """Whether a collective failed because another process is not there any more, in gloo's words or NCCL's."""
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process", "NCCL error")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _is_out_of_memory(error: Exception) -> bool:
    cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and cpu)
