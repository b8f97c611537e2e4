"""A curve of the loss at a snapshot: a few places of a log instead of all of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

from tuitrain.events import Step
from tuitrain.runs.follow import LineParser

PLACES = 24
"""Places of a long log that are looked at, evenly spread over its bytes."""
PLACE_BYTES = 4 << 10
MOST_POINTS = 2 * PLACES

Points = tuple[tuple[int, float], ...]
"""(step, loss) in the order of steps. A loss is nan where none of its place was finite."""


def points_of(steps: Sequence[Step], count: int = MOST_POINTS) -> Points:
    """At most `count` points of steps that stand next to each other in the log, each the mean of as many."""
    size = max(1, math.ceil(len(steps) / count))
    found = (_point(steps[start : start + size]) for start in range(0, len(steps), size))
    return joined((), (point for point in found if point is not None))


def looked_up(file: int, size: int) -> Points:
    """The points of an open log of this size, from PLACES reads of PLACE_BYTES each."""
    found = []
    for place in range(PLACES):
        start = (size - PLACE_BYTES) * place // (PLACES - 1)
        data = os.pread(file, PLACE_BYTES, max(start, 0))
        # The first line is torn unless it begins the file.
        records, _ = LineParser().feed(data[data.find(b"\n") + 1 if start > 0 else 0 :])
        found.append(_point([record for record in records if isinstance(record, Step)]))
    return joined((), (point for point in found if point is not None))


def joined(points: Points, more: Iterable[tuple[int, float]]) -> Points:
    """Points with further ones behind them, thinned to at most MOST_POINTS.

    A later point at the same or an earlier step is of an attempt that did the work again: it takes the place of those
    from there on.
    """
    kept = list(points)
    for step, loss in more:
        while kept and kept[-1][0] >= step:
            kept.pop()
        kept.append((step, loss))
    while len(kept) > MOST_POINTS:
        kept = [*kept[:-1:2], kept[-1]]
    return tuple(kept)


def resampled(points: Points, count: int) -> list[float | None]:
    """The curve at `count` places, evenly spread over the steps; None without any point.

    A place takes the mean of the points nearest to it; without one it lies on the line between its neighbours.
    """
    if not points or count < 1:
        return []
    first, last = points[0][0], points[-1][0]
    span = max(last - first, 1)
    held: list[list[float]] = [[] for _ in range(count)]
    for step, loss in points:
        held[round((step - first) / span * (count - 1))].append(loss)
    known = {place: _mean(losses) for place, losses in enumerate(held) if losses}
    places = sorted(known)
    found: list[float | None] = []
    for place in range(count):
        before = max((other for other in places if other <= place), default=None)
        after = min((other for other in places if other >= place), default=None)
        if before is None or after is None:
            found.append(None)
        elif before == after:
            found.append(known[place])
        else:
            share = (place - before) / (after - before)
            found.append(known[before] * (1 - share) + known[after] * share)
    return found


def _point(steps: Sequence[Step]) -> tuple[int, float] | None:
    """The newest of these steps with the mean of their losses; None where no step has one."""
    losses = [step.loss for step in steps if step.loss is not None]
    return (steps[-1].step, _mean(losses)) if losses else None


def _mean(losses: Sequence[float]) -> float:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite) / len(finite) if finite else math.nan
