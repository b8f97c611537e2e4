"""The settings files: a project's `tuitrain.toml` and the user's `config.toml`. Flags and variables go before both."""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuitrain.files import expanded, parse_toml, read_regular

MOST_BYTES = 1 << 20
"""Of a settings file."""
PROJECT_FILE, USER_FILE = "tuitrain.toml", "config.toml"
KEYS = ("runs_dir", "hosts", "queue_slots", "usd_per_gpu_hour", "map", "alerts", "slurm", "tui")
"""What a settings file may hold: where runs are, here and elsewhere, how many of the queue train at once on the CPUs,
what a GPU-hour costs, names of other tools' metrics, alerts, jobs of Slurm, screens."""

DEFAULT_RUNS_DIR = Path("runs")
MOST_LISTED = 12


class SettingsError(ValueError):
    """Settings that cannot be used; the message names the file, variable or flag, the key, and what to do."""


@dataclass(frozen=True)
class SettingsFile:
    """One file and what stands in it."""

    path: Path
    values: dict[str, Any]
    of_project: bool


def settings_files() -> list[SettingsFile]:
    """The settings files that exist, the one that counts more first.

    Raises SettingsError when one cannot be read or has a key that no settings file has.
    """
    paths = [(path, True) for path in [find_project_file()] if path is not None]
    user = user_file()
    if user.is_file():
        paths.append((user, False))
    return [SettingsFile(path, _read(path), of_project) for path, of_project in paths]


def find_project_file() -> Path | None:
    """`tuitrain.toml` in the working directory or above it, up to the root of the git repository.

    Outside of a repository only the working directory counts: anybody could write further up.
    """
    here = Path.cwd()
    above = (here, *here.parents)
    root = next((level for level, directory in enumerate(above) if (directory / ".git").exists()), 0)
    candidates = (directory / PROJECT_FILE for directory in above[: root + 1])
    return next((path for path in candidates if path.is_file()), None)


def user_file() -> Path:
    """The user's settings file: in $TUITRAIN_CONFIG_DIR, else where the XDG rules put it. It need not exist."""
    given = os.environ.get("TUITRAIN_CONFIG_DIR")
    if given:
        return expanded(given) / USER_FILE
    # Not needed with the variable.
    import platformdirs

    return Path(platformdirs.user_config_dir("tuitrain", appauthor=False)) / USER_FILE


def runs_directory(flag: Path | None = None) -> Path:
    """Where runs lie: the flag, `TUITRAIN_RUNS_DIR`, `runs_dir` of the settings files, or ./runs."""
    variable = os.environ.get("TUITRAIN_RUNS_DIR")
    return flag or (Path(variable) if variable else runs_dir_setting() or DEFAULT_RUNS_DIR)


def runs_dir_setting() -> Path | None:
    """`runs_dir` of the settings files; a relative one of a project is relative to its file."""
    for file in settings_files():
        value = file.values.get("runs_dir")
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise SettingsError(f"{file.path}: runs_dir = {value!r} is not valid: it should be a path in quotes.")
        path = expanded(value)
        return file.path.parent / path if file.of_project else path
    return None


def queue_slots() -> int:
    """How many processes of queued runs train at once on the CPUs: `queue_slots` of the settings files, else 1."""
    for file in settings_files():
        value = file.values.get("queue_slots")
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingsError(f"{file.path}: queue_slots = {value!r} is not valid: it should be a number from 1 on.")
        return value
    return 1


def price_setting() -> float | None:
    """`usd_per_gpu_hour` of the settings files: what a GPU-hour costs."""
    for file in settings_files():
        price = file.values.get("usd_per_gpu_hour")
        if price is None:
            continue
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
            raise SettingsError(f"{file.path}: usd_per_gpu_hour = {price!r} is not valid: it should be a price in USD.")
        return float(price)
    return None


def table_entries(table: str, known: Collection[str]) -> Iterator[tuple[SettingsFile, str, Any]]:
    """Each key with its value in a table of the settings files, those of the file that counts most last.

    known: the keys that it may have. Raises SettingsError.
    """
    for file in reversed(settings_files()):
        entries = file.values.get(table, {})
        if not isinstance(entries, dict):
            raise SettingsError(f"{file.path}: {table} should be a table: write [{table}] above its keys.")
        for key, value in entries.items():
            if key not in known:
                raise unknown_key(str(file.path), key, known, f"{table}.")
            yield file, key, value


def unknown_key(where: str, key: str, names: Iterable[str], prefix: str = "") -> SettingsError:
    """The error for a key that does not exist, with the nearest existing one."""
    names = list(names)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    listed = f"Known: {', '.join(prefix + name for name in names)}." if len(names) <= MOST_LISTED else ""
    hint = f"Did you mean {prefix + near[0]!r}?" if near else listed or "`tuitrain schema settings` lists them."
    return SettingsError(f"{where}: {prefix}{key} is not a setting. {hint}")


def converted(where: str, value: Any, kind: Any, expected: str, *, text: bool = False) -> Any:
    """The value as this type, as msgspec reads it; text: it comes from a variable, so it is read leniently.

    expected: what it should be, in words. Raises SettingsError.
    """
    # Few commands read more than `runs_dir`.
    import msgspec

    try:
        return msgspec.convert(value, kind, strict=not text)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{given_value(where, value)} is not valid: it should be {expected}.") from error


def given_value(where: str, value: Any) -> str:
    """A flag, variable or key with its value as TOML writes it, as far as a sentence needs it."""
    shown = "{…}" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False, default=str)
    return f"{where}{': ' if where.startswith('--') else ' = '}{shown}"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises SettingsError for one that is none, and OSError for one that cannot be read."""
    try:
        return parse_toml(read_regular(path, MOST_BYTES).decode())
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: it is not UTF-8 text.") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = read_toml(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}.") from error
    for key in values:
        if key not in KEYS:
            raise unknown_key(str(path), key, KEYS)
    return values
