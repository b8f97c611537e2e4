"""run.json of all runs of a directory, read again where it has changed."""

from __future__ import annotations

from pathlib import Path

from tuitrain.runs import RunDirectory, RunMetadata


class MetadataCache:
    """The runs of a directory and their metadata."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[Path, tuple[tuple[int, int, int], RunMetadata | None]] = {}

    def read(self) -> list[tuple[RunDirectory, RunMetadata]]:
        """Those of now; a run whose metadata cannot be read is left out."""
        known = {}
        for path in self.directory.glob("*/run.json"):
            try:
                status = path.stat()
            except OSError:
                continue
            mark, before = (status.st_ino, status.st_size, status.st_mtime_ns), self._known.get(path)
            same = before is not None and before[0] == mark
            known[path] = before if same and before else (mark, RunDirectory(path.parent).read_metadata())
        self._known = known
        return [(RunDirectory(path.parent), info) for path, (_, info) in known.items() if info is not None]
