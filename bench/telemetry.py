"""What telemetry costs: the engine's training step with and without it, pair by pair in one process.

    python bench/telemetry.py [--preset llama2-tiny] [KEY=VALUE …]

With: the step of the engine as it is, every step logged, console included, the system thread running. Without: the
same model, data, optimizer and clipping, and nothing measured, written or printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from common import interleaved, median_ratio, print_table, steps_of, temporary_trainer
from tuitrain.accounting import lr_factor
from tuitrain.config import load_config
from tuitrain.monitor import SystemMonitor
from tuitrain_engine.data import Prefetcher
from tuitrain_engine.trainer import Trainer, batch_positions


def bare_step(t: Trainer, batches: Iterator[tuple[Tensor, Tensor]]) -> Callable[[], None]:
    """The training step without any telemetry."""
    parameters = list(t.model.parameters())

    def step() -> None:
        factor = lr_factor(t.progress.step, t.config.schedule, t.config.total_steps)
        for group in t.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        for _ in range(t.accumulation):
            x, y = next(batches)
            with t.machine.autocast():
                output = t.forward(x, y, False)
            (output.loss_sum / t.config.tokens_per_step).backward()
        torch.nn.utils.clip_grad_norm_(parameters, t.config.train.grad_clip, foreach=True)
        t.optimizer.step()
        t.optimizer.zero_grad(set_to_none=True)
        t.progress.step += 1

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="llama2-tiny")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--steps", type=int, default=5, help="steps of each side of a pair")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    total = (options.pairs + 1) * options.steps
    config = load_config(options.preset, [f"train.max_steps={total}", *options.overrides])
    with temporary_trainer(config) as observed, temporary_trainer(config) as bare, steps_of(observed) as with_telemetry:
        monitor = SystemMonitor(observed.journal.write, config.telemetry.system_interval_s, observed.run_dir)
        positions = batch_positions(bare.config, bare.progress, bare.goal, bare.world)
        with Prefetcher(bare.dataset.train, positions, bare.machine.device) as batches:
            without = bare_step(bare, batches)
            interleaved(with_telemetry, without, 1, options.steps)
            pairs = interleaved(with_telemetry, without, options.pairs, options.steps)
        monitor.close()
    seconds = [sorted(pair[side] for pair in pairs)[len(pairs) // 2] for side in (0, 1)]
    rows = [[options.preset, f"{seconds[1] * 1e3:.2f}", f"{seconds[0] * 1e3:.2f}", f"{(median_ratio(pairs) - 1):+.2%}"]]
    print_table(["preset", "without, ms/step", "with, ms/step", "median of the pairs"], rows)


if __name__ == "__main__":
    main()
