"""The runs that wait in the queue of a machine, in their order: the files in `.queue`, which `launch.queue` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tuitrain.events.layout import MOST_INFO_BYTES
from tuitrain.files import read_regular

DIRECTORY = ".queue"
"""Below the directory of the runs: `NUMBER-RUN_ID.json` for each that waits."""


class Entry(msgspec.Struct, kw_only=True):
    """What a queued run needs: processes, and whether each of them needs a GPU or a CPU slot.

    command: of another training program, and the directory that it is to run in; empty for the engine.
    """

    run_id: str
    processes: int = 1
    on_gpu: bool = False
    retries: int = 0
    skip_bad_batch: bool = False
    command: list[str] = []
    directory: str = ""


@dataclass(frozen=True)
class Waiting:
    """An entry with its file."""

    path: Path
    entry: Entry


@dataclass(frozen=True)
class Unreadable:
    """A file in the queue that is no entry, and why. It stays where it is, and its run does not start."""

    path: Path
    why: str

    @property
    def run_id(self) -> str:
        """The run that its name says."""
        return self.path.stem.partition("-")[2]

    def __str__(self) -> str:
        run = self.path.parent.parent / self.run_id
        if self.run_id and run.is_dir():
            remedy = f"so {self.run_id} does not start: `tuitrain queue rm {self.run_id}` takes it out"
        else:
            remedy = "and is passed over: delete it"
        return f"{self.path} is not an entry of the queue ({self.why}), {remedy}."


def read_queue(runs_dir: Path) -> tuple[list[Waiting], list[Unreadable]]:
    """The entries of the queue, the next one first, and the files that are none."""
    waiting, unreadable = [], []
    for path in sorted((runs_dir / DIRECTORY).glob("*.json")):
        try:
            waiting.append(Waiting(path, msgspec.json.decode(read_regular(path, MOST_INFO_BYTES), type=Entry)))
        except FileNotFoundError:
            continue  # It was started meanwhile.
        except OSError as error:
            unreadable.append(Unreadable(path, error.strerror or str(error)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            unreadable.append(Unreadable(path, str(error)))
    return waiting, unreadable


class QueueOrder:
    """The positions of queued runs; a directory is read again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, dict[str, int]]] = {}

    def position(self, runs_dir: Path, run_id: str) -> int | None:
        """The position of a run in the queue, the first being 1; None where it is not in it."""
        try:
            mark = (runs_dir / DIRECTORY).stat().st_mtime_ns
        except OSError:
            return None
        before = self._known.get(runs_dir)
        if before is None or before[0] != mark:
            names = (each.entry.run_id for each in read_queue(runs_dir)[0])
            before = self._known[runs_dir] = (mark, {name: at for at, name in enumerate(names, 1)})
        return before[1].get(run_id)
