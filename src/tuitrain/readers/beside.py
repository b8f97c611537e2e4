"""A log that grows with a file of settings beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuitrain.readers.model import Ending, Parser, Reading, Row, Rows, RunInfo
from tuitrain.readers.settings import SettingsFile, flattened
from tuitrain.readers.tail import TailReader


class ReaderWithSettings:
    """Follows a log, and has the settings as the run's hyperparameters.

    last_x: where a run with these settings ends on its axis; there it is completed, and interrupted before, unless the
    settings have a `patience`, after which it ends early. None: the settings don't say.
    """

    def __init__(
        self, log: Path, parser: Callable[[], Parser], settings: Path,
        last_x: Callable[[Mapping[str, Any]], float | None] = lambda settings: None,
    ) -> None:  # fmt: skip
        self._log = TailReader(log, parser)
        self._file = SettingsFile(settings)
        self._settings: dict[str, Any] = {}
        self._last_x = last_x

    @property
    def info(self) -> RunInfo:
        """What is known of the run."""
        return self._log.info

    def poll(self) -> Reading:
        """The items of what was appended."""
        reading = self._log.poll()
        info = self.info
        settings = self._file.changed()
        if settings is not None:
            self._settings = flattened(settings)
        if settings is not None or reading.reset:
            info.hyperparameters = {**self._settings, **info.hyperparameters}
            info.total = self._last_x(self._settings)
        rows = (item for item in reversed(reading.items) if isinstance(item, Row | Rows))
        last = next((row.x if isinstance(row, Row) else row.x[-1].item() for row in rows), None)
        if last is not None and info.total is not None:
            unfinished: Ending | None = None if "patience" in self._settings else "interrupted"
            info.ending = "completed" if last >= info.total else unfinished
        return reading
