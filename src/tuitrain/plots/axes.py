"""The horizontal axes of charts, and the interval of an axis that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

XAxis = Literal["step", "tokens", "time", "clock", "flops"]
X_AXES: tuple[XAxis, ...] = ("step", "tokens", "time", "clock", "flops")
PlotAxis = str
"""Of a plot: one of these, the loss, over which a figure shows another metric, or the metric that the log names."""
_TITLES: dict[str, str] = {
    "step": "step",
    "tokens": "tokens",
    "time": "training time",
    "clock": "clock",
    "flops": "compute, FLOP",
    "loss": "loss, nats per token",
}


def x_title(axis: PlotAxis) -> str:
    """What the axis is called below a chart."""
    return _TITLES.get(axis, axis)


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
