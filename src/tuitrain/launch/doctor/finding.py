"""One line of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing", "wrong"]


@dataclass(frozen=True)
class Finding:
    """A component and its state.

    warning: it works, slower or with less than it could. missing: it is not there, and only what needs it cannot be
    used. wrong: nothing trains until it is corrected, or nothing on the GPUs that are there. fix: one sentence or
    command; empty where there is nothing to do.
    """

    name: str
    state: State
    detail: str
    fix: str = ""
