"""The directory of a run, also of one that another tool logged."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuitrain.events.layout import RunFiles, RunMetadata, create_run_files
from tuitrain.events.requests import REQUESTS
from tuitrain.readers.model import Source

if TYPE_CHECKING:
    from tuitrain.remote.sync import Processes


_CLOCK_S = 3.0
"""By so much two ways to tell when a process was started differ at most."""


class RemoteMetadata(RunMetadata, kw_only=True):
    """The metadata of a run on another machine, and whether its processes are there; None: it cannot be known."""

    alive: bool | None = None
    supervisor_alive: bool | None = None


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
        return info if info is None or not self.remote else self._remote_metadata(info)

    def _remote_metadata(self, info: RunMetadata) -> RemoteMetadata:
        from tuitrain.remote.sync import sync_of

        remote = RemoteMetadata(**{name: getattr(info, name) for name in info.__struct_fields__})
        sync, processes = sync_of(self.path), self.processes(info)
        states = sync.state_of(processes) if sync is not None and processes is not None else None
        if states is not None and states.host == info.host:
            remote.alive = states.locked or _is_same(states.lives, states.started, info.pid_started)
            lives, started = states.supervisor_lives, states.supervisor_started
            remote.supervisor_alive = _is_same(lives, started, info.supervisor_started)
        return remote

    def processes(self, info: RunMetadata) -> Processes | None:
        """The processes of a run on another machine; None where it has none."""
        from tuitrain.remote.agent import is_job_id
        from tuitrain.remote.sync import Processes, sync_of

        sync = sync_of(self.path)
        job = info.job_id if info.job_id is not None and is_job_id(info.job_id) else ""
        if sync is None or (info.pid is None and not job):
            return None
        lock, described = (str(path.relative_to(sync.folder)) for path in (self.lock, self.info))
        return Processes(info.pid or 0, info.supervisor or 0, lock, job, described if job else "")

    def job_there(self, info: RunMetadata) -> tuple[float, str] | None:
        """Of a run on another machine when Slurm was asked there, in Unix seconds, and its line of `squeue`."""
        from tuitrain.remote.sync import sync_of

        sync, processes = sync_of(self.path), self.processes(info)
        return sync.job_of(processes) if sync is not None and processes is not None else None

    def request(self, name: str, reason: str = "") -> None:
        if not self.remote:
            return super().request(name, reason)
        # `ssh` is needed for remote runs only.
        from tuitrain.remote.sync import sync_of

        if name not in REQUESTS:
            raise ValueError(f"{name!r} is not a request; known: {', '.join(REQUESTS)}.")
        sync = sync_of(self.path)
        if sync is None or not sync.request(str((self.control / name).relative_to(sync.folder)), reason):
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


def _is_same(lives: bool | None, started: int, expected: float | None) -> bool | None:
    """Whether a process lives and is the one that was started then, and no other with its number."""
    if not lives or not started or expected is None:
        return lives
    return abs(started - expected) <= _CLOCK_S


def create_run_directory(runs_dir: Path, name: str) -> RunDirectory:
    """Make the directory of a new run, as `create_run_files`. Raises OSError, and then leaves none."""
    return RunDirectory(create_run_files(runs_dir, name).path)
