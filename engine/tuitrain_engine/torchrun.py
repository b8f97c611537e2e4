"""torchrun with the engine's signal handling: `python -m tuitrain_engine.torchrun [torchrun's options] -m MODULE …`.

torchrun itself (`torch.distributed.run`) starts and watches the workers. Two things differ from it. The signals that
the engine handles are passed on to the workers, once each, and nothing else happens: torchrun itself would begin to
count down to SIGKILL, while a worker may be writing a large checkpoint. And a worker that failed has printed the reason
in one sentence; this process ends with that worker's exit code and prints no page about it. If the workers are gone and
rank 0 has written no `end` record, as when a signal killed one of them, it is written here; on another node than that
of rank 0 the reason is left in a file for rank 0. Where the nodes of a run watch each other, the workers are stopped
when the process that does so has died.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psutil

from tuitrain.events import End, EventWriter
from tuitrain.events.peers import NODE_VARIABLE, failure_files, mark_failure
from tuitrain.events.requests import stop_reason
from tuitrain.text import clean, clean_lines
from tuitrain_engine.control import SIGNALS, listen_to
from tuitrain_engine.peers import POLL_INTERVAL_S

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

LEFT_TO_TORCHRUN = "SIGVTALRM"
"""torchrun needs at least one; this one is never sent."""
FAILURE, INTERRUPTED = 1, 130
ASKED_TO_END = (INTERRUPTED, *(-signal.Signals[name] for name, request in SIGNALS.items() if request == "stop"))
"""Exit codes of an interrupted worker; negative ones are of signals that it did not handle yet."""
END_MARK = b'{"type":"end"'


def main(arguments: list[str] | None = None) -> int:
    """Run torchrun and return the exit code: 0, the failed worker's, or 1 when a signal killed one."""
    for name in SIGNALS:
        listen_to(name, _pass_on)
    if NODE_VARIABLE in os.environ:
        threading.Thread(target=_stop_without, args=(os.getppid(),), name="parent", daemon=True).start()
    # torch takes seconds to import; signals must be handled from the start.
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # torchrun's own report on a failed worker is replaced by the sentence below.
    logging.disable(logging.ERROR)
    given = sys.argv[1:] if arguments is None else arguments
    options = torchrun.parse_args([f"--signals-to-handle={LEFT_TO_TORCHRUN}", *given])
    if options.rdzv_backend == "c10d" and "SLURM_NODEID" in os.environ:
        # torch compares addresses to find out, in vain where the name of a node leads to a loopback address.
        first = "true" if os.environ["SLURM_NODEID"] == "0" else "false"
        options.rdzv_conf = ",".join(filter(None, [options.rdzv_conf, f"is_host={first}"]))
    log = _log()
    before = log.stat().st_size if log is not None and log.exists() else 0
    try:
        torchrun.run(options)
    except ChildFailedError as error:
        rank, failure = first_failure(error.failures)
        sentence = _sentence(rank, failure)
        if sentence:
            print(clean_lines(sentence), file=sys.stderr, flush=True)
        if log is not None and _is_other_node():
            if not failure_files(log.parent, options.rdzv_id):
                reason = sentence or _last_words(rank, failure.exitcode)
                mark_failure(log.parent, options.rdzv_id, f"rank-{rank}", reason)
        elif log is not None and not _has_end(log, before):
            _write_end(log, failure.exitcode, sentence or _last_words(rank, failure.exitcode))
        return failure.exitcode if failure.exitcode > 0 else FAILURE
    return 0


def _is_other_node() -> bool:
    """Whether rank 0, which writes the log, is on another node."""
    return os.environ.get(NODE_VARIABLE, "0") != "0"


def _stop_without(parent: int) -> None:
    """Stop this process as SIGTERM does once the one that started it has died."""
    while os.getppid() == parent:
        time.sleep(POLL_INTERVAL_S)
    os.kill(os.getpid(), signal.SIGTERM)


def first_failure(failures: dict[int, ProcessFailure]) -> tuple[int, ProcessFailure]:
    """The rank and failure that caused the others.

    A worker that a signal killed comes first: the others fail when they notice. SIGTERM does not count as one, since
    torchrun sends it to those that are left.
    """
    killed = [(rank, each) for rank, each in failures.items() if each.exitcode < 0 and each.exitcode != -signal.SIGTERM]
    return min(killed or failures.items(), key=lambda item: item[1].timestamp)


def _sentence(rank: int, failure: ProcessFailure) -> str:
    """The reason, if the console of rank 0 does not have it yet, else an empty string."""
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


def _last_words(rank: int, code: int) -> str:
    """The last line that a worker printed: the reason of its end."""
    lines = _last_lines(f"console.{rank}.log" if rank else "console.log", 1)
    return lines[0] if lines else f"Process {rank} ended with exit code {code}."


def _log() -> Path | None:
    """The log of the run, which need not exist yet; None where this is no run."""
    directory = os.environ.get("TUITRAIN_RUN_DIR")
    return Path(directory) / "metrics.jsonl" if directory else None


def _has_end(log: Path, start: int) -> bool:
    """Whether an `end` record was written after this many bytes of the log, which are of earlier attempts."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            return any(line.startswith(END_MARK) for line in file)
    except FileNotFoundError:
        return False


def _write_end(log: Path, code: int, reason: str) -> None:
    try:
        with EventWriter(log) as writer:
            writer.write(End(status="stopped" if code in ASKED_TO_END else "failed", reason=reason))
    except OSError as error:
        print(clean(f"{log} cannot be written: {error.strerror}."), file=sys.stderr, flush=True)


def _last_lines(name: str, count: int) -> list[str]:
    """The last lines with text of a console of the run; none where there is no run directory or no such file."""
    path = Path(os.environ.get("TUITRAIN_RUN_DIR", "")) / name
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(deque((line.strip() for line in file if line.strip()), maxlen=count))
    except OSError:
        return []


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Forward a signal to the workers; before they exist there is nothing to save, and only a stop has an effect."""
    workers, name = psutil.Process().children(), signal.Signals(number).name
    if not workers and SIGNALS[name] == "stop":
        log = _log()
        if log is not None and not _is_other_node():
            _write_end(log, INTERRUPTED, f"{stop_reason(name)} before the first step")
        raise SystemExit(INTERRUPTED if number == signal.SIGINT else 0)
    for worker in workers:
        try:
            worker.send_signal(number)
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    sys.exit(main())
