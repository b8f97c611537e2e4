"""Runs an external training program as a run: `python -m tuitrain.launch.external [--log PATH] RUN_DIR COMMAND …`.

The program has TUITRAIN_RUN_DIR and TUITRAIN_RUN_ID in its environment and may write the log of the run itself, with
`tuitrain.init`. Where it does not, this process reads its console, or what it writes to PATH, and writes the log. It
turns a request to stop into SIGTERM, kills what is left after the grace period, and writes an `end` record.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from tuitrain.events import EventWriter
from tuitrain.events.requests import REQUESTED, delete_request, reason_of, stop_reason
from tuitrain.files import FollowedDirectory, GoneError
from tuitrain.launch.ending import end_of
from tuitrain.launch.program import Program
from tuitrain.launch.program_log import AwaitedReader, ConsoleReader, ProgramLog
from tuitrain.launch.supervise import oom_kills
from tuitrain.runs import RunDirectory, read_snapshot
from tuitrain.runs.foreign import Given, given_for
from tuitrain.runs.slurm import LAUNCHER
from tuitrain.settings import SettingsError

POLL_S = 0.2
GRACE_S = 60.0
"""Time for a program to write a checkpoint after SIGTERM."""
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FOR_PROGRAM = (signal.SIGUSR1, signal.SIGUSR2)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    directory = FollowedDirectory(options.run_dir)
    info = RunDirectory(directory.path).read_metadata()
    if info is not None and info.launcher == LAUNCHER and os.environ.get("SLURM_PROCID", "0") != "0":
        # Of the processes that srun starts on the nodes the first one writes the log.
        os.execvp(options.command[0], options.command)
    signals = _collected_signals()
    started, kills = time.time(), oom_kills()
    # What earlier attempts have left, before the program prints or logs anything.
    earlier = _earlier(RunDirectory(directory.path))
    try:
        program = Program(options.command, options.grace)
    except OSError as error:
        print(f"{options.command[0]} cannot be started: {error.strerror}.", file=sys.stderr)
        _finish(directory, 127, None, started)
        return 1
    log = _log_of(directory, options.log, started, earlier)
    stop: str | None = None
    while program.is_running():
        stop = _pass_on(signals, program) or stop
        with suppress(OSError):
            reason = reason_of(directory.path, "stop")
            if delete_request(directory.path, "stop"):
                program.stop()
                stop = stop_reason(reason or REQUESTED)
        log.poll()
        time.sleep(POLL_S)
    # A scheduler sends the signal to the program too, which may end before this process has passed it on.
    stop = _pass_on(signals, program) or stop
    log.finish()
    killed = any(count > kills.get(path, count) for path, count in oom_kills().items())
    _finish(directory, program.returncode, stop, started, out_of_memory=killed)
    return program.returncode if program.returncode >= 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuitrain.launch.external")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--grace", type=float, default=GRACE_S)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _collected_signals() -> list[int]:
    """A list to which every signal that comes from now on is appended."""
    signals: list[int] = []

    def collect(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    for number in _STOPS:
        # A signal that is ignored at the start, as under nohup, stays ignored; the program inherits that.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, collect)
    for number in _FOR_PROGRAM:
        signal.signal(number, collect)
    return signals


def _pass_on(signals: list[int], program: Program) -> str | None:
    """Pass signals on; returns what asked it to stop."""
    stop = None
    while signals:
        number = signals.pop(0)
        if number in _FOR_PROGRAM:
            program.send(number)
        else:
            program.stop(number)
            stop = stop_reason(signal.Signals(number).name)
    return stop


def _earlier(run: RunDirectory) -> tuple[int, int, int]:
    """How many attempts there were, and the bytes that they have left on the console and in the log."""
    if not run.metrics.exists():
        return 0, 0, 0
    before = read_snapshot(run).run
    printed = run.console.stat().st_size if run.console.exists() else 0
    return before.attempt if before is not None else 0, printed, run.metrics.stat().st_size


def _log_of(
    directory: FollowedDirectory, path: Path | None, started: float, earlier: tuple[int, int, int]
) -> ProgramLog:
    attempts, printed, logged = earlier
    run = RunDirectory(directory.path)
    metadata = run.read_metadata()
    name = metadata.name if metadata is not None else run.run_id
    try:
        given = given_for(run)
    except SettingsError as error:
        print(error, file=sys.stderr)
        given = Given({}, {})
    run.console.touch()
    reader = ConsoleReader(run.console, name, printed) if path is None else AwaitedReader(path, started)
    return ProgramLog(directory, reader, name, started, given, attempts + 1, logged)


def _finish(
    directory: FollowedDirectory, code: int, stop: str | None, started: float, *, out_of_memory: bool = False
) -> None:
    """Write the end of the run unless the program did so itself; its word does not count where it failed later.

    stop: what asked it to stop, in words. started: Unix seconds; an end from before is of an earlier attempt.
    """
    try:
        run = RunDirectory(directory.path)
    except GoneError as error:
        print(error, file=sys.stderr)
        return
    snapshot = read_snapshot(run)
    end = end_of(code, stop, run.console, snapshot.step, out_of_memory=out_of_memory)
    earlier = snapshot.end is not None and snapshot.end.time < started
    if snapshot.end is None or earlier or (end.status == "failed" and snapshot.end.status == "completed"):
        try:
            with EventWriter(run.metrics) as log:
                log.write(end)
        except OSError as error:
            print(f"{run.metrics} cannot be written: {error.strerror}. It lacks the end of the run.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
