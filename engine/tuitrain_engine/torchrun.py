"""torchrun with quieter manners: `python -m tuitrain_engine.torchrun [torchrun's options] -m MODULE …`.

Starting and watching the workers is torchrun's own work, `torch.distributed.run`. Two things differ. SIGINT, SIGTERM
and SIGUSR1 are passed on to the workers, once each, and nothing else happens: torchrun itself would begin to count down
to SIGKILL, while a worker may be writing a large checkpoint. And a worker that failed has said why in one sentence;
this process ends with that worker's exit code and without a page about it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import deque
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
LEFT_TO_TORCHRUN = "SIGQUIT"
FAILURE, INTERRUPTED = 1, 130


def main(arguments: list[str] | None = None) -> int:
    """Run torchrun and return the exit code: 0, the failed worker's, or 1 when a signal killed one."""
    for number in PASSED_ON:
        signal.signal(number, _pass_on)
    # torch takes seconds to import; the signals must be heard from the start.
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # What torchrun logs about a failed worker is said below, shorter.
    logging.disable(logging.ERROR)
    given = sys.argv[1:] if arguments is None else arguments
    options = torchrun.parse_args([f"--signals-to-handle={LEFT_TO_TORCHRUN}", *given])
    try:
        torchrun.run(options)
    except ChildFailedError as error:
        rank, failure = first_failure(error.failures)
        sentence = _sentence(rank, failure)
        if sentence:
            print(sentence, file=sys.stderr, flush=True)
        return failure.exitcode if failure.exitcode > 0 else FAILURE
    return 0


def first_failure(failures: dict[int, ProcessFailure]) -> tuple[int, ProcessFailure]:
    """The rank and failure that the others followed from.

    A worker that a signal killed comes first: the others fail when they notice. SIGTERM does not count as one, since
    torchrun sends it to those that are left.
    """
    killed = [(rank, each) for rank, each in failures.items() if each.exitcode < 0 and each.exitcode != -signal.SIGTERM]
    return min(killed or failures.items(), key=lambda item: item[1].timestamp)


def _sentence(rank: int, failure: ProcessFailure) -> str:
    """What the console of rank 0 does not tell yet; empty for what its own process has said there."""
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        hint = ": the machine may have run out of memory" if name == "SIGKILL" else ""
        return f"Process {rank} was killed by {name}{hint}."
    if rank == 0 or failure.exitcode == INTERRUPTED:
        return ""
    lines = _last_lines(f"console.{rank}.log", 1)
    if lines and any(lines[0] in said for said in _last_lines("console.log", 100)):
        return ""
    return f"Process {rank} ended with exit code {failure.exitcode}: {lines[0] if lines else f'see console.{rank}.log'}"


def _last_lines(name: str, count: int) -> list[str]:
    """The last lines with text of a console of the run; none where there is no run directory or no such file."""
    path = Path(os.environ.get("TUITRAIN_RUN_DIR", "")) / name
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(deque((line.strip() for line in file if line.strip()), maxlen=count))
    except OSError:
        return []


def _pass_on(number: int, frame: FrameType | None) -> None:
    workers = psutil.Process().children()
    if not workers and number != signal.SIGUSR1:
        raise SystemExit(INTERRUPTED if number == signal.SIGINT else FAILURE)
    for worker in workers:
        try:
            worker.send_signal(number)
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    sys.exit(main())
