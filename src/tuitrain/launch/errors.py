"""What stops a launch before anything runs."""

from __future__ import annotations


class LaunchError(RuntimeError):
    """A run that cannot be started, stopped or continued; the message says why and what to do.

    exit_code is what a command ends with: 2 when the request cannot be met as it stands, 1 when something failed.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
