"""Errors of data, each with one sentence for the user."""

from __future__ import annotations


class DataError(ValueError):
    """A source, tokenizer or corpus that cannot be used; the message names the key or file and the remedy."""


class CacheError(DataError):
    """A cache that cannot be read or written, with any configuration."""


class ReadingStopped(Exception):
    """A stop was requested while the reader waited for rows; what it read before, and its state, are kept."""

    def __init__(self, origin: str) -> None:
        """`origin`: of the request, as `should_stop` of open_dataset returned it, e.g. `SIGTERM`."""
        super().__init__(origin)
        self.origin = origin
