"""Staying with the process of a run: its first record, its console, the signals that are passed on to it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any, Protocol

from tuitrain.launch.console import ConsoleFollower
from tuitrain.launch.local import POLL_S
from tuitrain.runs import RunDirectory


class Process(Protocol):
    """What `follow` needs of a process."""

    @property
    def pid(self) -> int | None: ...

    returncode: Any

    def poll(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...


def wait_for_record(run: RunDirectory, process: Process, timeout_s: float) -> bool:
    """Wait for the first record of the newest attempt, or its end; returns whether there is one within timeout_s."""
    info, deadline = run.read_metadata(), time.monotonic() + timeout_s
    before = (info.log_bytes if info is not None else None) or 0
    while True:
        ended = process.poll() is not None
        with suppress(OSError):
            if run.metrics.stat().st_size > before:
                return True
        if ended or time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)


def follow(
    run: RunDirectory,
    process: Process,
    write: Callable[[str], object],
    *,
    foreground: bool,
    console_bytes: int = 0,
) -> int:
    """Call `write` with the text of the console until the process ends; returns its exit code, 1 after a signal.

    console_bytes: size of the console from earlier attempts, which is skipped. foreground: SIGINT, SIGTERM, SIGQUIT,
    SIGUSR2 and SIGHUP are forwarded to the process, which then stops gracefully, and SIGUSR1, at which it saves.
    Otherwise Ctrl-C raises KeyboardInterrupt here and the training continues.
    """
    console = ConsoleFollower(run.console, console_bytes)
    with _forwarded_signals(process) if foreground else nullcontext():
        running = True
        while running:
            # What is written until the end of the process is read after it.
            running = process.poll() is None
            while text := console.poll():
                write(text)
            time.sleep(POLL_S if running else 0)
    return process.returncode if process.returncode >= 0 else 1


@contextmanager
def _forwarded_signals(process: Process) -> Iterator[None]:
    def forward(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # It is ignored under nohup.
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
