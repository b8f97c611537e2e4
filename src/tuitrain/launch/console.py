"""Following a console log: the text that a run's process appends to it."""

from __future__ import annotations

import codecs
from pathlib import Path

from tuitrain.readers.tail import FileTail


class ConsoleFollower:
    """Reads what was appended to a console log since the last call; a missing one has no text yet."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._tail = FileTail(path, offset)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def poll(self) -> str:
        """The new text; empty when there is none."""
        return self._decoder.decode(self._tail.read().data)
