"""A small curve of the loss for a list of runs: a few parts of a log instead of all of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np

from tuitrain.events import AnyRecord, Step
from tuitrain.readers.blocks import Steps
from tuitrain.runs.follow import LineParser

PARTS = 24
"""Parts of a long log that are read, evenly spread over its bytes."""
PART_BYTES = 4 << 10
MAX_POINTS = 2 * PARTS

Points = tuple[tuple[int, float], ...]
"""(step, loss) in the order of steps. A loss is nan where none of its part was finite."""


def points_of(records: Iterable[AnyRecord | Steps], count: int = MAX_POINTS) -> Points:
    """At most `count` points of consecutive records of a log, each the mean of as many steps."""
    steps = _losses(records)
    size = max(1, math.ceil(len(steps) / count))
    return joined((), [_point(steps[start : start + size]) for start in range(0, len(steps), size)])


def sampled(file: int, size: int) -> Points:
    """The points of an open log of this size, from PARTS reads of PART_BYTES each."""
    points = []
    for part in range(PARTS):
        start = max((size - PART_BYTES) * part // (PARTS - 1), 0)
        data = os.pread(file, PART_BYTES, start)
        # The first line is torn unless it begins the file.
        records, _ = LineParser().feed(data[data.find(b"\n") + 1 if start else 0 :])
        points.append(_point(_losses(records)))
    return joined((), points)


def joined(points: Points, more: Iterable[tuple[int, float] | None]) -> Points:
    """Points with further ones after them, thinned to at most MAX_POINTS.

    A later point at the same or an earlier step is of an attempt that repeated the work: it replaces those from there
    on.
    """
    kept = list(points)
    for point in more:
        if point is not None:
            while kept and kept[-1][0] >= point[0]:
                kept.pop()
            kept.append(point)
    while len(kept) > MAX_POINTS:
        kept = [*kept[:-1:2], kept[-1]]
    return tuple(kept)


def resampled(points: Points, count: int) -> list[float | None]:
    """The curve at `count` positions, evenly spread over the steps; None past a single point, empty without any.

    A position has the mean of the points nearest to it; without one it lies on the line between its neighbours.
    """
    if not points or count < 1:
        return []
    first, span = points[0][0], max(points[-1][0] - points[0][0], 1)
    losses: dict[int, list[float]] = {}
    for step, loss in points:
        losses.setdefault(round((step - first) / span * (count - 1)), []).append(loss)
    last = max(losses)
    values = np.interp(range(last + 1), list(losses), [_mean(each) for each in losses.values()])
    return [*values.tolist(), *[None] * (count - 1 - last)]


def _losses(records: Iterable[AnyRecord | Steps]) -> list[tuple[int, float | None]]:
    """The steps among these records with their losses."""
    losses: list[tuple[int, float | None]] = []
    for record in records:
        if isinstance(record, Step):
            losses.append((record.step, record.loss))
        elif isinstance(record, Steps):
            values = record.values["loss"].tolist() if "loss" in record.values else repeat(None)
            losses += zip(map(int, record.steps.tolist()), values, strict=False)
    return losses


def _point(steps: Sequence[tuple[int, float | None]]) -> tuple[int, float] | None:
    """The newest of these steps with the mean of their losses; None where no step has one."""
    losses = [loss for _, loss in steps if loss is not None]
    return (steps[-1][0], _mean(losses)) if losses else None


def _mean(losses: Sequence[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan
