"""Points of an x axis at which runs are compared."""

from __future__ import annotations

import math
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


def parse_point(text: str, histories: Sequence[RunHistory]) -> Point:
    """`tokens=1e9` as axis and value, `tokens` as the farthest point that all runs have reached, `val_loss=2.5` as a
    target. The value may be a count such as 300M. Raises ValueError for anything else, and where no run reaches it.
    """
    key, equals, number = text.partition("=")
    if not equals and key in AXES:
        if (shared := shared_point(histories, as_axis(key))) is None:
            raise ValueError(f"not every log says how far the run is in {key}.")
        return shared
    try:
        point = as_point(key, _number(number))
    except ValueError:
        point = None
    if point is None or not 0 <= point[1] < math.inf:
        raise ValueError(
            f"{text!r} is not valid: write KEY=NUMBER with one of {', '.join(POINT_KEYS)} as KEY, such as tokens=300M, "
            "or an axis alone for the farthest point that all reached."
        )
    if as_target(point) is None:
        _check_reached(*as_axis_point(point), histories)
    return point


def _number(text: str) -> float:
    """A number, which may be a count such as 300M; raises ValueError."""
    # With pydantic, for which the first frame of the dashboard does not wait.
    from tuitrain.config.numbers import parse_count

    try:
        return float(text)
    except ValueError:
        return float(str(parse_count(text)))


def _check_reached(axis: Axis, value: float, histories: Sequence[RunHistory]) -> None:
    """Raise ValueError for a point that no run has reached."""
    ends = [end for history in histories if (end := end_of(history, axis)) is not None]
    if not ends:
        raise ValueError(f"no run has {axis}, so none can be compared there.")
    if max(ends) < value:
        raise ValueError(f"no run has reached {axis} = {value:g}; the farthest is at {max(ends):g}.")


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
            return units.compute(value)


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
