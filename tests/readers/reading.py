"""What the tests of readers share: reading a log as a user's command would find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine, Sample, System
from tuitrain.readers.blocks import rows_of
from tuitrain.readers.discover import recognised, sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.inventory import Inventory, take_inventory
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Item, Parser, Probe, Reader, Reading, Restart, Row, Rows


def inventory_of(path: Path) -> Inventory:
    """What the only run at a path holds."""
    (source,) = sources_of(path)
    return take_inventory(BY_NAME[source.format].open(source), NameMapping())


def reader_of(path: Path) -> Reader:
    """A reader of the only run at a path."""
    (source,) = sources_of(path)
    return BY_NAME[source.format].open(source)


def format_of(content: str | bytes, path: Path | None = None) -> str | None:
    """The name of the format that a file with this content is of."""
    form = recognised(Probe(content.encode() if isinstance(content, str) else content, path))
    return form.name if form is not None else None


def one_by_one(items: Iterable[Item]) -> list[Item]:
    """The items with the rows of blocks one by one."""
    return [each for item in items for each in (rows_of(item) if isinstance(item, Rows) else [item])]


def points(items: Iterable[Item]) -> list[tuple[float, dict[str, float]]]:
    """The rows by their x."""
    return [(item.x, item.values) for item in one_by_one(items) if isinstance(item, Row)]


def fed(
    make: Callable[[], Parser], data: bytes, cuts: Iterable[int] = ()
) -> tuple[list[Item], list[BrokenLine], Parser]:
    """What a parser yields for bytes that come in pieces, cut at these places."""
    parser = make()
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    readings: list[Reading] = [parser.feed(data[start:end]) for start, end in pairwise(places)]
    items = one_by_one(item for each in readings for item in each.items)
    return items, [line for each in readings for line in each.broken], parser


@dataclass
class Read:
    """What a reader gave until now."""

    items: list[Item] = field(default_factory=list)
    broken: list[BrokenLine] = field(default_factory=list)

    def add(self, reading: Reading) -> None:
        if reading.reset:
            self.items, self.broken = [], []
        self.items += one_by_one(reading.items)
        self.broken += reading.broken

    def poll(self, reader: Reader) -> Read:
        more = True
        while more:
            reading = reader.poll()
            self.add(reading)
            more = reading.more
        return self

    def points(self, name: str) -> list[tuple[float, float]]:
        """x and value of a metric, in the order they were given; what a restart made void is left out."""
        points: list[tuple[float, float]] = []
        for item in self.items:
            if isinstance(item, Row) and name in item.values:
                points.append((item.x, item.values[name]))
            elif isinstance(item, Restart):
                points = [point for point in points if point[0] < item.x]
        return points

    @property
    def names(self) -> set[str]:
        return {name for item in self.items if isinstance(item, Row) for name in item.values}

    def of(self, kind: type[Row | Restart | Sample | System]) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]


def readers_of(path: Path) -> dict[str, Reader]:
    """The readers of the runs below a path, by the runs' names."""
    return {source.name: BY_NAME[source.format].open(source) for source in sources_of(path)}


def read(path: Path) -> tuple[Reader, Read]:
    """The only run below a path, all of it."""
    (reader,) = readers_of(path).values()
    return reader, Read().poll(reader)
