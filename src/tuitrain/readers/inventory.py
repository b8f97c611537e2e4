"""What the metrics of another tool's log are: how many points, over which part of its axis, between which values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuitrain.events import BrokenLine
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Item, Reader, Reading, Restart, Row, Rows, RunInfo


@dataclass(frozen=True)
class SourceMetric:
    """The points of one metric under the tool's name, of several at one x the later.

    key: the metric of ours, or None. x is on the tool's own axis; first and last are by x. min and max are
    of the finite values; nan where there are none.
    """

    key: str | None
    points: int
    first_x: float
    last_x: float
    first: float
    last: float
    min: float
    max: float
    non_finite: int


@dataclass
class Inventory:
    """Everything a log holds, read once."""

    info: RunInfo
    metrics: dict[str, SourceMetric]
    broken: list[BrokenLine]


class CountingReader:
    """Passes on what another reader reads, and keeps the points of each metric for an inventory."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._points: dict[str, dict[float, float]] = {}
        self._broken: list[BrokenLine] = []

    @property
    def info(self) -> RunInfo:
        """What the log says about its run so far."""
        return self._reader.info

    def poll(self) -> Reading:
        """What was added since the last call. Raises OSError."""
        reading = self._reader.poll()
        if reading.reset:
            self._points, self._broken = {}, []
        for item in reading.items:
            _add(self._points, item)
        self._broken += reading.broken
        return reading

    def inventory(self, mapping: NameMapping) -> Inventory:
        """What was read until now."""
        mapping.learn(self.info.meanings)
        metrics = {name: _metric(name, values, mapping) for name, values in self._points.items() if values}
        return Inventory(self.info, metrics, self._broken)


def take_inventory(reader: Reader, mapping: NameMapping) -> Inventory:
    """Read all there is now. Raises OSError."""
    counting = CountingReader(reader)
    while counting.poll().more:
        pass
    return counting.inventory(mapping)


def _add(points: dict[str, dict[float, float]], item: Item) -> None:
    if isinstance(item, Row):
        for name, value in item.values.items():
            points.setdefault(name, {})[item.x] = value
    elif isinstance(item, Rows):
        for name, column in item.values.items():
            points.setdefault(name, {}).update(zip(item.x.tolist(), column.tolist(), strict=True))
    elif isinstance(item, Restart):
        for name, values in points.items():
            points[name] = {x: value for x, value in values.items() if x < item.x}


def _metric(name: str, values: dict[float, float], mapping: NameMapping) -> SourceMetric:
    finite = [value for value in values.values() if math.isfinite(value)]
    target = mapping.target(name)
    first_x, last_x = min(values), max(values)
    return SourceMetric(
        target.key if target is not None else None, len(values), first_x, last_x, values[first_x], values[last_x],
        min(finite, default=math.nan), max(finite, default=math.nan), len(values) - len(finite),
    )  # fmt: skip
