"""Walking through folders of which some may lie on a file system that does not answer, as a network mount can."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

ANSWER_S = 10.0
"""How long an answer about a folder is waited for before the folder is left out."""
_CHECKS = 2
"""In that time: a computer that was busy with something else has a second chance."""
_SKIPPED = frozenset({
    ".git", "__pycache__", "node_modules", ".venv", "venv", "site-packages", ".cache", ".hypothesis", ".pytest_cache",
    ".mypy_cache", ".ruff_cache", ".tox", ".nox", ".ipynb_checkpoints", ".queue",
})  # fmt: skip

Mark = tuple[int, int, int]
"""Inode, size and time of the last write in nanoseconds: what changes when a file does."""
T = TypeVar("T")
Skip = Callable[[Path, set[str]], bool]
"""Whether a folder is not searched: its path, and the names of what lies in it."""
Look = Callable[[str, Mark, set[str]], T | None]
"""Looks at a file: its path, its mark, and the names of what lies in its folder. None: it is of no interest."""

_stuck: dict[str, threading.Thread] = {}
"""The threads that still wait for an answer, by folder: another one would wait as well."""


def walk(
    folder: Path,
    skip: Skip,
    look: Look[T],
    unanswered: Callable[[Path], None] = lambda folder: None,
) -> list[T]:
    """The results of `look` for each regular file below a folder, in the order of their paths.

    Links are not followed; those to folders that are directly in the folder are shown to `skip`, which may know what
    they lead to. unanswered: takes each folder that is left out, with all below it, as no answer
    about it came in time; the thread that asked cannot be ended, but ends with the process. Both other functions are
    called in such a thread.
    """
    search = _Search(str(folder), skip, look, [str(folder)])
    results = []
    while search.waiting:
        worker = _Worker(search)
        worker.start()
        worker.wait()
        if worker.error is not None:
            raise worker.error
        results += worker.results
        for each in worker.unanswered:
            unanswered(Path(each))
    return results


@dataclass
class _Search(Generic[T]):
    """What one worker after the other goes on with. linked: links in the folder at the top."""

    top: str
    skip: Skip
    look: Look[T]
    waiting: list[str]
    linked: set[str] = field(default_factory=set)


class _Worker(threading.Thread, Generic[T]):
    """Looks at one folder after the other, until none waits or it is left behind with one that does not answer."""

    def __init__(self, search: _Search[T]) -> None:
        super().__init__(daemon=True, name="walk")
        self._search = search
        self._answers = 0
        self._folder: str | None = None
        """The folder that it reads now."""
        self._lock = threading.Lock()
        """Held while the results change, and while it is left behind."""
        self._left_behind = False
        self.results: list[T] = []
        self.unanswered: list[str] = []
        self.error: BaseException | None = None

    def wait(self) -> None:
        """Return when it has ended, or was left behind."""
        silent, before = 0, -1
        while self.is_alive():
            self.join(ANSWER_S / _CHECKS)
            silent, before = silent + 1 if self._answers == before else 0, self._answers
            with self._lock:
                if silent >= _CHECKS and self._folder is not None:
                    self._left_behind = True
                    self.unanswered.append(self._folder)
                    _stuck[self._folder] = self
                    return

    def run(self) -> None:
        """Look at the folders that wait."""
        try:
            while self._next():
                below, results = self._visit(str(self._folder))
                with self._lock:
                    if self._left_behind:
                        break
                    self._folder = None
                    self._search.waiting += below
                    self.results += results
        except BaseException as error:
            self.error = error
        if self._left_behind:
            _stuck.pop(str(self._folder), None)

    def _next(self) -> bool:
        with self._lock:
            while self._search.waiting:
                folder = self._search.waiting.pop()
                if folder not in _stuck:
                    self._folder = folder
                    return True
                self.unanswered.append(folder)
        return False

    def _visit(self, folder: str) -> tuple[list[str], list[T]]:
        """The folders in a folder, the last first, and the results for its files."""
        search, folders, results, entries = self._search, [], [], []
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    self._answers += 1
                    entries.append(entry)
        except OSError:
            return [], []
        entries.sort(key=lambda entry: entry.name)
        names = {entry.name for entry in entries}
        if folder != search.top and (search.skip(Path(folder), names) or folder in search.linked):
            return [], []
        for entry in entries:
            self._answers += 1
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED:
                        folders.append(entry.path)
                elif folder == search.top and entry.is_symlink():
                    folders.append(entry.path)
                    search.linked.add(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    mark = status.st_ino, status.st_size, status.st_mtime_ns
                    result = search.look(entry.path, mark, names)
                    if result is not None:
                        results.append(result)
            except OSError:
                continue
        return folders[::-1], results
