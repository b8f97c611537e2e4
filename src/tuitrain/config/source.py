"""Names of data sources that mean a path on this machine."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal, NamedTuple

from tuitrain.config.errors import ConfigError, quoted


class SourcePath(NamedTuple):
    """A path, and what stands before and after it in the name of the source."""

    prefix: str
    path: Path
    suffix: str = ""


def expanded(name: str) -> Path:
    """The path with `~` expanded. Raises ConfigError when there is no such home directory."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise ConfigError(f"{quoted(name)}: there is no such home directory.") from None


def path_kind(path: Path) -> Literal["file", "directory", "other"] | None:
    """What is at a path, links followed; None for nothing. Raises OSError when that cannot be told.

    Path.exists() and its like take a path that may not be looked at for one where nothing is.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "other"


def source_path(source: str) -> SourcePath | None:
    """The path that `data.source` (or a source of a mixture) names, `~` expanded; None for those that are no path.

    After `hf:` comes NAME[:CONFIG] of a dataset on the Hub, or DIR[:CONFIG] if it begins with `/`, `.` or `~`.
    Raises ConfigError.
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
