"""What is remembered of the screens between one visit and the next: a small JSON file for each directory of runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.files import read_regular
from tuitrain.tui.registry import PAGES, ScreenName
from tuitrain.tui.settings import Settings, state_directory, valid
from tuitrain.tui.view_state import ViewState

MOST_BYTES = 1 << 20
"""A larger file is not one of ours, and reading it would hold up the first frame."""


class Session:
    """Names with JSON values. Nothing is read before the first question, nothing written before `save`.

    A file that cannot be read or written costs the memory of the last visit and no more; `problem` says why, once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._values: dict[str, Any] | None = None
        self._changed: dict[str, Any] = {}

    def get(self, name: str, default: Any = None) -> Any:
        """The value kept under this name, or the default. What stands in a file may be of any type: check it."""
        if self._values is None:
            self._values = self._read()
        return self._values.get(name, default)

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        missing = object()
        if self.get(name, missing) != value:
            assert self._values is not None
            self._values[name] = self._changed[name] = value

    def save(self) -> None:
        """Write what has changed since the last time, at once or not at all."""
        if not self._changed:
            return
        # Another dashboard of the same project may have written its own changes.
        values = {**self._read(), **self._changed}
        self._changed = {}
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(values))
            beside.replace(self.path)
        except OSError as error:
            self.problem = f"The session is not kept: {self.path}: {error.strerror or error}."

    def _read(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode(read_regular(self.path, MOST_BYTES), type=dict[str, Any])
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.problem = f"The last session is not restored: {self.path}: {error.strerror or error}."
        except (ValueError, RecursionError) as error:
            self.problem = f"The last session is not restored: {self.path}: {error}."
        return {}


def session_of(runs_dir: Path) -> Session:
    """The session of the project whose runs lie in a directory."""
    resolved = str(runs_dir.resolve())
    return Session(state_directory() / "sessions" / f"{hashlib.sha256(resolved.encode()).hexdigest()[:16]}.json")


_SETTINGS = ("theme", "x", "smoothing", "layout")
_BOARD = ("log", "log_x", "clip", "recent")
_PLACES = ("watch", *PAGES)


def last_settings(session: Session, settings: Settings, given: Collection[str]) -> Settings:
    """The settings, but as they were last for those that no flag, variable or file gives."""
    found = {}
    for name in _SETTINGS:
        value = session.get(name)
        if name not in given and value is not None and valid(name, value):
            found[name] = value
    return msgspec.structs.replace(settings, **found)


def restore(session: Session, state: ViewState) -> None:
    """Look at the charts as the last time."""
    for name in _BOARD:
        value = session.get(name)
        if isinstance(value, bool):
            setattr(state, name, value)


def last_screen(session: Session) -> ScreenName:
    """The screen of the run that was shown last."""
    return next((place for place in _PLACES if place == session.get("screen")), "watch")


def remember(session: Session, state: ViewState, theme: str, screen: ScreenName, given: Mapping[str, Any]) -> None:
    """Keep how things are looked at now, but not what was given for this visit and has not been changed since."""
    for name, value in (("theme", theme), ("x", state.x), ("smoothing", state.smoothing)):
        if name not in given or given[name] != value:
            session.set(name, value)
    for name in _BOARD:
        session.set(name, getattr(state, name))
    session.set("screen", screen)
