"""The horizontal axes of charts, and the interval of an axis that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

XAxis = Literal["step", "tokens", "time", "clock", "flops"]
X_AXES: tuple[XAxis, ...] = ("step", "tokens", "time", "clock", "flops")
PlotAxis = Literal["step", "tokens", "time", "clock", "flops", "loss"]
"""Of a plot: one of these, or the loss, over which a figure shows another metric."""
X_TITLES: dict[PlotAxis, str] = {
    "step": "step",
    "tokens": "tokens",
    "time": "training time",
    "clock": "clock",
    "flops": "compute, FLOP",
    "loss": "loss, nats per token",
}


@dataclass(frozen=True)
class Range:
    """An interval of an axis, low < high. That of a logarithmic axis holds log10 of the values."""

    low: float
    high: float

    @property
    def span(self) -> float:
        """The distance from low to high."""
        return self.high - self.low

    def values(self, log: bool) -> Range:
        """The interval in the unit of the data: powers of ten of a logarithmic axis."""
        return Range(10**self.low, 10**self.high) if log else self
