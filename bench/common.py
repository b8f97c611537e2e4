"""What the benchmarks share: a trainer in a temporary directory, fair pairs, tables."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tuitrain.config import RunConfig, validate
from tuitrain_engine.control import Control
from tuitrain_engine.data import Prefetcher
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World
from tuitrain_engine.trainer import Trainer, batch_positions, prepare, train_step, warm_up


@contextlib.contextmanager
def temporary_trainer(tree: dict[str, Any] | RunConfig) -> Iterator[Trainer]:
    """The engine's trainer of a configuration, ready for its first step; what it prints is swallowed."""
    config = tree if isinstance(tree, RunConfig) else validate({"name": "bench", **tree})
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        run_dir = Path(folder) / "run"
        run_dir.mkdir()
        (run_dir / "config.toml").write_text(config.to_toml(), encoding="utf-8")
        journal = Journal(run_dir)
        trainer = prepare(run_dir, config, journal, Control(run_dir), World(), resume=False)
        warm_up(trainer)
        # A thread writes the log, and benchmarks read it.
        journal.flush()
        yield trainer
        journal.close()


@contextlib.contextmanager
def steps_of(trainer: Trainer) -> Iterator[Callable[[], None]]:
    """A function that does one step just as the loop does, requests included."""
    positions = batch_positions(trainer.config, trainer.progress, trainer.goal, trainer.world)
    with Prefetcher(trainer.dataset.train, positions, trainer.machine.device) as batches:

        def step() -> None:
            train_step(trainer, batches)
            trainer.control.poll()

        with trainer.telemetry.paused():
            pass
        yield step


def interleaved(
    first: Callable[[], None], second: Callable[[], None], pairs: int, steps: int
) -> list[tuple[float, float]]:
    """Seconds per step of both, `pairs` times one right after the other, the order swapped each time."""
    measured = []
    for pair in range(pairs):
        if pair % 2:
            slow = time_steps(second, steps)
            measured.append((time_steps(first, steps), slow))
        else:
            fast = time_steps(first, steps)
            measured.append((fast, time_steps(second, steps)))
    return measured


def time_steps(step: Callable[[], None], steps: int) -> float:
    """Mean seconds of a step."""
    synchronise()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise()
    return (time.perf_counter() - started) / steps


def synchronise() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_ratio(pairs: list[tuple[float, float]]) -> float:
    """Median over the pairs of first / second."""
    return statistics.median(first / second for first, second in pairs)


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """A table in columns, numbers to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["─" * width for width in widths], *rows]:
        cells = [
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells))
