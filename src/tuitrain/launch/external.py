"""Runs somebody else's training program as a run: `python -m tuitrain.launch.external RUN_DIR COMMAND …`.

The program finds TUITRAIN_RUN_DIR and TUITRAIN_RUN_ID in its environment and may write events with
`tuitrain.events.EventWriter`. What it does not do itself is done here: a request to stop becomes SIGTERM, and a log
without an `end` record gets one.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Literal

from tuitrain.events import End, EventWriter
from tuitrain.files import FollowedDirectory, GoneError
from tuitrain.runs import RunDirectory, read_snapshot

POLL_S = 0.2


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    home, command = FollowedDirectory(Path(arguments[0])), arguments[1:]
    asked_to_stop = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        program.send_signal(number)

    try:
        program = subprocess.Popen(command)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}.", file=sys.stderr)
        _finish(home, "failed", f"{command[0]} cannot be started: {error.strerror}")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # What is ignored from the start, as under nohup, the program ignores too.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, frame: program.send_signal(number))
    while program.poll() is None:
        if _asked_to_stop(home):
            pass_on(signal.SIGTERM, None)
        time.sleep(POLL_S)
    code = program.returncode
    if asked_to_stop:
        _finish(home, "stopped", "asked to stop")
    elif code == 0:
        _finish(home, "completed", "the command ended with exit code 0")
    else:
        _finish(home, "failed", f"signal {-code} ended the command" if code < 0 else f"exit code {code}")
    return code if code >= 0 else 1


def _asked_to_stop(home: FollowedDirectory) -> bool:
    """Whether there was a request to stop; it is taken."""
    try:
        (home.path / "control" / "stop").unlink()
    except OSError:
        return False
    return True


def _finish(home: FollowedDirectory, status: Literal["completed", "stopped", "failed"], reason: str) -> None:
    try:
        run = RunDirectory(home.path)
    except GoneError as error:
        print(error, file=sys.stderr)
        return
    known = read_snapshot(run)
    if known.end is not None:
        return
    step = known.step.step if known.step else None
    tokens = known.step.tokens if known.step else None
    with EventWriter(run.metrics) as log:
        log.write(End(status=status, reason=reason, step=step, tokens=tokens))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
