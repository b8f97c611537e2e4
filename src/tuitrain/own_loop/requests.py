"""Requests to a loop of one's own: files in `control/`, and SIGTERM where a launcher started the program."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tuitrain.events.requests import REQUESTED, delete_request, reason_of
from tuitrain.files import FollowedDirectory


class Requests:
    """Those requests that the loop has asked for once; another stays where it is, for its sender to see."""

    def __init__(self, run_dir: Path | None) -> None:
        """run_dir: None where there are only signals. Raises OSError when it is not there."""
        self._directory = FollowedDirectory(run_dir) if run_dir is not None else None
        self._asked: set[str] = set()
        self._pending: dict[str, str] = {}

    def listens_to(self, name: str) -> bool:
        """Whether the loop has ever asked for this request."""
        return name in self._asked

    def origin(self, name: str) -> str | None:
        """Where a pending request came from; None where there is none."""
        if name not in self._asked:
            self._asked.add(name)
            self.poll()
        return self._pending.get(name)

    def take(self, name: str) -> str | None:
        """As `origin`; the request is not pending any more."""
        origin = self.origin(name)
        self._pending.pop(name, None)
        return origin

    def add(self, name: str, origin: str) -> None:
        """A request that came another way than by a file."""
        self._pending.setdefault(name, origin)

    def poll(self) -> None:
        """Look for files of the requests that the loop has asked for, and delete them."""
        if self._directory is None:
            return
        for name in tuple(self._asked):
            with suppress(OSError):  # the run directory was removed
                reason = reason_of(self._directory.path, name)
                if delete_request(self._directory.path, name):
                    self.add(name, reason or REQUESTED)
