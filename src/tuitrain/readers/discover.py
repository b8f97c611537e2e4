"""Finding the runs of other tools below a folder, by the content of its files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tuitrain.files import open_regular
from tuitrain.readers.formats import BY_NAME, FORMATS
from tuitrain.readers.model import PROBE_BYTES, Format, Probe, Source

_SKIPPED = frozenset({".git", "__pycache__", "node_modules", ".venv", "venv", "site-packages", ".cache"})
_LARGE_PROBE_BYTES = 1 << 20


def recognised(probe: Probe) -> Format | None:
    """The format of a file or a stream by its first bytes; None when none of them fits."""
    return next((each for each in FORMATS if each.binary == probe.binary and each.matches(probe)), None)


def probe_of(path: Path, most: int = PROBE_BYTES) -> Probe:
    """The first bytes of a file. Raises OSError for what is no regular file."""
    with open_regular(path) as file:
        return Probe(os.pread(file.fileno(), most, 0), path)


def sources_of(path: Path, skip: Callable[[Path], bool] = lambda folder: False) -> list[Source]:
    """The runs of other tools that a file holds or that lie below a folder, each once, in the order of their paths.

    skip: folders that are not searched. A file that only begins like a log is looked into further than one of many.
    """
    if path.is_file():
        form = recognised(probe_of(path)) or recognised(probe_of(path, _LARGE_PROBE_BYTES))
        return list(form.sources(path.parent, [path])) if form is not None else []
    files: dict[str, list[Path]] = {}
    for each in _files(path, skip):
        try:
            form = recognised(probe_of(each))
        except OSError:
            continue
        if form is not None:
            files.setdefault(form.name, []).append(each)
    found = [source for name, paths in files.items() for source in BY_NAME[name].sources(path, paths)]
    return sorted(_once(found), key=lambda source: (str(source.path), source.key))


def _once(sources: list[Source]) -> list[Source]:
    """Without the logs that are another one's run once more."""
    covering = [(source.path, BY_NAME[source.format].covers) for source in sources if BY_NAME[source.format].covers]
    beside = Counter(folder.parent for folder, _ in covering)

    def covered(source: Source) -> bool:
        return any(
            source.format in formats
            and (
                folder in (source.path, *source.path.parents)
                # The console of the only run of a folder is often kept beside the run's own one.
                or (
                    source.format.endswith("-console")
                    and source.path.parent == folder.parent
                    and beside[folder.parent] == 1
                )
            )
            for folder, formats in covering
        )

    return [source for source in sources if not covered(source)]


def _files(folder: Path, skip: Callable[[Path], bool]) -> Iterator[Path]:
    """The regular files below a folder in the order of their paths; links to folders are not followed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _SKIPPED and not skip(path):
                yield from _files(path, skip)
        elif entry.is_file() and not entry.is_symlink():
            yield path
