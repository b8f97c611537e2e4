"""Notes and progress of long preparation, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from tuitrain.text import clean, clean_lines

BAR_AFTER_S = 1.0
"""Work shorter than this shows no bar."""
LINE_EVERY_S = 2.0
"""Seconds between plain lines; work shorter than this prints none."""


Listener = Callable[[str, float | None], None]
_listeners: list[Listener] = []


@contextlib.contextmanager
def report_progress_to(listener: Listener) -> Iterator[None]:
    """Within the block, work that shows its progress also calls `listener` with its label and the share done, 0–1.

    The share is None where the total is unknown. The calls are at least LINE_EVERY_S seconds apart.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def note(text: str) -> None:
    """Print one line on stderr."""
    print(clean_lines(text), file=sys.stderr, flush=True)


def note_stage(text: str) -> None:
    """Print a line about long work of unknown progress, and report it to the listeners."""
    note(text)
    _report(text, None)


def _report(label: str, done: float | None) -> None:
    for listener in _listeners:
        listener(label, done)


def human(count: float) -> str:
    """`950`, `12.3 k`, `4.1 M`, `2.05 B`: a count in three digits."""
    for limit, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= limit:
            value = count / limit
            return f"{value:.2f}{unit}" if value < 10 else f"{value:.1f}{unit}"
    return f"{count:.0f}"


def megabytes(size: float) -> str:
    """Bytes as `12.3 MB` (10⁶ bytes)."""
    return f"{size / 1e6:,.1f} MB"


class Progress:
    """Shows the progress of a pass over a source; a context manager. Short work shows nothing.

    `total_bytes` and `total_tokens` end the bar, whichever is reached first; with neither it only counts.
    """

    def __init__(self, label: str, total_bytes: int | None = None, total_tokens: int | None = None) -> None:
        self.label = label
        self.total_bytes, self.total_tokens = total_bytes, total_tokens
        self.bytes = self.tokens = 0
        self._console = Console(stderr=True)
        self._started = self._shown = self._reported = time.monotonic()
        self._bar: RichProgress | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, size: int, tokens: int) -> None:
        """Count `size` more bytes of text and `tokens` more tokens, and show it when it is time to."""
        self.bytes += size
        self.tokens += tokens
        now = time.monotonic()
        if now - self._reported >= LINE_EVERY_S:
            self._reported = now
            _report(self.label, self._fraction())
        if self._console.is_terminal:
            self._show_bar(now)
        elif now - self._shown >= LINE_EVERY_S:
            self._shown = now
            note(f"{self.label}: {self._counts()}")

    def _counts(self) -> str:
        return f"{megabytes(self.bytes)}, {human(self.tokens)} tokens"

    def _fraction(self) -> float | None:
        done = [
            part / whole for part, whole in ((self.bytes, self.total_bytes), (self.tokens, self.total_tokens)) if whole
        ]
        return min(max(done), 1.0) if done else None

    def _show_bar(self, now: float) -> None:
        if self._bar is None:
            if now - self._started < BAR_AFTER_S:
                return
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[counts]}"))
            self._bar = RichProgress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
            self._bar.add_task(clean(self.label), total=None, counts="")
            self._bar.start()
        fraction = self._fraction()
        total = None if fraction is None else 1.0
        self._bar.update(self._bar.task_ids[0], total=total, completed=fraction or 0.0, counts=self._counts())
