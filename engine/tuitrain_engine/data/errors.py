"""What goes wrong with data, in one sentence."""

from __future__ import annotations


class DataError(ValueError):
    """A source, tokenizer or corpus that cannot be used; the message names the key or file and what to do."""


class CacheError(DataError):
    """A cache that cannot be read or written, whatever the configuration asks for."""


class ReadingStopped(Exception):
    """A stop was asked for while the reading waited for rows; what was read before is at hand, and so is its state."""

    def __init__(self, origin: str) -> None:
        """`origin`: who asked, as the `should_stop` of open_dataset told, e.g. `SIGTERM`."""
        super().__init__(origin)
        self.origin = origin
