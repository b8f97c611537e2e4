"""How far a run is: the numbers that, with the tensors, are all that a resume needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tuitrain_engine.telemetry import Totals


@dataclass
class Progress:
    """Steps done, tokens and sequences read by all processes; sequences is the data position."""

    step: int = 0
    tokens: int = 0
    sequences: int = 0
    totals: Totals = field(default_factory=Totals)

    def to_state(self, wall_time_s: float) -> dict[str, Any]:
        """As JSON, for a checkpoint; wall_time_s is the run's so far, earlier attempts included."""
        return asdict(replace(self, totals=replace(self.totals, wall_time_s=wall_time_s)))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        """What `to_state` gave."""
        return cls(**{**state, "totals": Totals(**state["totals"])})
