"""A choice the engine made for the user, with its reason: the startup report prints them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """What was decided (`dtype`), how (`float32`) and why (`CPU: …`)."""

    subject: str
    value: str
    reason: str
