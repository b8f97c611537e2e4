"""One connection of `ssh` for all that a command does on a machine: a password is asked for once."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tuitrain.remote.connection import CONNECT_S, SOCKETS, ssh_command

_MOST_PATH = 80
"""Characters of the path of a socket, which the system bounds; `ssh` adds some to it."""
_POLL_S = 0.02
_PATIENCE_S = 10 * CONNECT_S
"""For the answers to what `ssh` asks."""


def share(host: str, *, ask: bool = False) -> None:
    """Open a connection that every `ssh` of this process to the host goes over, until this process ends.

    Nothing is done where the user's configuration has one (ControlPath); without it each makes its own.
    """
    if host in SOCKETS or _has_control_path(host):
        return
    folder = Path(tempfile.mkdtemp(prefix="tuitrain-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    socket = folder / "ssh"
    if len(str(socket)) > _MOST_PATH:
        return
    command = [*ssh_command(ask=ask), "-M", "-N", "-S", str(socket), "--", host]
    with suppress(OSError):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        atexit.register(_end, process)
        deadline = time.monotonic() + _PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            if socket.exists():
                SOCKETS[host] = str(socket)
                return
            time.sleep(_POLL_S)


def _has_control_path(host: str) -> bool:
    command = [*ssh_command(), "-G", "--", host]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError:
        return True
    paths = [line.partition(" ")[2] for line in done.stdout.splitlines() if line.startswith("controlpath ")]
    return done.returncode != 0 or any(path != "none" for path in paths)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
