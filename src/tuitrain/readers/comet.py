"""Comet's offline experiments: an archive with the messages that would have been sent."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine
from tuitrain.files import open_regular
from tuitrain.readers.jsonl import decoded
from tuitrain.readers.metric_files import Point, rows_of
from tuitrain.readers.model import Format, Probe, Reading, RunInfo, Source
from tuitrain.readers.table import numbers_of, relative_name
from tuitrain.readers.text import LONGEST_LINE, as_float, seconds

_EXPERIMENT, _MESSAGES = "experiment.json", "messages.json"
_ZIP = b"PK\x03\x04"
_DAMAGED = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError, ValueError)
"""What `zipfile` raises for an archive that is damaged, incomplete or packed in a way it does not know."""
_LINES_AT_ONCE = 20_000
_MOST_RATIO = 200
"""Of the size of the messages to that of their packed bytes: beyond it they are no messages."""
_POSITIONS = ("curr_step", "curr_epoch")
"""Parameters that only say how far the run is."""
_COMETS = ("offline_experiment", "hasNestedParams")
"""What Comet says of the experiment itself."""


class CometReader:
    """Reads an archive, which is written when the experiment ends."""

    def __init__(self, path: Path, name: str) -> None:
        self.info = RunInfo(name, ending="completed")
        self._path = path
        self._mark: tuple[int, ...] = ()
        self._lines: Iterator[tuple[int, bytes]] = iter(())
        self._step = 0.0

    def poll(self) -> Reading:
        """Further rows, once the archive is complete."""
        result = Reading()
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return result
        mark = (status.st_ino, status.st_size, status.st_mtime_ns)
        if mark != self._mark:
            result.reset = self._mark != ()
            self._mark, self._lines, self._step = mark, _lines(self._path), 0.0
        try:
            lines = list(islice(self._lines, _LINES_AT_ONCE))
        except _DAMAGED as error:
            result.broken.append(BrokenLine(1, f"it is not a complete archive: {error}", self._path.name))
            return result
        points: list[Point] = []
        for number, line in lines:
            try:
                point = self._take(number, decoded(line))
            except (ValueError, TypeError, AttributeError, KeyError):
                result.broken.append(BrokenLine(number, "it is not a message of Comet", _MESSAGES))
                continue
            if point is not None:
                points.append(point)
        result.items += rows_of(points)
        result.more = len(lines) == _LINES_AT_ONCE
        return result

    def _take(self, number: int, message: Any) -> Point | None:
        """Take a message. Returns the point in that of a metric."""
        kind, payload = message.get("type"), message.get("payload", {})
        if kind == "metric_msg":
            metric = payload["metric"]
            step = metric.get("step")
            self._step = as_float(step) if step is not None else self._step
            time = seconds(as_float(payload.get("local_timestamp") or 0))
            self.info.started = self.info.started or time
            for name, value in numbers_of({str(metric["metricName"]): metric["metricValue"]}).items():
                return number, name, self._step, value, time
        elif kind == "parameter_msg":
            parameter = payload["param"]
            if parameter["paramName"] not in _POSITIONS:
                self.info.hyperparameters[str(parameter["paramName"])] = parameter["paramValue"]
        elif kind == "log_other" and payload.get("key") == "Name":
            self.info.name = str(payload["value"])
        elif kind == "log_other" and payload["key"] not in _COMETS:
            self.info.summary[str(payload["key"])] = payload["value"]
        return None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The messages with their numbers. Raises BadZipFile and the like for what is no complete archive."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive, archive.open(_MESSAGES) as messages:
        packed = archive.getinfo(_MESSAGES)
        if packed.file_size > max(_MOST_RATIO * packed.compress_size, LONGEST_LINE):
            raise zipfile.BadZipFile(f"{_MESSAGES} is more than {_MOST_RATIO} times as large as its packed bytes")
        number = 0
        while line := messages.readline(LONGEST_LINE):
            number += 1
            if line.strip():
                yield number, line


def _matches(probe: Probe) -> bool:
    """Whether it is an archive with both files; one by another name than `.zip` has to begin with one of them."""
    if not probe.head.startswith(_ZIP) or probe.path is None:
        return False
    if _EXPERIMENT.encode() not in probe.head and probe.path.suffix != ".zip":
        return False
    try:
        with open_regular(probe.path) as file, zipfile.ZipFile(file) as archive:
            return {_EXPERIMENT, _MESSAGES} <= set(archive.namelist())
    except (OSError, *_DAMAGED):
        return False


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    return [Source("comet-offline", file, relative_name(root, file.with_suffix("")), (file,)) for file in files]


FORMAT = Format(
    "comet-offline", "Comet's offline experiments", "tuitrain show EXPERIMENT.zip", _matches, _sources,
    lambda source: CometReader(source.path, source.name), binary=True,
)  # fmt: skip
