"""The options that screens keep from one session to the next: a small JSON file for each directory of runs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.files import read_regular, replace_file, state_directory
from tuitrain.tui.registry import ScreenName
from tuitrain.tui.settings import FIELDS, Settings
from tuitrain.tui.view_state import Option, ViewState

MOST_BYTES = 1 << 20
"""A larger file is not one of ours, and reading it would delay the first frame."""

_SETTINGS = ("theme", "x", "smoothing", "layout")
_OPTIONS: tuple[Option, ...] = ("log", "log_x", "clip", "recent")


class Session:
    """Names with JSON values. The file is read by the first `get` and written by `save`.

    A file that cannot be read or written is no error: `problem` then says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._changed: dict[str, Any] = {}

    @cached_property
    def _values(self) -> dict[str, Any]:
        return self._read()

    def get(self, name: str, default: Any = None, kind: Any = Any) -> Any:
        """The value of this name if it has this type, as msgspec checks it; else the default."""
        try:
            return msgspec.convert(self._values.get(name, default), kind)
        except msgspec.ValidationError:
            return default

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        if name not in self._values or self._values[name] != value:
            self._values[name] = self._changed[name] = value

    def save(self) -> None:
        """Write what has changed since the last time, at once or not at all."""
        if not self._changed:
            return
        # Another dashboard of the same project may have written its own changes.
        values = {**self._read(), **self._changed}
        self._changed = {}
        try:
            replace_file(self.path, msgspec.json.encode(values))
        except OSError as error:
            self.problem = f"The session is not kept: {self.path}: {error.strerror or error}."

    def _read(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode(read_regular(self.path, MOST_BYTES), type=dict[str, Any])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            self.problem = (
                f"The last session is not restored: {self.path}: {getattr(error, 'strerror', None) or error}."
            )
            return {}


def session_of(runs_dir: Path) -> Session:
    """The session of the project whose runs are in a directory: in the state directory."""
    digest = hashlib.sha256(str(runs_dir.resolve()).encode()).hexdigest()
    return Session(state_directory() / "sessions" / f"{digest[:16]}.json")


def last_settings(session: Session, settings: Settings, given: Collection[str]) -> Settings:
    """The settings; those that no flag, variable or file gives are as they were last."""
    kept = {name: session.get(name, getattr(settings, name), FIELDS[name].type) for name in _SETTINGS}
    return msgspec.structs.replace(settings, **{name: kept[name] for name in kept.keys() - given})


def restore(session: Session, state: ViewState) -> None:
    """Set the options of the charts as they were last."""
    for name in _OPTIONS:
        setattr(state, name, session.get(name, getattr(state, name), bool))


def remember(session: Session, state: ViewState, theme: str, screen: ScreenName, given: Mapping[str, Any]) -> None:
    """Keep the options as they are now, except those that were given at the start and not changed since."""
    values: dict[str, Any] = {name: getattr(state, name) for name in ("x", "smoothing", *_OPTIONS)}
    for name, value in {**values, "theme": theme, "screen": screen}.items():
        if name not in given or given[name] != value:
            session.set(name, value)
