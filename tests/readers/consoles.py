"""Reading text as a console's, for tests."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.model import Item, Parser, Row, RunInfo


def console_of(form: str, *pieces: bytes) -> Parser:
    """A parser of this format that has been fed these pieces."""
    make = BY_NAME[form].parser
    assert make is not None
    parser = make("a")
    for piece in pieces:
        parser.feed(piece)
    return parser


def read(form: str, *pieces: bytes) -> tuple[list[Any], RunInfo]:
    """The items of these pieces and what is known of the run. Rows at one x that came in several are one."""
    make = BY_NAME[form].parser
    assert make is not None
    parser = make("a")
    items: list[Item] = []
    for piece in pieces:
        reading = parser.feed(piece)
        if reading.reset:
            items = []
        items += reading.items
    return _joined(items), parser.info


def values(form: str, *pieces: bytes) -> dict[str, dict[float, float]]:
    """The values by name and x."""
    result: dict[str, dict[float, float]] = {}
    for item in read(form, *pieces)[0]:
        if isinstance(item, Row):
            for name, value in item.values.items():
                result.setdefault(name, {})[item.x] = value
    return result


def _joined(items: list[Item]) -> list[Item]:
    result: list[Item] = []
    for item in items:
        last = result[-1] if result else None
        if isinstance(item, Row) and isinstance(last, Row) and _one_point(last, item):
            result[-1] = replace(last, values=last.values | item.values)
        else:
            result.append(item)
    return result


def _one_point(a: Row, b: Row) -> bool:
    return (a.x, a.step, a.time) == (b.x, b.step, b.time) and a.values.keys().isdisjoint(b.values)
