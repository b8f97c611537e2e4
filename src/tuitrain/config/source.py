"""Names of data sources that mean a path on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tuitrain.files import expanded


class SourcePath(NamedTuple):
    """A path, and what stands before and after it in the name of the source."""

    prefix: str
    path: Path
    suffix: str = ""


def source_path(source: str) -> SourcePath | None:
    """The path that `data.source` (or a source of a mixture) names, `~` expanded; None for those that are no path.

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
