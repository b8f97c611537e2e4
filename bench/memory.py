"""Predicted against measured peak memory of a training step, preset by preset.

The steps are those of the engine's own trainer. On a GPU the peak is what CUDA's allocator reports. On the CPU torch's
profiler notes each allocation and each release of torch's allocator, from before the model is made; their running sum
is what is held, and its largest value within the steps is the peak. That is exact to the byte, where the resident
memory of the process also holds torch itself, its kernels and what the C library keeps for later. Batches that the
prefetcher reads in its own thread are not seen; they are a few kilobytes.

python bench/memory.py [--presets NAME …] [--activation-checkpointing none selective full] [--set KEY=VALUE …]
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from common import print_table, steps_of, temporary_trainer
from tuitrain.accounting import Devices, estimate_memory
from tuitrain.config import RunConfig, all_presets, load_config

GOAL = 0.10
STEPS = 3
WINDOW = "measured steps"


def measured_peak(config: RunConfig) -> tuple[int, RunConfig, str]:
    """Peak bytes of a few steps, with the configuration as it was run and its dtype."""
    # What an earlier trainer leaves must not be released while this one is measured.
    gc.collect()
    with peak_of_window() as (window, result), temporary_trainer(config) as trainer:
        # As in training, where a step of the log is always ahead: the optimizer's state is there from the second on.
        with steps_of(trainer) as step:
            step()
            with window():
                for _ in range(STEPS):
                    step()
        ran, dtype = trainer.config, trainer.machine.dtype
    return result(), ran, dtype


@contextmanager
def peak_of_window() -> Iterator[tuple[Callable[[], Any], Callable[[], int]]]:
    """A context to measure within, and the peak once all is over."""
    if torch.cuda.is_available():
        peak = []

        @contextmanager
        def on_cuda() -> Iterator[None]:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            yield
            peak.append(torch.cuda.max_memory_allocated())

        yield on_cuda, lambda: peak[0]
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
            yield lambda: record_function(WINDOW), lambda: peak_of_trace(json.loads(text))
        profiler.export_chrome_trace(str(trace))
        text = trace.read_text(encoding="utf-8")


def peak_of_trace(trace: dict[str, Any]) -> int:
    """The largest running sum of allocations within the marked window."""
    events = trace["traceEvents"]
    marked = next(event for event in events if event["name"] == WINDOW)
    begin, end = marked["ts"], marked["ts"] + marked["dur"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    held = peak = 0
    for at, change in changes:
        if at > begin:
            peak = max(peak, held)
        held += change
        if at > end:
            break
    return peak


def row(name: str, mode: str, overrides: list[str]) -> tuple[list[str], bool]:
    """One line of the table, and whether the goal is met."""
    # Statistics of the gradients, which hold a copy of the weights, come in one of the steps.
    always = ["train.max_steps=100", f"telemetry.grad_stats_interval={STEPS}"]
    asked = load_config(name, [*always, f"parallel.activation_checkpointing={mode}", *overrides])
    measured, config, dtype = measured_peak(asked)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    predicted = estimate_memory(config, Devices(device, dtype)).total
    ratio = predicted / measured
    cells = [name, mode, dtype, f"{predicted / 1e6:,.1f}", f"{measured / 1e6:,.1f}", f"{ratio:.3f}"]
    return cells, abs(ratio - 1) <= GOAL


def main() -> None:
    """Print the table; exit 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tiny = [name for name in all_presets() if name.endswith("-tiny")]
    parser.add_argument("--presets", nargs="+", default=tiny, metavar="NAME")
    modes = ["none", "selective", "full"]
    parser.add_argument("--activation-checkpointing", nargs="+", default=["none"], choices=modes)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys to override")
    options = parser.parse_args()
    pairs = [(name, mode) for name in options.presets for mode in options.activation_checkpointing]
    results = [row(name, mode, options.set) for name, mode in pairs]
    header = ["preset", "checkpointing", "dtype", "predicted, MB", "measured, MB", f"ratio within {GOAL:.0%}"]
    print_table(header, [cells for cells, _ in results])
    sys.exit(0 if all(met for _, met in results) else 1)


if __name__ == "__main__":
    main()
