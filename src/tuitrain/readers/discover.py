"""Finding the runs of other tools below a folder, by the content of its files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tuitrain.files import open_regular
from tuitrain.readers.formats import BY_NAME, FORMATS
from tuitrain.readers.known_files import KnownFiles, Mark
from tuitrain.readers.model import PROBE_BYTES, Format, Probe, Source
from tuitrain.readers.sqlite import MAGIC as DATABASE

_SKIPPED = frozenset({".git", "__pycache__", "node_modules", ".venv", "venv", "site-packages", ".cache", ".hypothesis"})
_LARGE_PROBE_BYTES = 1 << 20
_LOG_ENDINGS = frozenset({".log", ".out", ".err", ".txt", ""})
_MOST_POLLS = 32
"""Of a file that was opened by name, until its first metric: over 100 MB."""


def recognised(probe: Probe) -> Format | None:
    """The format of a file or a stream by its first bytes; None when none of them fits."""
    return next((each for each in FORMATS if each.binary in (None, probe.binary) and each.matches(probe)), None)


def probe_of(path: Path, most: int = PROBE_BYTES) -> Probe:
    """The first bytes of a file. Raises OSError for what is no regular file."""
    with open_regular(path) as file:
        return Probe(os.pread(file.fileno(), most, 0), path)


def sources_of(path: Path, skip: Callable[[Path], bool] = lambda folder: False) -> list[Source]:
    """The runs of other tools that a file holds or that lie below a folder, each once, in the order of their paths.

    skip: folders that are not searched. A file that was opened by name is looked into further than one of many.
    """
    if path.is_file():
        probe = probe_of(path, _LARGE_PROBE_BYTES)
        form = recognised(Probe(probe.head[:PROBE_BYTES], path)) or recognised(probe)
        if form is not None:
            return list(form.sources(path.parent, [path]))
        return [] if probe.binary else _late_console(path)
    known = KnownFiles(path)
    files: dict[str, list[Path]] = {}
    for file, mark in _files(path, skip):
        name = known.format_of(file, mark)
        if name is None:
            looked_at = _probe(file)
            if looked_at is None:
                continue
            form = recognised(looked_at)
            name = form.name if form is not None else ""
            # The tables of a database may all be in its write-ahead log, which has a mark of its own.
            if name or not looked_at.head.startswith(DATABASE):
                known.add(file, mark, name)
        if name:
            files.setdefault(name, []).append(Path(file))
    known.keep()
    sources = [source for name, paths in files.items() for source in BY_NAME[name].sources(path, paths)]
    return sorted(_once(sources), key=lambda source: (str(source.path), source.key))


def _late_console(file: Path) -> list[Source]:
    """The run of a text that is called a log, or has metrics further on; none of other text."""
    form = BY_NAME["console"]
    sources = list(form.sources(file.parent, [file]))
    if file.suffix.lower() in _LOG_ENDINGS:
        return sources
    reader = form.open(sources[0])
    for _ in range(_MOST_POLLS):
        reading = reader.poll()
        if reading.items:
            return sources
        if not reading.more:
            break
    return []


def _once(sources: list[Source]) -> list[Source]:
    """Without the logs that are another one's run once more.

    A folder covers what lies below it and, where it is the only one of its format beside them, the files beside it. A
    file that is the only one of its format in its folder covers what else is in that folder.
    """
    covering = [source for source in sources if BY_NAME[source.format].covers]
    neighbours = Counter((source.format, source.path.parent) for source in covering)
    below: dict[Path, set[str]] = {}
    beside: dict[Path, set[str]] = {}
    for each in covering:
        folder = each.path.parent
        alone = neighbours[each.format, folder] == 1
        if each.path.is_dir():
            below.setdefault(each.path, set()).update(BY_NAME[each.format].covers)
            if alone:
                beside.setdefault(folder, set()).update(BY_NAME[each.format].covers)
        elif alone:
            below.setdefault(folder, set()).update(BY_NAME[each.format].covers)

    def covered(source: Source) -> bool:
        kinds = {source.format, "console" if source.format.endswith("-console") else source.format}
        if any(kinds & below.get(folder, set()) for folder in (source.path, *source.path.parents)):
            return True
        return bool(kinds & beside.get(source.path.parent, set())) and source.path.is_file()

    return [source for source in sources if not covered(source)]


def _probe(file: str) -> Probe | None:
    """The first bytes of one of many files; None where it can't be read."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        head = os.read(opened, PROBE_BYTES)
    except OSError:
        return None
    finally:
        os.close(opened)
    return Probe(head, Path(file)) if head else None


def _files(folder: Path, skip: Callable[[Path], bool]) -> Iterator[tuple[str, Mark]]:
    """The regular files below a folder in the order of their paths, with their marks; links are not followed."""
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                sorted_entries = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        folders = []
        for entry in sorted_entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED and not skip(Path(entry.path)):
                        folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield entry.path, (status.st_ino, status.st_size, status.st_mtime_ns)
            except OSError:
                continue
        waiting += reversed(folders)
