"""What the tests of readers share: reading a log as a user's command would find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

from tuitrain.events import BrokenLine
from tuitrain.readers.discover import recognised, sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.inventory import Inventory, take_inventory
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Item, Parser, Probe, Reader, Reading, Row


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


def points(items: Iterable[Item]) -> list[tuple[float, dict[str, float]]]:
    """The rows by their x."""
    return [(item.x, item.values) for item in items if isinstance(item, Row)]


def fed(
    make: Callable[[], Parser], data: bytes, cuts: Iterable[int] = ()
) -> tuple[list[Item], list[BrokenLine], Parser]:
    """What a parser yields for bytes that come in pieces, cut at these places."""
    parser = make()
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    readings: list[Reading] = [parser.feed(data[start:end]) for start, end in pairwise(places)]
    items = [item for each in readings for item in each.items]
    return items, [line for each in readings for line in each.broken], parser
