"""What bench/readers.py starts, each in a process of its own: the writers of its logs, and the programs that read them.

    python bench/readers_sides.py SIDE PATH [--steps N]

It prints how many values it read or wrote, and the largest resident size of its process in bytes.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
from pathlib import Path

from watch_run import METRICS, numbers


def ours(path: Path, steps: int) -> int:
    """All runs below a path, as the dashboard reads them: by their content, into a history by metric name."""
    from tuitrain.readers.discover import sources_of
    from tuitrain.readers.formats import BY_NAME
    from tuitrain.readers.mapping import NameMapping
    from tuitrain.readers.records import RecordReader
    from tuitrain.runs.history import RunHistory

    count = 0
    for source in sources_of(path):
        history = RunHistory()
        reader = RecordReader(BY_NAME[source.format].open(source), source.name, NameMapping(), 0.0)
        more = True
        while more:
            read = reader.poll()
            history.absorb(read.records, read.broken)
            more = read.more
        count += sum(history.steps.count(key) for key in history.steps.keys if key not in ("step", "time"))
    return count


def event_accumulator(path: Path, steps: int) -> int:
    """TensorBoard's own reading, of all scalars."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(path), size_guidance={SCALARS: 0})
    events.Reload()
    return sum(len(events.Scalars(tag)) for tag in events.Tags()[SCALARS])


def write_tensorboard(path: Path, steps: int) -> int:
    """A run of torch's SummaryWriter."""
    from torch.utils.tensorboard import SummaryWriter

    noise = random.Random(0)
    with SummaryWriter(str(path)) as writer:
        for step in range(1, steps + 1):
            for name, value in numbers(step, steps, noise).items():
                writer.add_scalar(name, value, step)
    return steps * len(METRICS)


def peak_memory() -> int:
    """The largest resident size of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage counts what the process that started this one had, too.
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


SIDES = {each.__name__.replace("_", "-"): each for each in (ours, event_accumulator, write_tensorboard)}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("path", type=Path)
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    print(SIDES[options.side](options.path, options.steps), peak_memory())


if __name__ == "__main__":
    main()
