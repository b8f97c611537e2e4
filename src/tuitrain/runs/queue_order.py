"""The order of the runs that wait in the queue of a machine, from the names of their files in `.queue`."""

from __future__ import annotations

from pathlib import Path

DIRECTORY = ".queue"
"""Below the directory of the runs: `NUMBER-RUN_ID.json` for each that waits, which `launch.queue` writes."""


def entry_files(runs_dir: Path) -> list[Path]:
    """The files of the entries, the next one first."""
    return sorted((runs_dir / DIRECTORY).glob("*.json"))


class QueueOrder:
    """The positions of queued runs; a directory is listed again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, dict[str, int]]] = {}

    def position(self, runs_dir: Path, run_id: str) -> int | None:
        """The position of a run in the queue, the first being 1; None where it is not in it."""
        try:
            mark = (runs_dir / DIRECTORY).stat().st_mtime_ns
        except OSError:
            return None
        before = self._known.get(runs_dir)
        if before is None or before[0] != mark:
            names = (path.stem.partition("-")[2] for path in entry_files(runs_dir))
            before = self._known[runs_dir] = (mark, {name: at for at, name in enumerate(names, 1)})
        return before[1].get(run_id)
