"""Errors of data, each with one sentence for the user."""

from __future__ import annotations


class DataError(ValueError):
    """A source, tokenizer or corpus that cannot be used; the message names the key or file and what to do."""


class CacheError(DataError):
    """A cache that cannot be read or written, whatever the configuration asks for."""


class ReadingStopped(Exception):
    """A stop was asked for while the reading waited for rows; what was read before is at hand, and so is its state."""

    def __init__(self, origin: str) -> None:
        """`origin`: what asked, as `should_stop` of open_dataset returned it, e.g. `SIGTERM`."""
        super().__init__(origin)
        self.origin = origin
