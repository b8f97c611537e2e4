"""Points of an x axis at which runs are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np

from tuitrain.analysis import units
from tuitrain.analysis.series import AXES, Axis, x_values
from tuitrain.analysis.summary import SLACK
from tuitrain.runs import RunHistory

Target = Literal["loss", "val_loss", "bits_per_byte"]
"""A loss that runs come down to: of the training records, smoothed, or of the evaluations, by token or by byte."""
AxisPoint = tuple[Axis, float]
Point = tuple[Axis | Target, float]
POINT_KEYS: tuple[str, ...] = (*AXES, *get_args(Target))


def as_point(key: str, value: float) -> Point:
    """A point of an axis or a target; raises ValueError for another key."""
    if key in get_args(Target):
        return cast(Target, key), value
    if key in AXES:
        return as_axis(key), value
    raise ValueError(f"{key!r} is neither an axis nor a loss; known: {', '.join(POINT_KEYS)}.")


def as_target(at: Point) -> tuple[Target, float] | None:
    """The target and its loss; None for a point of an axis."""
    return (cast(Target, at[0]), at[1]) if at[0] in get_args(Target) else None


def as_axis_point(at: Point) -> AxisPoint:
    """A point of an axis; raises ValueError for a target."""
    return as_axis(at[0]), at[1]


def as_axis(name: str) -> Axis:
    """The axis with this name; raises ValueError for another name."""
    if name not in AXES:
        raise ValueError(f"{name!r} is not an x axis; known: {', '.join(AXES)}.")
    return name


def position(key: Axis | Target, value: float) -> str:
    """A point in words: `1.00 B tokens`, `step 12,000`, `2 h 05 m of training`, `a validation loss of 2.5`."""
    match key:
        case "loss":
            return f"a smoothed training loss of {value:g}"
        case "val_loss":
            return f"a validation loss of {value:g}"
        case "bits_per_byte":
            return f"{value:g} bits per byte"
        case "step":
            return f"step {value:,.0f}"
        case "tokens":
            return f"{units.count(value)} tokens"
        case "time":
            return f"{units.duration(value)} of training"
        case "flops":
            return f"{value:.3g} FLOP"


def shared_point(histories: Sequence[RunHistory], axis: Axis) -> tuple[Axis, float] | None:
    """The farthest point of an axis that every run with steps has reached; None where there is none."""
    ends = [end_of(history, axis) for history in histories if len(history.steps)]
    reached = [end for end in ends if end is not None]
    return (axis, min(reached)) if reached and len(reached) == len(ends) else None


def equally_far(histories: Sequence[RunHistory], point: tuple[Axis, float]) -> bool:
    """Whether all runs end at this point, so that nothing is gained by comparing there."""
    ends = [end_of(history, point[0]) for history in histories if len(history.steps)]
    return all(end is not None and end - point[1] <= SLACK * abs(point[1]) for end in ends)


def end_of(history: RunHistory, axis: Axis) -> float | None:
    """Where a run ends on an axis; None without a finite position."""
    x = x_values(history, axis)
    finite = x[np.isfinite(x)]
    return float(finite[-1]) if len(finite) else None
