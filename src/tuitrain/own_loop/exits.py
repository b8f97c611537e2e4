"""How the program ends: every run that is still open then gets its `end` record."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn, Protocol

_SIGTERM_CODE = 128 + signal.SIGTERM


class OpenRun(Protocol):
    """What the end of the program and signals need of a run."""

    def finish_with(self, error: BaseException) -> None: ...
    def request_stop(self, origin: str) -> bool: ...
    def disown(self) -> None: ...


class Exits:
    """The open runs of this process, and why it ends as far as that is known."""

    def __init__(self) -> None:
        self.runs: list[OpenRun] = []
        self._error: BaseException | None = None
        self._exit_code: Any = None
        self._installed = False

    def add(self, run: OpenRun) -> None:
        """A run to be finished at the end of the program."""
        self.runs.append(run)
        if self._installed:
            return
        self._installed = True
        atexit.register(self._at_exit)
        os.register_at_fork(after_in_child=self._after_fork)
        self._excepthook, self._exit = sys.excepthook, sys.exit
        # `sys.exit(1)` ends a program as failed, and nothing else tells its code.
        sys.excepthook, sys.exit = self._on_error, self._on_exit

    def remove(self, run: OpenRun) -> None:
        """A run that has been finished."""
        if run in self.runs:
            self.runs.remove(run)

    def handle_sigterm(self) -> None:
        """Where nobody else handles SIGTERM: a loop that reads `should_stop` learns of it, another ends at once."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        told = [run.request_stop("SIGTERM") for run in self.runs]
        if not any(told):
            self._exit_code = _SIGTERM_CODE
            raise SystemExit(_SIGTERM_CODE)

    def _on_error(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._error = error
        self._excepthook(kind, error, trace)

    def _on_exit(self, status: Any = None, /) -> NoReturn:
        self._exit_code = status
        self._exit(status)

    def _at_exit(self) -> None:
        for run in tuple(self.runs):
            if self._error is not None:
                run.finish_with(self._error)
            else:
                run.finish_with(SystemExit(self._exit_code))

    def _after_fork(self) -> None:
        """A forked process has no run: the log is its parent's."""
        for run in self.runs:
            run.disown()
        self.runs.clear()
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


EXITS = Exits()


def ending_of(error: BaseException) -> tuple[str, str | None]:
    """The status and the reason of an `end` record for what ended the program."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", "interrupted (Ctrl-C)"
    if isinstance(error, SystemExit):
        if error.code in (None, 0):
            return "completed", None
        if error.code == _SIGTERM_CODE:
            return "stopped", "ended by SIGTERM"
        return "failed", f"exit code {error.code}" if isinstance(error.code, int) else str(error.code)[:1000]
    text = str(error).strip().partition("\n")[0]
    return "failed", f"{type(error).__name__}: {text}"[:1000] if text else type(error).__name__
