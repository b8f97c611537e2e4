"""Errors that a user can correct, as a message and an exit code."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

import typer

FAILURE, USAGE, NOT_FOUND, ALERTED, INTERRUPTED = 1, 2, 3, 6, 130

CLICK_ERROR = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException")
"""The base of errors in a command line. Some versions of typer contain a copy of click."""

_NUMBERS = {
    "a valid integer, unable to parse string as an integer": "a whole number",
    "a valid number, unable to parse string as a number": "a number",
}
"""Pydantic's descriptions of numbers, in plain words."""


class Failure(NamedTuple):
    """The text for stderr, and the exit code."""

    message: str
    exit_code: int


def explain(error: Exception) -> Failure | None:
    """The message of an error that a user can correct; None for a bug."""
    # A command that succeeds does not need these.
    from tuitrain.config import ConfigError, UnknownPresetError
    from tuitrain.export.errors import ExportError
    from tuitrain.files import os_error_text
    from tuitrain.launch import LaunchError
    from tuitrain.runs import RunNotFoundError
    from tuitrain.runs.editing import EditError
    from tuitrain.settings import SettingsError

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
            # An error of a file has its name.
            return _failure("standard output: no space is left on the disk.", FAILURE)
        case OSError() if text := os_error_text(error):
            return _failure(text, NOT_FOUND if isinstance(error, FileNotFoundError) else FAILURE)
    if type(error).__name__ == "NoArgsIsHelpError":
        return Failure(f"{error}\n", USAGE)
    return _failure(_usage_text(error), USAGE) if isinstance(error, CLICK_ERROR) else None


def _failure(sentences: str, exit_code: int) -> Failure:
    """One sentence on each line, after the name of the program."""
    return Failure("".join(f"tuitrain: {sentence}\n" for sentence in sentences.splitlines()), exit_code)


def _usage_text(error: Any) -> str:
    """The message of an error in a command line: the option or argument, what is wrong, what to do."""
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
        return f"{words}: this command takes fewer arguments; {help_command} shows examples."
    return f"{message.rstrip('.')}{'' if message.endswith('?') else f'; {help_command} shows examples.'}"


def _parameter(error: Any) -> str:
    """The option or argument that the error is about, as a user writes it; empty where there is none."""
    if error.param_hint or error.param is None:
        return str(error.param_hint or "").replace("'", "")
    options = [name for name in error.param.opts if name.startswith("-")]
    return ", ".join(options) or str(error.param.metavar or error.param.name)
