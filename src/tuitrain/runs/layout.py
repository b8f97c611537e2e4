"""The directory of a run, also of one that another tool logged."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from tuitrain.events.layout import RunFiles, RunMetadata, create_run_files
from tuitrain.events.requests import REQUESTS
from tuitrain.readers.model import Source


@dataclass(frozen=True)
class RunDirectory(RunFiles):
    """Paths of one run. A bare log outside a run directory is one too: only its `metrics` exists.

    source: the log of another tool, which is only read; then `path` is a directory of ours with what we keep of it.
    remote: HOST:PATH of a run on another machine, of which all paths are those of its mirror here.
    """

    log: Path | None = None
    source: Source | None = None
    remote: str = ""

    def read_metadata(self) -> RunMetadata | None:
        info = super().read_metadata()
        if info is not None and self.remote:
            # Its process is none of this machine, even where both have the same name.
            info.host = self.remote.partition(":")[0] + ":"
        return info

    def request(self, name: str, reason: str = "") -> None:
        """The same; on another machine without the reason."""
        if not self.remote:
            return super().request(name, reason)
        # `ssh` is needed for remote runs only.
        from tuitrain.remote.sync import sync_of

        if name not in REQUESTS:
            raise ValueError(f"{name!r} is not a request; known: {', '.join(REQUESTS)}.")
        sync = sync_of(self.path)
        if sync is None or not sync.request(str((self.control / name).relative_to(sync.folder))):
            raise OSError(errno.EACCES, "the request cannot be written", f"{self.remote}/{self.control.name}")
        return None

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
