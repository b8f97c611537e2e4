"""Data sources that name a path on this machine, and the directory that caches are in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import platformdirs

from tuitrain.files import expanded


class SourcePath(NamedTuple):
    """A path, with the parts of the source's name before and after it."""

    prefix: str
    path: Path
    suffix: str = ""


def source_path(source: str) -> SourcePath | None:
    """The path that `data.source` (or a source of a mixture) names, `~` expanded; None where it names none.

    After `hf:` comes NAME[:CONFIG] of a dataset on the Hub, or DIR[:CONFIG] if it begins with `/`, `.` or `~`.
    Raises FileNotFoundError where there is no such home directory.
    """
    if source in ("stdlib", "shakespeare", "mixture"):
        return None
    prefix = next((known for known in ("bin:", "hf:") if source.startswith(known)), "")
    name = source.removeprefix(prefix)
    if prefix == "hf:":
        directory, colon, config = name.partition(":")
        local = name.startswith(("/", ".", "~"))
        return SourcePath(prefix, expanded(directory), colon + config) if local else None
    return SourcePath(prefix, expanded(name))


def cache_directory() -> Path:
    """The directory of tokenized data: $TUITRAIN_CACHE_DIR, else the user's cache directory. Raises OSError."""
    value = os.environ.get("TUITRAIN_CACHE_DIR")
    return expanded(value).absolute() if value else Path(platformdirs.user_cache_dir("tuitrain"))
