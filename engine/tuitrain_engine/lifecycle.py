"""A training attempt from start to `end` record: what goes wrong becomes one sentence, a status and an exit code."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import torch

from tuitrain import events
from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain_engine import report
from tuitrain_engine.checkpoint import CheckpointError
from tuitrain_engine.control import Control, StopRequested
from tuitrain_engine.data import DataError
from tuitrain_engine.journal import Journal
from tuitrain_engine.system_monitor import SystemMonitor
from tuitrain_engine.telemetry import NonFiniteError
from tuitrain_engine.trainer import Trainer, prepare, summarise, train

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


def run_attempt(run_dir: Path, *, resume: bool) -> int:
    """Train the run in this directory and return the exit code. Its config.toml must exist.

    Raises ConfigError when that cannot be read; from then on every end of the attempt is in the log.
    """
    config = load_config(str(run_dir / "config.toml"))
    return Attempt(run_dir, config).run(resume)


class Attempt:
    """One attempt at a run."""

    def __init__(self, run_dir: Path, config: RunConfig) -> None:
        self.run_dir, self.config = run_dir, config
        self.control = Control(run_dir)
        self.journal = Journal(run_dir)
        self.monitor: SystemMonitor | None = None
        self.trainer: Trainer | None = None

    def run(self, resume: bool) -> int:
        """Train, and turn whatever ends it into an `end` record and an exit code."""
        self.control.listen()
        try:
            self.trainer = prepare(self.run_dir, self.config, self.journal, self.control, resume=resume)
            interval_s = self.config.telemetry.system_interval_s
            self.monitor = SystemMonitor(self.journal.write, interval_s)
            stopped_by = train(self.trainer)
            if stopped_by is None:
                return self._end("completed", None, OK)
            return self._end("stopped", f"stopped by {stopped_by}", INTERRUPTED if self.control.interrupted else OK)
        except StopRequested as request:
            code = INTERRUPTED if self.control.interrupted else OK
            return self._end("stopped", f"stopped by {request} before the next checkpoint", code)
        except (ConfigError, DataError, CheckpointError) as error:
            print(error, file=sys.stderr)
            return self._end("failed", str(error), USAGE)
        except NonFiniteError as error:
            return self._end("failed", str(error), FAILURE)
        except Exception as error:
            if _is_out_of_memory(error):
                sentence = self._memory_sentence()
                print(sentence, file=sys.stderr)
                return self._end("failed", sentence, FAILURE)
            traceback.print_exc()
            return self._end("failed", f"{type(error).__name__}: {error}", FAILURE)
        finally:
            self.journal.close()

    def _end(self, status: str, reason: str | None, code: int) -> int:
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
        if trainer is not None:
            terminal.print(report.summary_text(end, str(self.run_dir), terminal))
        return code

    def _memory_sentence(self) -> str:
        micro = self.config.train.micro_batch_size
        step = f" at step {self.trainer.progress.step + 1}" if self.trainer else ""
        return (
            f"Out of memory{step}: lower train.micro_batch_size (it is {micro}; the global batch stays as it is, by "
            "accumulation) or model.seq_len."
        )


def _is_out_of_memory(error: Exception) -> bool:
    cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and cpu)
