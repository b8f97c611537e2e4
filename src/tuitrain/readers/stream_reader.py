"""A reader of bytes that somebody else reads: of a pipe, of a console."""

from __future__ import annotations

from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.model import Parser, Reading, RunInfo


class StreamReader:
    """Reads what it is given, in whatever format shows in it: any console, JSON Lines, separated values.

    At the end of the stream give it a line end.
    """

    def __init__(self, name: str) -> None:
        make = BY_NAME["console"].parser
        assert make is not None
        self._parser: Parser = make(name)
        self._data = b""

    @property
    def info(self) -> RunInfo:
        """What is known of the run."""
        return self._parser.info

    def add(self, data: bytes) -> None:
        """Take further bytes for the next poll."""
        self._data += data

    def poll(self) -> Reading:
        """The items that these bytes complete."""
        data, self._data = self._data, b""
        return self._parser.feed(data)
