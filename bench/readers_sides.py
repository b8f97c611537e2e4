"""What bench/readers.py starts, each in a process of its own: the writers of its logs, and the programs that read them.

    python bench/readers_sides.py SIDE PATH [--steps N]

It prints how many values it read or wrote, and the largest resident size of its process in bytes.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import sys
from collections.abc import Sequence
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
        reader = RecordReader(BY_NAME[source.format].open(source), source.name, NameMapping())
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


def pandas(path: Path, steps: int) -> int:
    """pandas.read_csv."""
    from pandas import read_csv

    table = read_csv(path / "log.csv")
    return int(table.drop(columns="step").count().sum())


def orjson(path: Path, steps: int) -> int:
    """The lines of our log, as dicts."""
    from orjson import loads

    with (path / "metrics.jsonl").open("rb") as file:
        return len([loads(line) for line in file])


def follower(path: Path, steps: int) -> int:
    """The same lines as records."""
    from tuitrain.runs.follow import LogFollower

    log, records = LogFollower(path / "metrics.jsonl"), []
    more = True
    while more:
        batch = log.poll()
        records += batch.records
        more = batch.more
    return len(records)


def write_csv(path: Path, steps: int) -> int:
    """A CSV of Python's own writer."""
    path.mkdir(parents=True)
    return _write_rows(path / "log.csv", ("step", *METRICS), steps)


def write_lightning(path: Path, steps: int) -> int:
    """The files of Lightning's CSVLogger, whose columns are sorted by name."""
    folder = path / "lightning_logs/version_0"
    folder.mkdir(parents=True)
    (folder / "hparams.yaml").write_text("lr: 0.001\n")
    return _write_rows(folder / "metrics.csv", sorted(("step", *METRICS)), steps)


def _write_rows(path: Path, columns: Sequence[str], steps: int) -> int:
    noise = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({"step": step} | numbers(step, steps, noise) for step in range(1, steps + 1))
    return steps * len(METRICS)


def write_own(path: Path, steps: int) -> int:
    """A log of ours with four metrics."""
    from tuitrain.events import EventWriter, Step

    path.mkdir(parents=True)
    noise = random.Random(0)
    writer = EventWriter(path / "metrics.jsonl")
    for step in range(1, steps + 1):
        row = numbers(step, steps, noise)
        writer.write(Step(step=step, loss=row["loss"], lr=row["lr"], grad_norm=row["grad_norm"], mfu=row["mfu"]))
    writer.close()
    return steps


_SIDES = (
    ours, event_accumulator, pandas, orjson, follower, write_tensorboard, write_csv, write_lightning, write_own,
)  # fmt: skip
SIDES = {each.__name__.replace("_", "-"): each for each in _SIDES}


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
