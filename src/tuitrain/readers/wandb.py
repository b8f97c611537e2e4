"""W&B's `.wandb` files, of on-line and offline runs, read without wandb.

The messages are those of its `wandb_internal.proto`.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine
from tuitrain.readers import protobuf
from tuitrain.readers.leveldb_log import LogSplitter
from tuitrain.readers.model import Format, Probe, Reading, Row, RunInfo, Source
from tuitrain.readers.protobuf import BYTES, FIXED64, VARINT, Field, varint
from tuitrain.readers.settings import flattened
from tuitrain.readers.table import LARGEST_STEP, STEPS, plain
from tuitrain.readers.tail import TailReader
from tuitrain.readers.text import as_float
from tuitrain.readers.wandb_system import Machine
from tuitrain.text import shortened

NAME = "wandb"
_MAGIC = b":W&B\xe1\xbe"
_HEADER_BYTES = 7
_RUN_FOLDER = re.compile(r"(?:offline-)?run-\d+_\d+-.+")
_LATEST = "latest-run"
_HISTORY, _SUMMARY, _CONFIG, _STATS, _METRIC, _RUN, _EXIT, _ENVIRONMENT = 2, 3, 5, 7, 12, 17, 18, 26
_IS_SUMMARY = re.compile(rb"\x08[\x80-\xff]*[\x00-\x7f]\x1a").match
"""Whether the field after the number of a record is a summary."""
_OF_HISTORY = b"_runtime"
"""In a summary that W&B makes itself of each row of the history."""
_STEP, _TIMESTAMP = "_step", "_timestamp"
_OWN = "_wandb"
"""What W&B keeps for itself, in history and configuration."""
_VALUE_MARK = b"\x82\x01"
"""Before the value of an item: its field number and wire type."""
_ITEM = re.compile(rb"\n(?:[\x00-\x7f]|[\x80-\xff][\x01-\x7f])(.*?)\x82\x01[\x00-\x7f]([-+.0-9eEINafnity]+)", re.DOTALL)
"""An item of a history with a number: what comes before the value, and the value."""
_MOST_NAMES = 100_000
_LONGEST_TEXT = 1000
"""Characters of a text in the summary."""
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def matches(probe: Probe) -> bool:
    """Whether this is a `.wandb` file."""
    return probe.head.startswith(_MAGIC)


def sources(root: Path, files: Sequence[Path]) -> Iterator[Source]:
    """One run for each file, called as its folder where that is a run's."""
    elsewhere = {file.name for file in files if file.parent.name != _LATEST}
    for file in files:
        folder = file.parent
        if folder.name == _LATEST and file.name in elsewhere:
            # Where links were copied as what they lead to.
            continue
        alone = sum(other.parent == folder for other in files) == 1
        if alone and (_RUN_FOLDER.fullmatch(folder.name) or folder.name == _LATEST):
            yield Source(NAME, folder, folder.name, (file,))
        else:
            yield Source(NAME, file, file.stem, (file,))


class WandbParser:
    """Reads the bytes of a `.wandb` file, in pieces of any size."""

    def __init__(self, name: str) -> None:
        self.info = RunInfo(name)
        self._splitter = LogSplitter(_HEADER_BYTES)
        self._config: dict[str, Any] = {}
        self._machine = Machine()
        self._names: dict[bytes, str] = {}
        """The name of a metric by what comes before its value in an item."""
        self._rows = 0
        self._newest: dict[str, float] = {}
        """The values of the newest row."""
        self._counter = ""
        """The metric that counts the steps of the training; empty where the run declares none."""
        self._count: int | None = None
        """Its newest value."""
        self._newest_of: dict[str, float] = {}
        """The newest value of each metric."""
        self._summary: dict[str, Any] = {}
        """What the script set in the summary."""
        self._has_goals = False
        """Whether a metric was declared whose summary is not its newest value, but its minimum, for example."""

    def feed(self, data: bytes) -> Reading:
        """What these further bytes complete."""
        reading = Reading()
        for number, record in self._splitter.split(data):
            try:
                self._read(record, reading)
            except ValueError as error:
                reading.broken.append(BrokenLine(number, f"it is not a record of W&B: {error}"))
        reading.broken += [BrokenLine(number, reason) for number, reason in self._splitter.broken]
        self._splitter.broken = []
        return reading

    def _read(self, record: bytes, reading: Reading) -> None:
        # Two of three records are summaries that repeat the history.
        repeats = _IS_SUMMARY(record) and _OF_HISTORY in record and not self._has_goals
        for each in protobuf.fields(record) if not repeats else ():
            if each.wire != BYTES:
                continue
            if each.number == _HISTORY:
                row = self._history(record, each)
                if row is not None:
                    reading.items.append(row)
                # Nothing of ours follows.
                break
            if each.number == _STATS:
                system = self._machine.readings(record, each)
                if system is not None:
                    reading.items.append(system)
            elif each.number == _SUMMARY:
                self._summarize(record, each)
            elif each.number == _EXIT:
                self._end(record, each)
            elif each.number in (_RUN, _CONFIG, _METRIC, _ENVIRONMENT):
                self._describe(record, each)
        if self.info.ending is None:
            self.info.ending = "interrupted"

    def _history(self, record: bytes, history: Field) -> Row | None:
        items = _ITEM.findall(record, history.start, history.end)
        names = self._names
        try:
            values = {names[before]: float(value) for before, value in items}
            if len(items) != record.count(_VALUE_MARK, history.start, history.end):
                raise ValueError
        except (KeyError, ValueError):
            values = self._careful_history(record, history)
        x = values.pop(_STEP, None)
        time = values.pop(_TIMESTAMP, None)
        values.pop("_runtime", None)
        if not values:
            return None
        # W&B writes the names of each row in another order.
        values = self._newest | values if self._newest.keys() == values.keys() else values
        self._newest = values
        self._newest_of |= values
        if not self._summary.keys().isdisjoint(values):
            # A later row replaces what was set.
            self._summary = {name: value for name, value in self._summary.items() if name not in values}
            self.info.summary = dict(self._summary)
        self._rows += 1
        if (
            self._counter
            and 0 <= (count := values.get(self._counter, math.nan)) <= LARGEST_STEP
            and count == int(count)
        ):
            self._count = int(count)
        return Row(self._rows - 1 if x is None else x, values, time, self._count)

    def _careful_history(self, record: bytes, history: Field) -> dict[str, float]:
        """The numbers of a history of which not all are plain, or that has names which are new."""
        values: dict[str, float] = {}
        step = None
        for each in protobuf.fields(record, history):
            if each.number == 1 and each.wire == BYTES:
                path, value, before = _item(record, each)
                name = ".".join(path)
                if before is not None and name and path[0] != _OWN:
                    if len(self._names) > _MOST_NAMES:
                        self._names.clear()
                    self._names[before] = name
                if path and path[0] != _OWN:
                    values.update(_numbers(name, value))
            elif each.number == 2 and each.wire == BYTES:
                step = protobuf.signed(protobuf.varint_in(record, each, 1) or 0)
        if step is not None:
            values.setdefault(_STEP, step)
        return values

    def _summarize(self, record: bytes, summary: Field) -> None:
        """Take what the script set in the summary, and of W&B's own only what is no newest value."""
        is_own = _OF_HISTORY in record
        for path, value, is_set in _changes(record, summary):
            if is_own and not isinstance(value, dict):
                continue
            name = ".".join(path)
            self._summary = {
                key: kept for key, kept in self._summary.items() if key != name and not key.startswith(f"{name}.")
            }
            if is_set and not (isinstance(value, dict) and "_type" in value):
                self._summary |= flattened({name: value})
        self.info.summary = {
            name: shortened(value, _LONGEST_TEXT) if isinstance(value, str) else value
            for name, value in self._summary.items()
            if self._newest_of.get(name) != value
        }

    def _end(self, record: bytes, end: Field) -> None:
        code = protobuf.signed(protobuf.varint_in(record, end, 1) or 0)
        self.info.ending = "completed" if code == 0 else "failed"
        self.info.reason = "" if code == 0 else f"exit code {code}"

    def _describe(self, record: bytes, message: Field) -> None:
        """Learn from a record about the run as a whole."""
        parts = list(protobuf.fields(record, message))
        texts = {part.number: protobuf.text(record, part) for part in parts if part.wire == BYTES}
        if message.number == _RUN:
            self.info.name = texts.get(8) or texts.get(1) or self.info.name
            self._machine.host = texts.get(13, self._machine.host)
            for part in parts:
                if part.number == 4:
                    self._configure(record, part)
                elif part.number == 17:
                    self.info.started = protobuf.timestamp(record, part)
        elif message.number == _CONFIG:
            self._configure(record, message)
        elif message.number == _METRIC:
            metric = texts.get(1) or texts.get(2)
            if metric and texts.get(4):
                self._declare(metric, texts[4])
            self._has_goals = self._has_goals or 7 in texts
        else:
            self._machine.describe(record, message)

    def _declare(self, metric: str, axis: str) -> None:
        """Take what `define_metric` says of a metric, or of all with a pattern.

        A counter of steps for all metrics or those of the training, as Hugging Face's Trainer and Lightning declare it,
        places the rows: W&B's own step only counts calls. A row without it is at its newest value.
        """
        self.info.axes[metric] = axis
        if (metric == "*" or metric.startswith("train")) and plain(axis) in STEPS:
            self._counter = self.info.counter = self._counter or axis

    def _configure(self, record: bytes, config: Field) -> None:
        """Change the configuration by the items that are new, changed or removed."""
        for path, value, is_set in _changes(record, config):
            tree = self._config
            for part in path[:-1]:
                below = tree.get(part)
                tree[part] = tree = below if isinstance(below, dict) else {}
            if is_set:
                tree[path[-1]] = value
            else:
                tree.pop(path[-1], None)
        self.info.hyperparameters = flattened(self._config)


def _changes(record: bytes, message: Field) -> Iterator[tuple[list[str], Any, bool]]:
    """Path and value of each item of a configuration or a summary that is set, else removed; not W&B's own."""
    for each in protobuf.fields(record, message):
        if each.wire == BYTES and each.number in (1, 2):
            path, value, _ = _item(record, each)
            if path and path[0] != _OWN:
                yield path, value, each.number == 1


def _item(record: bytes, item: Field) -> tuple[list[str], Any, bytes | None]:
    """The path of an item of a history or a configuration, its value, and what comes before a value in JSON."""
    key, path = "", []
    value: Any = None
    before = None
    for part in protobuf.fields(record, item):
        if part.wire == BYTES and part.number == 1:
            key = protobuf.text(record, part)
        elif part.wire == BYTES and part.number == 2:
            path.append(protobuf.text(record, part))
        elif part.wire == BYTES and part.number in (8, 16):
            value = _json(record[part.start : part.end])
            mark = record.find(_VALUE_MARK, item.start, part.start)
            if part.number == 16 and mark == part.start - len(_VALUE_MARK) - 1:
                before = record[item.start : mark]
        elif part.wire == BYTES and part.number == 7:
            value = protobuf.text(record, part)
        elif part.wire == VARINT and part.number == 4:
            value = bool(varint(record, part.start)[0])
        elif part.wire == VARINT and part.number == 5:
            number = varint(record, part.start)[0]
            value = (number >> 1) ^ -(number & 1)
        elif part.wire == FIXED64 and part.number == 6:
            value = struct.unpack_from("<d", record, part.start)[0]
    return path or ([key] if key else []), value, before


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers of a value, also of one in tables, which W&B names with dots; not those of its media."""
    if isinstance(value, dict):
        if "_type" not in value:
            for key, number in flattened(value).items():
                if not isinstance(number, dict):
                    yield from _numbers(f"{name}.{key}", number)
    elif isinstance(value, int | float):
        yield name, as_float(value)
    elif isinstance(value, str) and value in _WORDS:
        yield name, _WORDS[value]


FORMAT = Format(
    NAME, "W&B runs, on-line and offline", "tuitrain watch wandb/", matches, sources,
    lambda source: TailReader(source.files[0], partial(WandbParser, source.name)), binary=True, covers=("console",),
)  # fmt: skip
