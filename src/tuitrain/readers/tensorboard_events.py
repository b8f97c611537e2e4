"""TensorBoard's events: what one holds and where, and the numbers of many that are laid out alike.

The messages are those of TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuitrain.readers import protobuf
from tuitrain.readers.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field
from tuitrain.readers.tfrecord import Records

SESSION_START = 1
SCALARS = "scalars"
_BFLOAT16, _HALF = 14, 19
_TYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "u1", _BFLOAT16: "bfloat16", 17: "<u2",
    _HALF: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
"""The numeric types of tensors (`types.proto`) as numpy writes them."""
_NUMBERS = {5: FIXED32, 6: FIXED64, 7: VARINT, 10: VARINT, 11: VARINT, 13: VARINT, 16: VARINT, 17: VARINT}
"""The fields of a tensor that hold its numbers, and how."""
_MOST_LAYOUTS = 64
"""Of the records of one length; the others are read one by one."""


class Number(NamedTuple):
    """Where the value of a tag is in an event. type: as numpy writes it; `varint` before it: a varint of its bits.

    start: None of a value that is not written because it is 0. plugin: as far as the event says.
    """

    tag: Field
    type: str
    start: int | None
    end: int
    plugin: str


@dataclass
class Text:
    """The strings of a tag, or what a plugin keeps with it."""

    tag: str
    plugin: str
    strings: list[str]
    content: bytes


@dataclass
class Event:
    """What one event holds: offsets in `data` of what changes from event to event, and all else as it is."""

    data: bytes
    time: Field | None = None
    step: Field | None = None
    numbers: list[Number] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    session: int | None = None
    other_tags: dict[str, str] = field(default_factory=dict)
    """Tags of what is no number, with their plugins."""

    @property
    def seconds(self) -> float | None:
        """Unix seconds at which it was written."""
        return None if self.time is None else float(struct.unpack_from("<d", self.data, self.time.start)[0])

    @property
    def number_of_step(self) -> int:
        """The step it is of."""
        return 0 if self.step is None else protobuf.signed(protobuf.varint(self.data, self.step.start)[0])

    def mask(self) -> NDArray[np.uint8]:
        """The bits that are the same in all events laid out as this one."""
        mask = np.full(len(self.data), 0xFF, np.uint8)
        if self.time is not None:
            mask[self.time.start : self.time.end] = 0
        if self.step is not None:
            mask[self.step.start : self.step.end] = 0x80
        for number in self.numbers:
            mask[number.tag.start : number.tag.end] = 0
            if number.start is not None:
                mask[number.start : number.end] = 0x80 if number.type.startswith("varint") else 0
        return mask


def parse_event(data: bytes) -> Event:
    """One event. Raises ValueError where the bytes are none."""
    event = Event(data)
    for each in protobuf.fields(data):
        if each.number == 1 and each.wire == FIXED64:
            event.time = each
        elif each.number == 2 and each.wire == VARINT:
            event.step = each
        elif each.number == 5 and each.wire == BYTES:
            for value in protobuf.fields(data, each):
                if value.number == 1 and value.wire == BYTES:
                    _parse_value(event, value)
        elif each.number == 7 and each.wire == BYTES:
            event.session = protobuf.varint_in(data, each, 1)
    return event


def _parse_value(event: Event, value: Field) -> None:
    data = event.data
    parts = protobuf.by_number(data, value)
    tag = parts.get(1)
    if tag is None or tag.wire != BYTES:
        return
    plugin, content = _plugin(data, parts.get(9))
    if 2 in parts and parts[2].wire == FIXED32:
        event.numbers.append(Number(tag, "<f4", parts[2].start, parts[2].end, plugin))
        return
    number = _of_tensor(data, tag, parts[8], plugin) if 8 in parts and plugin in ("", SCALARS) else None
    if number is not None:
        event.numbers.append(number)
        return
    name = protobuf.text(data, tag)
    event.other_tags[name] = plugin
    if plugin == "hparams" or 8 in parts:
        strings = _strings(data, parts[8]) if 8 in parts and plugin in ("", "text") else []
        if strings or plugin == "hparams":
            event.texts.append(Text(name, plugin, strings, content))


def _plugin(data: bytes, metadata: Field | None) -> tuple[str, bytes]:
    """The name of a plugin, and what it keeps."""
    name, content = "", b""
    for part in protobuf.fields(data, metadata) if metadata is not None else ():
        if part.number == 1 and part.wire == BYTES:
            for each in protobuf.fields(data, part):
                if each.number == 1:
                    name = protobuf.text(data, each)
                elif each.number == 2:
                    content = data[each.start : each.end]
    return name, content


def _of_tensor(data: bytes, tag: Field, tensor: Field, plugin: str) -> Number | None:
    """The number of a tensor that has one element; None of any other."""
    parts = protobuf.by_number(data, tensor)
    kind = _TYPES.get(protobuf.varint(data, parts[1].start)[0]) if 1 in parts and parts[1].wire == VARINT else None
    if kind is None or (2 in parts and _elements(data, parts[2]) != 1):
        return None
    if 4 in parts:
        size = 2 if kind == "bfloat16" else np.dtype(kind).itemsize
        content = parts[4]
        return Number(tag, kind, content.start, content.end, plugin) if content.end - content.start == size else None
    for number, wire in _NUMBERS.items():
        if number in parts:
            part = parts[number]
            if wire == VARINT:
                if part.end - part.start != protobuf.varint(data, part.start)[1] - part.start:
                    return None
                kind = f"varint{kind}"
            elif part.end - part.start != (4 if wire == FIXED32 else 8):
                return None
            else:
                kind = "<f4" if wire == FIXED32 else "<f8"
            return Number(tag, kind, part.start, part.end, plugin)
    return Number(tag, kind, None, 0, plugin)


def _elements(data: bytes, shape: Field) -> int:
    """How many elements a tensor of this shape has."""
    count = 1
    for dimension in protobuf.fields(data, shape):
        if dimension.number == 2 and dimension.wire == BYTES:
            count *= protobuf.varint_in(data, dimension, 1) or 0
    return count


def _strings(data: bytes, tensor: Field) -> list[str]:
    parts = protobuf.fields(data, tensor)
    return [protobuf.text(data, part) for part in parts if part.number == 8 and part.wire == BYTES]


@dataclass
class Scalars:
    """Numbers of many events, as columns. record: the index of the event's record, in whose order they are."""

    tags: list[str]
    tag: NDArray[np.intp]
    record: NDArray[np.intp]
    step: NDArray[np.int64]
    time: NDArray[np.float64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.value)

    def where(self, which: NDArray[Any] | slice) -> Scalars:
        """Some of them, by a mask, indices or a slice."""
        return Scalars(
            self.tags, self.tag[which], self.record[which], self.step[which], self.time[which], self.value[which]
        )

    def part(self, begin: int, end: int) -> Scalars:
        """Those from one index to another."""
        return self.where(slice(begin, end))


class EventColumns:
    """Reads records: the numbers as columns, all else one by one. plugins: of the tags whose events name one."""

    def __init__(self) -> None:
        self.plugins: dict[str, str] = {}

    def read(self, records: Records) -> tuple[Scalars, list[tuple[int, Event]]]:
        """The scalars and the other events, each with the index of its record. What is no event becomes `broken`."""
        tags: dict[bytes, int] = {}
        parts: list[tuple[NDArray[Any], ...]] = []
        others: list[tuple[int, Event]] = []
        for indices, rows in records.groups():
            layouts = 0
            while len(rows):
                try:
                    event = parse_event(rows[0].tobytes())
                except ValueError as error:
                    records.broken.append((records.number(int(indices[0])), f"it is not an event: {error}"))
                    indices, rows = indices[1:], rows[1:]
                    continue
                like = np.zeros(len(rows), bool)
                like[0] = True
                if event.numbers and layouts < _MOST_LAYOUTS and not event.other_tags:
                    layouts += 1
                    mask = event.mask()
                    like = ((rows & mask) == (rows[0] & mask)).all(axis=1)
                else:
                    others.append((int(indices[0]), event))
                    self.plugins.update(event.other_tags)
                if event.numbers:
                    for plugin, columns in _columns(event, indices[like], rows[like], tags):
                        parts.append(columns)
                        if plugin:
                            names = list(tags)
                            self.plugins.update({_text(names[tag]): plugin for tag in np.unique(columns[1])})
                if like.sum() == 1:
                    indices, rows = indices[1:], rows[1:]
                else:
                    indices, rows = indices[~like], rows[~like]
        return _in_order(tags, parts), sorted(others, key=lambda other: other[0])


def _columns(
    event: Event, indices: NDArray[np.intp], rows: NDArray[np.uint8], tags: dict[bytes, int]
) -> Iterator[tuple[str, tuple[NDArray[Any], ...]]]:
    """For each number of these events, laid out like the first: its plugin, and record, tag, step, time, value."""
    count = len(rows)
    time = np.full(count, np.nan) if event.time is None else _fixed(rows, event.time.start, event.time.end, "<f8")
    step = np.zeros(count, np.int64) if event.step is None else _varints(rows, event.step.start, event.step.end)
    for number in event.numbers:
        tag = _tag_numbers(rows[:, number.tag.start : number.tag.end], tags)
        if number.start is None:
            value = np.zeros(count)
        elif number.type.startswith("varint"):
            bits = _varints(rows, number.start, number.end)
            value = _of_bits(bits, number.type.removeprefix("varint"))
        else:
            value = _fixed(rows, number.start, number.end, number.type)
        yield number.plugin, (indices, tag, step, time, value)


def _fixed(rows: NDArray[np.uint8], start: int, end: int, kind: str) -> NDArray[np.float64]:
    columns = np.ascontiguousarray(rows[:, start:end])
    if kind == "bfloat16":
        return _of_bits(columns.view("<u2")[:, 0].astype(np.int64), kind)
    return columns.view(kind)[:, 0].astype(np.float64)


def _varints(rows: NDArray[np.uint8], start: int, end: int) -> NDArray[np.int64]:
    values = np.zeros(len(rows), np.uint64)
    for index in range(end - start):
        values |= (rows[:, start + index] & 0x7F).astype(np.uint64) << np.uint64(7 * index)
    return values.view(np.int64)


def _of_bits(bits: NDArray[np.int64], kind: str) -> NDArray[np.float64]:
    """Numbers whose bits are written as whole ones, as the half types are; other types are what they are."""
    if kind == "bfloat16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    if kind == "<f2":
        return bits.astype(np.uint16).view(np.float16).astype(np.float64)
    return bits.view(np.uint64).astype(np.float64) if kind == "<u8" else bits.astype(np.float64)


def _tag_numbers(names: NDArray[np.uint8], tags: dict[bytes, int]) -> NDArray[np.intp]:
    """The number of each name; further names get further numbers."""
    first = names[0].tobytes()
    number = tags.setdefault(first, len(tags))
    if not len(first) or (names == names[0]).all():
        return np.full(len(names), number)
    texts = np.ascontiguousarray(names).view(f"V{len(first)}")[:, 0].tolist()
    return np.array([tags.setdefault(text, len(tags)) for text in texts], np.intp)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _in_order(tags: dict[bytes, int], parts: list[tuple[NDArray[Any], ...]]) -> Scalars:
    """All columns, in the order of the records."""
    if not parts:
        whole = np.empty(0, np.intp)
        return Scalars([], whole, whole, np.empty(0, np.int64), np.empty(0), np.empty(0))
    record, tag, step, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(record, kind="stable")
    return Scalars([_text(name) for name in tags], tag[order], record[order], step[order], time[order], value[order])
