"""Runs that keep each metric in a file of its own: following all of them as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

from tuitrain.events import BrokenLine
from tuitrain.readers.model import Reading, Row
from tuitrain.readers.tail import CHUNK_BYTES, FileTail
from tuitrain.readers.text import LineSplitter

Point = tuple[float, str, float, float, float | None]
"""What puts points of different metrics in order; the metric's name, x, its value, Unix seconds or None."""
LineParser = Callable[[str, bytes], Point | None]
"""The point in a line of the metric of this name; None of one that holds none. Raises ValueError with the reason."""
_SMALLEST_CHUNK = 64 << 10
_MOST_FILES = 20_000


class MetricFiles:
    """Reads what is appended to the files below a folder; a metric's name is the path of its file there.

    suffix: what the files' names end with, which the metrics' do not. parser: makes one for each file.
    """

    def __init__(self, folder: Path, parser: Callable[[], LineParser], suffix: str = "") -> None:
        self._folder = folder
        self._parser = parser
        self._suffix = suffix
        self._files: dict[str, _MetricFile] = {}
        self._waiting: list[Point] = []
        """Points that come after those up to which all files are read."""

    def poll(self) -> Reading:
        """The rows that were appended, and a reset where a file was replaced: then all are read anew."""
        reading = self._read()
        if reading is None:
            self._files, self._waiting = {}, []
            reading = self._read() or Reading()
            reading.reset = True
        return reading

    def _read(self) -> Reading | None:
        """What is new; None where a file was replaced."""
        for name in names_below(self._folder, self._suffix):
            if name not in self._files:
                self._files[name] = _MetricFile(name, self._folder / f"{name}{self._suffix}", self._parser())
        reading = Reading()
        limit = max(_SMALLEST_CHUNK, CHUNK_BYTES // max(1, len(self._files)))
        complete = float("inf")
        for file in self._files.values():
            piece = file.tail.read(limit)
            if piece.reset:
                return None
            points = file.points(piece.data, reading.broken)
            self._waiting += points
            if piece.more:
                # Later points of other files are given once this file was read up to them.
                reading.more = True
                complete = min(complete, points[-1][0] if points else float("-inf"))
        points = [point for point in self._waiting if point[0] <= complete]
        self._waiting = [point for point in self._waiting if point[0] > complete] if reading.more else []
        reading.items += rows_of(points)
        return reading


class _MetricFile:
    def __init__(self, name: str, path: Path, parse: LineParser) -> None:
        self.tail = FileTail(path)
        self._name = name
        self._parse = parse
        self._lines = LineSplitter()

    def points(self, data: bytes, broken: list[BrokenLine]) -> list[Point]:
        """The points that these bytes complete."""
        points: list[Point] = []
        for number, line in self._lines.split(data):
            try:
                point = self._parse(self._name, line or b"")
                if point is not None:
                    points.append(point)
            except ValueError as error:
                broken.append(BrokenLine(number, str(error), self._name))
        return points


def rows_of(points: Iterable[Point]) -> Iterator[Row]:
    """Rows of points in their order; those that follow each other at one x make up one row."""
    row: Row | None = None
    for _, name, x, value, time in sorted(points, key=itemgetter(0)):
        if row is None or row.x != x or name in row.values:
            if row is not None:
                yield row
            row = Row(x, {name: value}, time)
        else:
            row.values[name] = value
    if row is not None:
        yield row


def names_below(folder: Path, suffix: str = "") -> list[str]:
    """The paths of the files below a folder from there, sorted, without the suffix that all have; at most 20,000."""
    names: list[str] = []
    for where, folders, files in os.walk(folder):
        folders.sort()
        prefix = Path(where).relative_to(folder).as_posix()
        prefix = "" if prefix == "." else f"{prefix}/"
        names += [f"{prefix}{name.removesuffix(suffix)}" for name in sorted(files) if name.endswith(suffix)]
        if len(names) > _MOST_FILES:
            break
    return names
