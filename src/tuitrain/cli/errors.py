"""What can go wrong for a user, as a sentence and an exit code."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

import typer

FAILURE, USAGE, NOT_FOUND, INTERRUPTED = 1, 2, 3, 130

CLICK_ERROR = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException")
"""What is wrong with a command line; some versions of typer bring a click of their own."""

_NUMBERS = {
    "a valid integer, unable to parse string as an integer": "a whole number",
    "a valid number, unable to parse string as a number": "a number",
}
"""How pydantic says what typer's numbers should be, and how a person would."""


class Failure(NamedTuple):
    """What to print on stderr, and what to exit with."""

    message: str
    exit_code: int


def explain(error: Exception) -> Failure | None:
    """The sentence for an error that a user can do something about; None for one that is a fault of the program."""
    from tuitrain.config import ConfigError, UnknownPresetError
    from tuitrain.export.errors import ExportError
    from tuitrain.files import os_error_text
    from tuitrain.launch import LaunchError
    from tuitrain.runs import RunNotFoundError
    from tuitrain.runs.editing import EditError
    from tuitrain.runs.settings import SettingsError

    match error:
        case ConfigError() | ExportError() | SettingsError():
            return _failure(str(error), USAGE)
        case UnknownPresetError() | RunNotFoundError():
            return _failure(str(error.args[0]), NOT_FOUND)
        case LaunchError():
            return _failure(str(error), error.exit_code)
        case EditError():
            return _failure(str(error), FAILURE)
        case typer.Abort():
            return Failure("", INTERRUPTED)
        case OSError(errno=errno.ENOSPC, filename=None):
            # Files are named where they are written.
            return _failure("standard output: no space is left on the disk.", FAILURE)
        case OSError() if text := os_error_text(error):
            return _failure(text, NOT_FOUND if isinstance(error, FileNotFoundError) else FAILURE)
    if type(error).__name__ == "NoArgsIsHelpError":
        return Failure(f"{error}\n", USAGE)
    return _failure(_usage_text(error), USAGE) if isinstance(error, CLICK_ERROR) else None


def _failure(sentences: str, exit_code: int) -> Failure:
    """One sentence a line, each in the program's name."""
    return Failure("".join(f"tuitrain: {sentence}\n" for sentence in sentences.splitlines()), exit_code)


def _usage_text(error: Any) -> str:
    """What is wrong with the words of a command line: the option or argument first, then what to do."""
    from tuitrain.config.errors import suggest

    context = getattr(error, "ctx", None)
    help_command, message = f"`{context.command_path if context else 'tuitrain'} --help`", str(error.format_message())
    match type(error).__name__:
        case "MissingParameter":
            return f"{_parameter(error)}: it is missing; {help_command} shows examples."
        case "NoSuchOption":
            near = suggest(error.option_name, [str(name) for name in error.possibilities or ()])
            return f"{error.option_name}: there is no such option.{near or f' {help_command} lists them.'}"
        case "BadOptionUsage":
            return f"{error.option_name}: {'it needs a value' if 'requires' in message else message.rstrip('.')}."
        case "BadParameter":
            text = error.message.removeprefix("Value error, ").removeprefix("Input should be ")
            if text != error.message and error.message.startswith("Input should be "):
                text = f"it should be {_NUMBERS.get(text, text)}"
            where = _parameter(error)
            return f"{where}{': ' if where else ''}{text}{'' if text.endswith(('.', '?')) else '.'}"
    if "unexpected extra argument" in message:
        words = message[message.rindex("(") + 1 : -1]
        return f"{words}: this command does not take so many words; {help_command} shows examples."
    return f"{message.rstrip('.')}{'' if message.endswith('?') else f'; {help_command} shows examples.'}"


def _parameter(error: Any) -> str:
    """The option or argument that is wrong, as it is written; empty where it is none alone."""
    if error.param_hint or error.param is None:
        return str(error.param_hint or "").replace("'", "")
    options = [name for name in error.param.opts if name.startswith("-")]
    return ", ".join(options) or str(error.param.metavar or error.param.name)
