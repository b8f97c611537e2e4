"""What can go wrong for a user, as a sentence and an exit code."""

from __future__ import annotations

from typing import NamedTuple

FAILURE, USAGE, NOT_FOUND = 1, 2, 3


class Told(NamedTuple):
    """What to print and what to exit with."""

    message: str
    exit_code: int


def explain(error: Exception) -> Told | None:
    """The sentence for an error that a user can do something about; None for one that is a fault of the program."""
    from tuitrain.config import ConfigError, UnknownPresetError
    from tuitrain.export.errors import ExportError
    from tuitrain.launch import LaunchError
    from tuitrain.runs import RunNotFoundError
    from tuitrain.runs.settings import SettingsError

    match error:
        case ConfigError() | ExportError() | SettingsError():
            return Told(str(error), USAGE)
        case UnknownPresetError() | RunNotFoundError():
            return Told(str(error.args[0]), NOT_FOUND)
        case LaunchError():
            return Told(str(error), error.exit_code)
        case FileNotFoundError():
            return Told(f"{error.filename}: no such file or directory.", NOT_FOUND)
        case PermissionError():
            return Told(f"{error.filename}: permission denied.", USAGE)
        case OSError() if error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            return Told(f"{where}{error.strerror}.", FAILURE)
    return None
