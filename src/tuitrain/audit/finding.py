"""What a check of an audit finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["impossible", "suspicious"]


@dataclass(frozen=True)
class Finding:
    """Numbers of a log that do not go together.

    impossible: they cannot all be true; suspicious: something is unusual, or a convention is not ours. message: which
    numbers, and by how much; likelier: which of them is right, or what explains the difference; empty where nothing
    tells. values: the numbers by what they are. steps: the first and the last step concerned; None: the whole run.
    """

    severity: Severity
    message: str
    likelier: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[int, int] | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The message, and which is likelier where something tells."""
        return (self.message, self.likelier) if self.likelier else (self.message,)


class NotCheckedError(Exception):
    """A log lacks what a check compares; the text names it."""
