"""Text files of runs: how they are opened and written, and the parts that several JSON documents share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import msgspec

from tuitrain.events import spell_out
from tuitrain.files import writing
from tuitrain.text import ascii_json, stream_for_data


@contextmanager
def open_text(out: Path | None) -> Iterator[TextIO]:
    """A text file to write, with its directory; standard output where there is none."""
    if out is None:
        yield stream_for_data()
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out), out.open("w", encoding="utf-8", newline="") as file:
        yield file


def json_text(document: Any, indent: int = 2) -> str:
    """A document as ASCII JSON with a newline at its end; nan and inf are spelled as in the log. indent 0: one line."""
    encoded = msgspec.json.encode(spell_out(document))
    return ascii_json((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()) + "\n"


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values that there are, by the names of a document: `names` has their keys by these."""
    return without_none({name: values.get(key) for name, key in names.items()})
