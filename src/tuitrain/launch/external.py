"""Runs an external training program as a run: `python -m tuitrain.launch.external RUN_DIR COMMAND …`.

The program has TUITRAIN_RUN_DIR and TUITRAIN_RUN_ID in its environment and may write events with
`tuitrain.events.EventWriter`. This module turns a request to stop into SIGTERM, and writes an `end` record where the
program wrote none.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal

from tuitrain.events import End, EventWriter
from tuitrain.events.requests import delete_request
from tuitrain.files import FollowedDirectory, GoneError
from tuitrain.runs import RunDirectory, read_snapshot

POLL_S = 0.2


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    directory, command = FollowedDirectory(Path(arguments[0])), arguments[1:]
    stop_requested = False

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal stop_requested
        stop_requested = True
        program.send_signal(number)

    try:
        program = subprocess.Popen(command)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}.", file=sys.stderr)
        _finish(directory, "failed", f"{command[0]} cannot be started: {error.strerror}")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # A signal that is ignored at the start, as under nohup, stays ignored; the program inherits that.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, frame: program.send_signal(number))
    while program.poll() is None:
        with suppress(OSError):
            if delete_request(directory.path, "stop"):
                forward(signal.SIGTERM, None)
        time.sleep(POLL_S)
    code = program.returncode
    if stop_requested:
        _finish(directory, "stopped", "stop requested")
    elif code == 0:
        _finish(directory, "completed", "the command ended with exit code 0")
    else:
        _finish(directory, "failed", f"signal {-code} ended the command" if code < 0 else f"exit code {code}")
    return code if code >= 0 else 1


def _finish(directory: FollowedDirectory, status: Literal["completed", "stopped", "failed"], reason: str) -> None:
    try:
        run = RunDirectory(directory.path)
    except GoneError as error:
        print(error, file=sys.stderr)
        return
    snapshot = read_snapshot(run)
    if snapshot.end is not None:
        return
    newest = snapshot.step
    with EventWriter(run.metrics) as log:
        log.write(
            End(
                status=status,
                reason=reason,
                step=newest.step if newest else None,
                tokens=newest.tokens if newest else None,
            )
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
