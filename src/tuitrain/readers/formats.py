"""All formats of other tools, the most specific first: the first that matches a file reads it."""

from __future__ import annotations

from tuitrain.readers.model import Format

FORMATS: tuple[Format, ...] = ()

BY_NAME = {format.name: format for format in FORMATS}
