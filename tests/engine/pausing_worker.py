"""The program of each of two processes: a step, a pause in which only the first one works, another step.

Usage: pausing_worker DIRECTORY, for the time of each event.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from tuitrain import events
from tuitrain.accounting import FlopsPerToken
from tuitrain.config.sections import TelemetryConfig
from tuitrain_engine.parallel import World
from tuitrain_engine.telemetry import Scale, StepNumbers, Telemetry


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    rank, store = dist.get_rank(), dist.FileStore(f"{folder}/store", 2)
    records: list[events.Record] = []
    world = World(rank, 2, rank, 2, host_group=dist.new_group(backend="gloo"))
    scale = Scale(1000, FlopsPerToken(matmul=2e9, attention=2e9), None)
    telemetry = Telemetry(records.append, TelemetryConfig(), scale, world, torch.device("cpu"), 6)
    times = {}
    for number in (1, 2):
        telemetry.before_wait()
        numbers = StepNumbers(torch.tensor(30.0), torch.tensor(10), torch.tensor(0.5), torch.tensor(4))
        telemetry.finish_step(number, number * 1000, 1e-3, 0.0, numbers, {})
        times[f"after {number}"] = time.perf_counter()
        if number == 1:
            with telemetry.paused():
                if rank == 0:
                    store.wait(["the other pauses"])
                    time.sleep(0.3)
                else:
                    store.set("the other pauses", "1")
                times["done"] = time.perf_counter()
    times["step"] = records[1].step_time_ms / 1e3
    (folder / f"{rank}.json").write_text(json.dumps(times))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
