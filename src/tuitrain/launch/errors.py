"""The error of a run that cannot be started, stopped or resumed."""

from __future__ import annotations


class LaunchError(RuntimeError):
    """A run that cannot be started, stopped or resumed; the message says why and what to do.

    exit_code: of the command, 2 when the request cannot be met, 1 when something failed, 3 when something is missing.
    key: the dotted key, or the option of `launch`, that the message is about; None where it is about none.
    """

    def __init__(self, message: str, exit_code: int = 2, key: str | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.key = key
