"""Which alerts somebody was told of, kept in a file, so that a watcher that is started again repeats none."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from tuitrain.files import read_regular, replace_file, state_directory

AlertKey = tuple[str, int | None, int]
"""Code and step of an alert, and which one it is of those with the same in the log of its run."""
ReportedAlert = tuple[str, AlertKey]
"""The path of the log of a run, and an alert of it."""
_MOST_BYTES = 32 << 20
_MOST_RUNS = 2_000
_SAVE_EVERY_S = 60.0


class _Kept(msgspec.Struct):
    checked: float = 0.0
    runs: dict[str, list[AlertKey]] = {}


class Reported:
    """The alerts of each run that were told. A file that cannot be read or written is no error: `problem` says why."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""
        self._changed = False
        kept = self._read()
        self.checked = kept.checked
        """Unix seconds when a watcher looked last; 0 before the first time."""
        self._runs = {run: set(keys) for run, keys in kept.runs.items()}

    def _read(self) -> _Kept:
        try:
            return msgspec.json.decode(read_regular(self._path, _MOST_BYTES), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.problem = f"What was told before is not known: {self._path}: {reason}."
            return _Kept()

    def knows(self, run: str) -> bool:
        """Whether the run was looked at before."""
        return run in self._runs

    def add(self, run: str, key: AlertKey) -> bool:
        """Add an alert of a run; returns whether it is new."""
        keys = self._runs.setdefault(run, set())
        new = key not in keys
        keys.add(key)
        self._changed = self._changed or new
        return new

    def meet(self, run: str) -> None:
        """Note that the run is looked at."""
        if run not in self._runs:
            self._runs[run], self._changed = set(), True

    def save(self, now: float, waiting: Collection[ReportedAlert] = ()) -> None:
        """Write what was told, if that has changed or a while has passed. waiting: alerts that nobody has got yet."""
        if not self._changed and not waiting and now - self.checked < _SAVE_EVERY_S:
            return
        self._changed, self.checked = bool(waiting), now
        # The newest are the last that were added.
        newest = list(self._runs.items())[-_MOST_RUNS:]
        runs = {run: sorted((key for key in keys if (run, key) not in waiting), key=repr) for run, keys in newest}
        try:
            replace_file(self._path, msgspec.json.encode(_Kept(now, runs)))
        except OSError as error:
            self.problem = f"What was told is not kept: {self._path}: {error.strerror or error}."


def reported_of(watched: Iterable[Path]) -> Reported:
    """What was told by the watcher of these runs and folders. Raises OSError."""
    digest = hashlib.sha256("\n".join(sorted(str(path.resolve()) for path in watched)).encode()).hexdigest()
    return Reported(state_directory() / "checks" / f"{digest[:16]}.json")
