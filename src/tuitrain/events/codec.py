"""Records to lines of strict JSON and back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, get_args, get_origin

import msgspec

from tuitrain.events.records import LATEST_MILLISECONDS, LATEST_TIME, RECORD_TYPES, AnyRecord, End, Record, Run
from tuitrain.files import deeper_than

NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NUMBER = re.compile(
    r"[+-]?(?:(?P<whole>\d{1,19})|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE
)
MOST_LEVELS = 100
"""Of the tables in a record."""
_EXACT = 2.0**53
"""Up to here every whole float is the integer that was meant."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)
_TIME = attrgetter("time")
OWN_METRICS = "metrics"
"""The key of metrics of one's own: names of any kind, each with a number."""
_WITH_TABLES = {Run, End}
"""The records with free-form tables."""
_KNOWN_TYPES = {str(kind.__struct_config__.tag) for kind in RECORD_TYPES}


def _text_keys() -> set[str]:
    """Keys under which a "nan" is a word and not a number: texts, and free-form tables."""
    keys, waiting = {"type"}, list[type[msgspec.Struct]](RECORD_TYPES)
    while waiting:
        for field in msgspec.structs.fields(waiting.pop()):
            parts = [field.type, *get_args(field.type)]
            nested = [part for alternative in parts for part in (alternative, *get_args(alternative))]
            waiting += [part for part in nested if isinstance(part, type) and issubclass(part, msgspec.Struct)]
            if field.name != OWN_METRICS and any(part is str or get_origin(part) in (dict, Literal) for part in parts):
                keys.add(field.encode_name)
    return keys


_TEXT_KEYS = _text_keys()


class BrokenLineError(ValueError):
    """A line of the log that is not a record; the message says why."""


@dataclass(frozen=True)
class BrokenLine:
    """A line of a log that could not be read: its number, from 1, and why.

    file: which file of a log that has several. In a binary log it is the number of a record.
    """

    number: int
    reason: str
    file: str = ""


def encode(record: Record) -> bytes:
    """One line of strict JSON, newline included; non-finite numbers become strings."""
    if _is_finite(record):
        return _encoder.encode(record) + b"\n"
    return _encoder.encode(spell_out(msgspec.to_builtins(record))) + b"\n"


def decode(line: bytes) -> AnyRecord | None:
    """The record on a line, or None for a type this version does not know.

    Raises BrokenLineError when the line is not JSON or lacks what its type needs.
    """
    record: AnyRecord | None
    try:
        record = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        record = _decode_slowly(line, error)
    if _is_too_deep(record):
        raise BrokenLineError(f"nested more than {MOST_LEVELS} levels deep")
    return None if record is None else _in_seconds(record)


def decode_lines(data: bytes, lines: int) -> list[AnyRecord] | None:
    """The records of so many whole lines at once, twice as quick as one by one; None when one needs a closer look.

    Each line has to begin and end as an object does: msgspec lets pass what goes over several lines.
    """
    try:
        records = _decoder.decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # Checked over all records at once: a loop over them takes as long as the decoding.
    if max(map(_TIME, records), default=0.0) >= LATEST_TIME:
        records = [_in_seconds(record) for record in records]
    if any(_is_too_deep(record) for record in records if type(record) in _WITH_TABLES):
        return None
    return records if len(records) == lines else None


def _in_seconds(record: AnyRecord) -> AnyRecord:
    """The record with a time that is in milliseconds as seconds."""
    if LATEST_TIME <= record.time < LATEST_MILLISECONDS:
        record.time /= 1000
    return record


def _is_too_deep(record: AnyRecord | None) -> bool:
    """Whether a free-form table of it is nested beyond what can be written again."""
    match record:
        case Run():
            return deeper_than(MOST_LEVELS, record.config)
        case End():
            return deeper_than(MOST_LEVELS, record.summary)
    return False


def _decode_slowly(line: bytes, cause: Exception) -> AnyRecord | None:
    """Decode a line with numbers in another spelling; unknown types give None, broken lines raise BrokenLineError."""
    try:
        tree = _tree(line)
    except (ValueError, RecursionError):
        out_of_range = "out of range" in str(cause)
        raise BrokenLineError(str(cause) if out_of_range else f"not valid JSON ({cause})") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("type"), str):
        raise BrokenLineError("not an object with a 'type'")
    if tree["type"] not in _KNOWN_TYPES:
        return None
    try:
        record: AnyRecord = msgspec.convert(_read_numbers(tree), AnyRecord)
    except (msgspec.MsgspecError, OverflowError, ValueError, RecursionError) as error:
        raise BrokenLineError(str(error)) from None
    if not math.isfinite(record.time):
        raise BrokenLineError(f"its time is {record.time}")
    return record


def _tree(line: bytes) -> Any:
    """A line of JSON, also with the bare NaN, Infinity and -Infinity that Python writes by default.

    Raises ValueError, of which msgspec's and UnicodeDecodeError are kinds, or RecursionError.
    """
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        if b"NaN" not in line and b"Infinity" not in line:
            raise
        return json.loads(line.decode())


def _is_finite(record: Record) -> bool:
    """Whether plain encoding is enough. Lists and nested objects take the careful way only if they hold a float."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif isinstance(value, list | dict | msgspec.Struct) and not _tree_is_finite(value):
            return False
    return True


def _tree_is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(_tree_is_finite(item) for item in value)
    if isinstance(value, dict):
        return all(_tree_is_finite(item) for item in value.values())
    if isinstance(value, msgspec.Struct):
        return all(_tree_is_finite(getattr(value, name)) for name in value.__struct_fields__)
    return True


def spell_out(value: Any) -> Any:
    """A tree of dicts, lists and scalars with its non-finite numbers as the words that strict JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: spell_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spell_out(item) for item in value]
    return value


def _read_numbers(value: Any, key: str = "") -> Any:
    """The tree with numbers as such that stand in it as text, and whole floats as integers."""
    if isinstance(value, str):
        return value if key in _TEXT_KEYS else _number(value)
    if isinstance(value, float):
        return value if key in _TEXT_KEYS else _whole(value)
    if isinstance(value, dict) and key not in _TEXT_KEYS:
        return {name: _read_numbers(item, "" if key == OWN_METRICS else name) for name, item in value.items()}
    if isinstance(value, list):
        return [_read_numbers(item, key) for item in value]
    return value


def _number(text: str) -> Any:
    """The number that a text is, however nan and inf are spelled; the text where it is none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    number: int | float = int(text) if match["whole"] else float(text)
    # What only rounds to infinity is out of range.
    return text if math.isinf(number) and "inf" not in text.lower() else _whole(number)


def _whole(number: float) -> int | float:
    whole = abs(number) <= _EXACT and float(number).is_integer() and str(number) != "-0.0"
    return int(number) if whole else number


def json_schema() -> dict[str, Any]:
    """JSON Schema of a line of the log, with the spelling of non-finite numbers."""
    schemas, components = msgspec.json.schema_components([AnyRecord], ref_template="#/$defs/{name}")
    numbers = _allow_spelled_numbers({**schemas[0], "$defs": components})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tuitrain event", **numbers}


def _allow_spelled_numbers(node: Any) -> Any:
    if isinstance(node, dict):
        if node.get("type") == "number":
            return {"anyOf": [node, {"enum": list(NON_FINITE)}]}
        return {key: _allow_spelled_numbers(item) for key, item in node.items()}
    if isinstance(node, list):
        return [_allow_spelled_numbers(item) for item in node]
    return node
