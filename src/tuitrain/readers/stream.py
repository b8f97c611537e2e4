"""A stream or file of unknown format: recognised while it comes, read by the parser of its format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from tuitrain.readers.consoles.generic import GenericParser
from tuitrain.readers.consoles.lines import console_format
from tuitrain.readers.model import Format, Parser, Probe, Reading, Row, RunInfo

HEAD_BYTES = 64 << 10
"""What is kept of a stream's beginning, to be read again once its format shows."""
_EVERY_LINE_BYTES = 4 << 10
"""Of the head: the format is looked for after each line; from there on each time a quarter has been added."""
_WORDS = (b"step", b"iter", b"epoch", b"update", b"batch", b"train:", b"] ")
_BARS = (b"it/s", b"s/it", b"it [", b"s/step", b"eta: ", b"] loss:")
_OTHER = re.compile(
    rb"\s*(?:\{ ?\"|\[\s*[\"\[{]|<(?:!doctype|\?xml|html|head|body|div|pre|svg|script)\b)", re.IGNORECASE
)
"""The beginning of JSON Lines, of a list in JSON, of HTML and XML."""
_COUNT = re.compile(rb"(?:[a-z]{1,6}\b)?(?:\(\w+\))?['\"]?[ \t:=#\[(]{1,12}\d")
_LINE_END = re.compile(rb"[\r\n]")
_MOST_LINES = 40
"""With one sign that are looked at for metrics; of all signs twice as many."""
_DATA = frozenset({".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".cfg"})
"""Endings of files that other formats look into; one that holds a console can be opened by name in a stream."""


def is_console(probe: Probe) -> bool:
    """Whether the text has lines of metrics: one name at two positions or more."""
    head = probe.head
    if probe.path is not None and probe.path.suffix.lower() in _DATA:
        return False
    if _OTHER.match(head):
        return False
    parser = GenericParser("")
    positions: dict[str, float] = {}
    for line in _candidates(head, probe.lowered):
        for item in parser.feed(line + b"\n").items:
            if isinstance(item, Row):
                for name in item.values:
                    if positions.setdefault(name, item.x) != item.x:
                        return True
    return False


def _candidates(text: bytes, lowered: bytes) -> list[bytes]:
    """The first lines in which a position is likely, in their order."""
    # Searching for each sign is quicker than one pattern for all.
    lines = {
        start: line for sign in (*_WORDS, *_BARS) for start, line in islice(_with(sign, text, lowered), _MOST_LINES)
    }
    return [lines[start] for start in sorted(lines)[: 2 * _MOST_LINES]]


def _with(sign: bytes, text: bytes, lowered: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines in which a position is likely by this sign, each with the offset at which it starts."""
    at = lowered.find(sign)
    while at >= 0:
        end = at + len(sign)
        if sign in _BARS or _COUNT.match(lowered, end):
            start = max(text.rfind(b"\n", 0, at), text.rfind(b"\r", 0, at)) + 1
            line_end = _LINE_END.search(text, end)
            if line_end is None:
                break
            end = line_end.start()
            yield start, text[start:end]
        at = lowered.find(sign, end)


class StreamParser:
    """Reads a stream as the console of an unknown loop until another format shows, and then as that.

    What was read before is then read again, which the `reset` of the reading says. Within HEAD_BYTES the more specific
    of two formats can still win; further on a format is looked for only as long as no metric has come. The end of a
    stream ends its last line: feed it a line end then.
    """

    def __init__(self, name: str, formats: Sequence[Format]) -> None:
        self.format: Format | None = None
        """None: that of an unknown loop's console."""
        self._name = name
        self._formats = formats
        self._parser: Parser = GenericParser(name)
        self._head: bytearray | None = bytearray()
        """None once it is too long."""
        self._next = 0
        """How long the head is to be, with whole lines, when the format is looked for again."""
        self._empty = True
        """Whether no item has come."""

    @property
    def info(self) -> RunInfo:
        """What the parser of the format knows of the run."""
        return self._parser.info

    def feed(self, data: bytes) -> Reading:
        """The items that these bytes complete. reset: earlier ones are void, as the format showed only now."""
        if self._head is not None:
            self._head += data
            if self._recognise_head():
                return self._begin(bytes(self._head))
            if len(self._head) > HEAD_BYTES:
                self._head = None
        elif self._empty and self._recognise(data):
            return self._begin(data)
        return self._read(data)

    def _recognise_head(self) -> bool:
        """Whether the head shows another format. It is looked at after the same bytes whatever pieces they came in."""
        assert self._head is not None
        changed = False
        while (end := self._head.find(b"\n", self._next, HEAD_BYTES) + 1) > 0:
            changed = self._recognise(bytes(self._head[:end])) or changed
            self._next = max(end, _quarter_more(end))
        return changed

    def _recognise(self, data: bytes) -> bool:
        probe = Probe(data)
        recognised = next((each for each in self._formats if each.binary == probe.binary and each.matches(probe)), None)
        if recognised is None or recognised is self.format or recognised.parser is None:
            return False
        self.format = recognised
        return True

    def _begin(self, data: bytes) -> Reading:
        assert self.format is not None and self.format.parser is not None
        self._parser = self.format.parser(self._name)
        was_empty, self._empty = self._empty, True
        reading = self._read(data)
        reading.reset = not was_empty
        return reading

    def _read(self, data: bytes) -> Reading:
        reading = self._parser.feed(data)
        self._empty = self._empty and not reading.items
        return reading


def _quarter_more(size: int) -> int:
    return size * 5 // 4 if size >= _EVERY_LINE_BYTES else size


def last_resort(formats: Sequence[Format]) -> Format:
    """The format `console`, whose parser takes any text and recognises these other formats in it."""
    return console_format(
        "console",
        "any other console",
        lambda name: StreamParser(name, formats),
        is_console,
        names_position=False,
        example="COMMAND 2>&1 | tuitrain watch -",
    )
