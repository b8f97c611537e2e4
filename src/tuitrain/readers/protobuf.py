"""The fields of a protobuf message, by their offsets in its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Field(NamedTuple):
    """One field of a message: its number, its wire type and where its content is, without its length."""

    number: int
    wire: int
    start: int
    end: int


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at an offset, and the offset after it. Raises ValueError where there is none."""
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise ValueError("a number has no end")


def signed(value: int) -> int:
    """An unsigned number of 64 bits as int32 and int64 are written, signed."""
    return value - (1 << 64) if value >= 1 << 63 else value


def fields(data: bytes, message: Field | None = None) -> Iterator[Field]:
    """The fields of the message that is all of `data` or one of its fields, in the order they were written.

    Raises ValueError where it is not a message.
    """
    start, end = (0, len(data)) if message is None else (message.start, message.end)
    while start < end:
        key, at = varint(data, start)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            after = varint(data, at)[1]
        elif wire == BYTES:
            length, at = varint(data, at)
            after = at + length
        elif wire in (FIXED64, FIXED32):
            after = at + (8 if wire == FIXED64 else 4)
        else:
            raise ValueError(f"there is no wire type {wire}")
        if after > end or not number:
            raise ValueError("a field goes past the end of its message")
        yield Field(number, wire, at, after)
        start = after


def by_number(data: bytes, message: Field) -> dict[int, Field]:
    """The fields of a message by their numbers, of several with one number the last. Raises ValueError."""
    return {field.number: field for field in fields(data, message)}


def varint_in(data: bytes, message: Field, number: int) -> int | None:
    """The unsigned number in the first such field of a message; None where it has none. Raises ValueError."""
    parts = fields(data, message)
    return next((varint(data, part.start)[0] for part in parts if part.number == number and part.wire == VARINT), None)


def text(data: bytes, field: Field) -> str:
    """A field as text; what is not UTF-8 is replaced."""
    return data[field.start : field.end].decode("utf-8", "replace")


def timestamp(data: bytes, field: Field) -> float | None:
    """Unix seconds of a `google.protobuf.Timestamp`; None where it says nothing."""
    inner = fields(data, field)
    parts = {part.number: varint(data, part.start)[0] for part in inner if part.wire == VARINT}
    return signed(parts.get(1, 0)) + parts.get(2, 0) / 1e9 if parts else None
