"""What all console readers share: lines without colours, numbers with their units, times, and where the runs lie."""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

from tuitrain.events import BrokenLine
from tuitrain.readers.model import Format, Item, Parser, Probe, Reader, Reading, Row, RunInfo, Source
from tuitrain.readers.table import file_sources
from tuitrain.readers.tail import TailReader
from tuitrain.readers.text import TOO_LONG, LineSplitter, number
from tuitrain.text import without_sequences

LONGEST_METRIC_LINE = 16 << 10
"""Characters; a longer line of a console is text."""
NUMBER = (
    r"[-+]?(?:\d+(?:[,_]\d{3})*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
    r"|(?:[nN][aA][nN]|[iI]nf(?:inity)?)(?![a-zA-Z]))"
)
UNIT = r"ms|us|s|%|[KMGT]i?B"
_UNIT_NAMES = {"%": "percent"}
_TIME = re.compile(r"(\d{4})([-/])(\d\d)\2(\d\d)[ T,](\d\d:\d\d):(\d\d(?:[.,]\d{1,6})?)(Z|[+-]\d\d:?\d\d)?(?!\d)")
_TIME_WITHIN = 120
"""Characters of a line in which its time stands."""


class ConsoleParser(ABC):
    """Reads a console line by line. A carriage return ends a line too, as those of a progress bar."""

    axis: ClassVar[str] = "step"
    meanings: ClassVar[dict[str, str]] = {}

    def __init__(self, name: str) -> None:
        self.info = RunInfo(name, self.axis, meanings=dict(self.meanings))
        self._lines = LineSplitter(carriage_return=True)

    def feed(self, data: bytes) -> Reading:
        """The items in the lines that these bytes complete."""
        reading = Reading()
        for line_number, line in self._lines.split(data):
            if line is None:
                reading.broken.append(BrokenLine(line_number, TOO_LONG))
                continue
            if line.startswith(b"\0"):
                # Of a log that was cut while its writer went on.
                line = line.lstrip(b"\0")
            if line and len(line) <= LONGEST_METRIC_LINE:
                reading.items.extend(self.items(without_sequences(line.decode("utf-8", "replace"))))
        reading.items.extend(self.pending())
        return reading

    @abstractmethod
    def items(self, line: str) -> Iterable[Item]:
        """The items that this line, without its end and colours, completes."""

    def pending(self) -> Iterable[Item]:
        """The items that earlier lines began and that are given now, as there may be no further line for long."""
        return ()

    def reached(self, x: float) -> None:
        """Say whether the run is at its end, for a format that tells where that is."""
        if self.info.total is not None:
            self.info.ending = "completed" if x >= self.info.total else "interrupted"


class BlockParser(ConsoleParser):
    """Reads blocks: a header with the position and perhaps the last one, then a line for each value."""

    header: ClassVar[re.Pattern[str]]
    sign: ClassVar[str]
    """What each header has; looked for first, as it is quicker."""
    value: ClassVar[re.Pattern[str]]
    """A line with a name and a number."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._x: float | None = None
        self._time: float | None = None
        self._values: dict[str, float] = {}

    def items(self, line: str) -> Iterator[Row]:
        """The row of a block, once another line follows it. A block without a header belongs to the one before."""
        match = self.value.match(line) if self._x is not None else None
        if match is not None:
            self._values |= values_of([(match[1], match[2], "")])
            if match[1] not in self.info.meanings and (meaning := self.meaning(match[1])):
                self.info.meanings[match[1]] = meaning
            return
        yield from self.pending()
        header = self.header.search(line) if self.sign in line else None
        if header is not None:
            self._x, self._time = float(header[1]), time_of(line)
            if header[2] is not None:
                self.info.total = float(header[2])
            self.reached(self._x)

    def pending(self) -> Iterator[Row]:
        """The values that the current block has so far."""
        if self._values and self._x is not None:
            values, self._values = self._values, {}
            yield Row(self._x, values, self._time)

    @abstractmethod
    def meaning(self, name: str) -> str:
        """Which of our metrics one of an evaluation is; empty of any other."""


def at_word(line: str, word: str) -> int:
    """Where the first of this word begins that has nothing but a prefix before it; -1 where there is none."""
    at = line.find(word)
    while at > 0 and (line[at - 1].isalnum() or line[at - 1] in "_/-.'\""):
        at = line.find(word, at + 1)
    return at


@lru_cache(4096)
def with_unit(name: str, unit: str) -> str:
    """The name of a metric whose value has a unit: `dt` in `ms` is `dt_ms`."""
    return f"{name}_{_UNIT_NAMES.get(unit, unit.lower())}" if unit else name


def values_of(pairs: Iterable[tuple[str, str, str]]) -> dict[str, float]:
    """Values by name of (name, number, unit)."""
    values = {}
    for name, text, unit in pairs:
        value = value_of(text)
        if value is not None:
            values[with_unit(name, unit) if unit else name] = value
    return values


def value_of(text: str) -> float | None:
    """The number in a text that matches NUMBER."""
    try:
        return float(text)
    except ValueError:
        return number(text.replace("_", ""))


def time_of(line: str) -> float | None:
    """Unix seconds of the time with a date that a line begins with, after at most a prefix."""
    match = _TIME.search(line, 0, _TIME_WITHIN)
    if match is None:
        return None
    year, _, month, day, minutes, seconds, zone = match.groups()
    minute = _minute(f"{year}-{month}-{day} {minutes}{zone or ''}")
    return minute + float(seconds.replace(",", ".")) if minute is not None else None


@lru_cache(256)
def _minute(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def literal(text: str) -> Any:
    """The value that a setting in Python's notation has; the text itself where it is no plain literal."""
    text = text.strip()
    if len(text) < 1000:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
        if value is None or isinstance(value, (bool, int, float, str, list)):
            return value
    return text


def console_format(
    name: str,
    title: str,
    parser: Callable[[str], Parser],
    matches: Callable[[Probe], bool],
    example: str = "tuitrain watch train.log",
    sources: Callable[[Path, Sequence[Path]], Iterable[Source]] | None = None,
    prepare: Callable[[Any, Path], None] = lambda parser, log: None,
    covers: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
    names_position: bool = True,
) -> Format:
    """The declaration of a console format, each of whose files is a run unless `sources` says otherwise.

    prepare: takes what other files beside the log say into a new parser. names_position: the format is only looked for
    in a text that names a step, an iteration or an epoch.
    """

    def opened(source: Source) -> Reader:
        def prepared() -> Parser:
            made = parser(source.name)
            prepare(made, source.files[0])
            return made

        return TailReader(source.files[0], prepared)

    def is_console(probe: Probe) -> bool:
        return (probe.names_position or not names_position) and matches(probe)

    runs = sources or partial(file_sources, name)
    return Format(name, title, example, is_console, runs, opened, parser, covers=covers, beside=beside)
