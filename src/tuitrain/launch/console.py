"""Following a console log: the text that a run's process appends to it."""

from __future__ import annotations

import codecs
from pathlib import Path

from tuitrain.files import open_regular

CHUNK_BYTES = 4 << 20


class ConsoleFollower:
    """Reads what was appended to a console log since the last call.

    A file that became shorter is read again from its start; a missing one has no text yet.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self._offset = offset
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def poll(self) -> str:
        """The new text, decoded from at most CHUNK_BYTES; empty when there is none."""
        try:
            with open_regular(self.path) as file:
                if file.seek(0, 2) < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                data = file.read(CHUNK_BYTES)
        except FileNotFoundError:
            return ""
        self._offset += len(data)
        return self._decoder.decode(data)
