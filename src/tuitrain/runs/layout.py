"""The directory of a run, also of one that another tool logged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuitrain.events.layout import RunFiles, create_run_files
from tuitrain.readers.model import Source


@dataclass(frozen=True)
class RunDirectory(RunFiles):
    """Paths of one run. A bare log outside a run directory is one too: only its `metrics` exists.

    source: the log of another tool, which is only read; then `path` is a directory of ours with what we keep of it.
    """

    log: Path | None = None
    source: Source | None = None

    @property
    def metrics(self) -> Path:
        """The log."""
        return self.log or super().metrics

    @property
    def console(self) -> Path:
        """stdout and stderr of the engine, or the console log that the run is read from."""
        if self.source is not None and self.source.format.endswith("console"):
            return self.source.path
        return super().console


def create_run_directory(runs_dir: Path, name: str) -> RunDirectory:
    """Make the directory of a new run, as `create_run_files`. Raises OSError, and then leaves none."""
    return RunDirectory(create_run_files(runs_dir, name).path)
