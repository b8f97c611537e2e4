"""The options that screens keep from one session to the next: a small JSON file for each directory of runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.files import expanded, read_regular

MOST_BYTES = 1 << 20
"""A larger file is not one of ours, and reading it would delay the first frame."""


class Session:
    """Names with JSON values. The file is read by the first `get` and written by `save`.

    A file that cannot be read or written is no error: `problem` then says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._values: dict[str, Any] | None = None
        self._changed: dict[str, Any] = {}

    def get(self, name: str, default: Any = None) -> Any:
        """The value of this name, or the default. A value in a file may be of any type: check it."""
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


def state_directory() -> Path:
    """Where sessions are kept: $TUITRAIN_STATE_DIR, else where the XDG rules put it. It need not exist."""
    given = os.environ.get("TUITRAIN_STATE_DIR")
    if given:
        return expanded(given)
    import platformdirs

    return Path(platformdirs.user_state_dir("tuitrain", appauthor=False))
