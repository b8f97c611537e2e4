"""Finding the runs of other tools below a folder, by the content of its files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tuitrain.readers.encoding import text_of
from tuitrain.readers.formats import BY_NAME, FORMATS
from tuitrain.readers.generic_csv import table_of_numbers
from tuitrain.readers.known_files import KnownFiles, State
from tuitrain.readers.model import PROBE_BYTES, Format, Probe, Source
from tuitrain.readers.probing import probe_of
from tuitrain.readers.quoting import begins_as_document, quotes_log
from tuitrain.readers.sqlite import MAGIC as DATABASE
from tuitrain.readers.walk import Mark, Skip, walk

_CONSOLES = [each for each in FORMATS if each.name.endswith("console")]
_BESIDE = sorted({name for each in FORMATS for name in each.beside if "/" not in name})
"""Names of files that are beside logs of some formats."""
_LARGE_PROBE_BYTES = 1 << 20
_LOG_ENDINGS = frozenset({".log", ".out", ".err", ".txt", ".stdout", ".stderr", ""})
_MOST_POLLS = 32
"""Of a file that was opened by name, until its first metric: over 100 MB."""


def recognised(probe: Probe) -> Format | None:
    """The format of a file or a stream by its first bytes; None when none of them fits."""
    return next((each for each in FORMATS if each.binary in (None, probe.binary) and each.matches(probe)), None)


def sources_of(
    path: Path,
    skip: Skip = lambda folder, names: False,
    unanswered: Callable[[Path], None] = lambda folder: None,
) -> list[Source]:
    """The runs of other tools that a file holds or that lie below a folder, each once, in the order of their paths.

    skip, unanswered: of folders, as in `walk`. A file that was opened by name is looked into further than one of many.
    """
    if not path.is_file():
        search = Search(path)
        return search.sources(walk(path, skip, search.look, unanswered))
    probe = probe_of(path, _LARGE_PROBE_BYTES)
    form = recognised(Probe(probe.head[:PROBE_BYTES], path)) or recognised(probe)
    if form is not None:
        return list(form.sources(path.parent, [path]))
    if probe.binary:
        return []
    if table := table_of_numbers(Probe(probe.head[:PROBE_BYTES], path)):
        return list(BY_NAME[table].sources(path.parent, [path]))
    return _late_console(path)


def _log_format(file: str, head: bytes, size: int) -> str:
    """The name of the format of a log among other files; empty of what is none, such as a document that quotes one.

    Of a text in which only other output comes first the end is looked at, too.
    """
    if begins_as_document(file, head):
        return ""
    probe = Probe(head, Path(file))
    form = recognised(probe)
    if form is None and size > len(head) and not probe.binary and _is_called_log(Path(file)):
        probe = Probe(_read_part(file, size - PROBE_BYTES) or b"", Path(file))
        form = next((each for each in _CONSOLES if not probe.binary and each.matches(probe)), None)
    return form.name if form is not None and not quotes_log(probe, form) else ""


@dataclass(frozen=True)
class LookedAt:
    """A file below a folder. form: the name of its format; empty of none. may_change: while the file stays as it is."""

    path: str
    state: State
    form: str
    may_change: bool = False


class Search:
    """Finds the runs among the files below a folder, of which those that are as they were are not looked at again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = KnownFiles(folder)

    def look(self, file: str, mark: Mark, names: set[str]) -> LookedAt | None:
        """What a file is; None where it can't be read. Changes nothing, so that any thread can call it."""
        state = (*mark, "/".join(name for name in _BESIDE if name in names))
        form = self._known.format_of(file, state)
        if form is not None:
            return LookedAt(file, state, form)
        head = _read_part(file)
        if head is None:
            return None
        form = _log_format(file, head, mark[1])
        # The tables of a database may all be in its write-ahead log, which has a mark of its own.
        return LookedAt(file, state, form, may_change=not form and head.startswith(DATABASE))

    def sources(self, files: Iterable[LookedAt]) -> list[Source]:
        """The runs that these files are, in the order of their paths."""
        paths: dict[str, list[Path]] = {}
        for file in files:
            if not file.may_change:
                self._known.add(file.path, file.state, file.form)
            if file.form:
                paths.setdefault(file.form, []).append(Path(file.path))
        self._known.keep()
        sources = [source for form, each in paths.items() for source in BY_NAME[form].sources(self._folder, each)]
        return sorted(_once(sources), key=lambda source: (str(source.path), source.key))


def _late_console(file: Path) -> list[Source]:
    """The run of a text that is called a log, or has metrics further on; none of other text."""
    form = BY_NAME["console"]
    sources = list(form.sources(file.parent, [file]))
    if _is_called_log(file):
        return sources
    reader = form.open(sources[0])
    for _ in range(_MOST_POLLS):
        reading = reader.poll()
        if reading.items:
            return sources
        if not reading.more:
            break
    return []


def _is_called_log(file: Path) -> bool:
    return file.suffix.lower() in _LOG_ENDINGS


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


def _read_part(file: str, start: int = 0) -> bytes | None:
    """The first bytes of one of many files, or those from byte `start` on; None where none can be read."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return text_of(os.pread(opened, PROBE_BYTES, start), PROBE_BYTES) or None
    except OSError:
        return None
    finally:
        os.close(opened)
