"""TensorBoard's event files: a folder of them is a run. Read without TensorBoard and TensorFlow."""

from __future__ import annotations

import json
import math
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuitrain.events import BrokenLine, Sample
from tuitrain.files import open_regular
from tuitrain.readers import protobuf
from tuitrain.readers.model import Format, Probe, Reading, Restart, Row, RunInfo, Source
from tuitrain.readers.protobuf import BYTES, FIXED64, VARINT, Field
from tuitrain.readers.settings import flattened, read_settings
from tuitrain.readers.table import folder_sources
from tuitrain.readers.tail import CHUNK_BYTES, FileTail
from tuitrain.readers.tensorboard_events import (
    SCALARS,
    SESSION_START,
    Event,
    EventColumns,
    Scalars,
    Text,
)  # fmt: skip
from tuitrain.readers.tfrecord import HEADER_BYTES, RecordSplitter, length_of

NAME = "tensorboard"
_VERSION = b"brain.Event:"
"""In the first event of each file."""
_FIRST_BYTES = 256
_TEXT_SUMMARY = "/text_summary"
_CONFIGURATIONS = ("args", "model_config")
"""The texts in which transformers' Trainer keeps its arguments and the model's configuration as JSON."""
_KERAS = "epoch_"
"""How Keras' callback names its metrics of an epoch."""
_LONGEST_TEXT = 1 << 20


def matches(probe: Probe) -> bool:
    """Whether this is an event file: a TFRecord file whose first record has the version of events."""
    head = probe.head[:_FIRST_BYTES]
    return _VERSION in head and len(head) > HEADER_BYTES and length_of(head[:HEADER_BYTES]) is not None


def sources(root: Path, files: Sequence[Path]) -> list[Source]:
    """One run for each folder with event files."""
    return folder_sources(NAME, root, sorted(files), by_path=True)


class EventFolder:
    """Follows the event files of one folder, in the order of their names; further files may come."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._by_time = False
        self._has_steps = False
        self._begin()

    def _begin(self) -> None:
        # Lightning keeps them there as they are; in the events they are flat and some are text.
        parameters = flattened(read_settings(self._source.path / "hparams.yaml"))
        self._has_parameters = bool(parameters)
        self.info = RunInfo(self._source.name, "time" if self._by_time else "step", parameters)
        if self._source.path.name == "validation":
            self.info.meanings = {"epoch_loss": "val_loss", "epoch_accuracy": "val_accuracy"}
        self._files: dict[str, _EventFile | None] = {file.name: _EventFile(file) for file in self._source.files}
        """By name; None of what is no event file."""
        self._has_rows = False
        self._counts: Counter[str] = Counter()
        """How many values each tag has, while none has a step."""
        self._indices: Counter[str] = Counter()

    def poll(self) -> Reading:
        """What was added to any of the files."""
        reading = Reading()
        left = CHUNK_BYTES
        self._look_for_files()
        for name in sorted(self._files):
            file = self._files[name]
            if file is None or left <= 0:
                continue
            piece = file.tail.read(left)
            if piece.reset:
                self._by_time = self._has_steps = False
                return self._again()
            left -= len(piece.data)
            self._read(file, piece.data, reading)
            if self._has_steps if self._by_time else self._lacks_steps:
                self._by_time = not self._by_time
                return self._again()
        reading.more = left <= 0
        return reading

    def _again(self) -> Reading:
        """Read all from the beginning."""
        self._begin()
        reading = self.poll()
        reading.reset = True
        return reading

    @property
    def _lacks_steps(self) -> bool:
        """Whether values were written without steps: all are at 0, and a tag has several."""
        return not self._has_steps and any(count > 1 for count in self._counts.values())

    def _look_for_files(self) -> None:
        try:
            with os.scandir(self._source.path) as entries:
                new = [Path(entry.path) for entry in entries if entry.name not in self._files and entry.is_file()]
        except OSError:
            return
        for path in new:
            try:
                with open_regular(path) as file:
                    head = file.read(_FIRST_BYTES)
            except OSError:
                continue
            if matches(Probe(head)):
                self._files[path.name] = _EventFile(path)
            elif len(head) >= _FIRST_BYTES:
                self._files[path.name] = None

    def _read(self, file: _EventFile, data: bytes, reading: Reading) -> None:
        """Add what these further bytes of a file hold."""
        records = file.splitter.split(data)
        scalars, others = file.columns.read(records)
        plugins = file.columns.plugins
        self._note(scalars, plugins)
        begin = 0
        for record, event in others:
            if self.info.started is None:
                self.info.started = event.seconds
            if event.session == SESSION_START:
                end = int(np.searchsorted(scalars.record, record))
                reading.items += self._rows(scalars.part(begin, end), plugins)
                begin = end
                if self._has_rows:
                    reading.items.append(Restart(event.number_of_step))
            for text in event.texts:
                reading.items += self._of_text(text, event)
        reading.items += self._rows(scalars.part(begin, len(scalars)), plugins)
        reading.broken += [BrokenLine(number, reason, file.tail.path.name) for number, reason in sorted(records.broken)]

    def _note(self, scalars: Scalars, plugins: dict[str, str]) -> None:
        """Learn from values what the x axis is."""
        if not self._has_steps and len(scalars):
            self._has_steps = bool(scalars.step.any())
            counts = np.bincount(scalars.tag, minlength=len(scalars.tags))
            self._counts.update(dict(zip(scalars.tags, counts.tolist(), strict=True)))
        if any(tag.startswith(_KERAS) and plugins.get(tag) == SCALARS for tag in scalars.tags):
            self.info.axis = "epoch"

    def _rows(self, scalars: Scalars, plugins: dict[str, str]) -> Iterable[Row]:
        """Rows of these numbers, those of one step together, in the order of steps until a tag goes back."""
        scalars = scalars.where(_is_scalar(scalars, plugins))
        self._has_rows = self._has_rows or len(scalars) > 0
        if self._by_time:
            return self._rows_by_time(scalars)
        return (row for begin, end in _stretches(scalars) for row in _rows_by_step(scalars.part(begin, end)))

    def _rows_by_time(self, scalars: Scalars) -> Iterator[Row]:
        """A row for each number, drawn where it is in the order of its tag's."""
        for tag, time, value in zip(
            *(each.tolist() for each in (scalars.tag, scalars.time, scalars.value)), strict=True
        ):
            name = scalars.tags[tag]
            yield Row(time, {name: value}, time, self._indices[name])
            self._indices[name] += 1

    def _of_text(self, text: Text, event: Event) -> Iterator[Sample]:
        """A sample, or what the text says about the run's parameters."""
        if text.plugin == "hparams":
            if not self._has_parameters:
                with suppress(ValueError):
                    self.info.hyperparameters = {**self.info.hyperparameters, **_session_parameters(text.content)}
            return
        tag = text.tag.removesuffix(_TEXT_SUMMARY)
        whole = "\n".join(text.strings)[:_LONGEST_TEXT]
        if tag in _CONFIGURATIONS:
            parameters = _json_parameters(whole)
            if parameters is not None:
                before = self.info.hyperparameters
                self.info.hyperparameters = {**parameters, **before} if tag != "args" else {**before, **parameters}
                return
        step = max(0, event.number_of_step)
        yield Sample(step=step, text=whole, prompt=tag, **({} if event.seconds is None else {"time": event.seconds}))


class _EventFile:
    def __init__(self, path: Path) -> None:
        self.tail = FileTail(path)
        self.splitter = RecordSplitter()
        self.columns = EventColumns()


def _is_scalar(scalars: Scalars, plugins: dict[str, str]) -> NDArray[np.bool_]:
    """Which values are metrics: not those of other plugins, nor the -1 that Lightning writes for a missing metric."""
    is_scalar = np.array([plugins.get(tag, SCALARS) == SCALARS for tag in scalars.tags], bool)[scalars.tag]
    if "hp_metric" in scalars.tags:
        is_scalar &= (scalars.tag != scalars.tags.index("hp_metric")) | (scalars.value != -1)
    return is_scalar


def _stretches(scalars: Scalars) -> Iterator[tuple[int, int]]:
    """Begin and end of the parts in which no tag goes back to an earlier step."""
    by_tag = np.argsort(scalars.tag, kind="stable")
    tag, step = scalars.tag[by_tag], scalars.step[by_tag]
    back = np.flatnonzero((tag[1:] == tag[:-1]) & (step[1:] < step[:-1]))
    begin = 0
    # A tag that goes back to before the begin of its part goes back no further.
    for at, before in sorted(zip(by_tag[back + 1].tolist(), by_tag[back].tolist(), strict=True)):
        if before >= begin:
            yield begin, at
            begin = at
    if begin < len(scalars):
        yield begin, len(scalars)


def _rows_by_step(scalars: Scalars) -> Iterator[Row]:
    """A row for each step, in the order of steps; of two values of a tag the later counts."""
    step = scalars.step
    if (step[1:] < step[:-1]).any():
        scalars = scalars.where(np.argsort(step, kind="stable"))
        step = scalars.step
    begins = np.flatnonzero(np.diff(step, prepend=step[:1] - 1)).tolist()
    names = [scalars.tags[tag] for tag in scalars.tag.tolist()]
    values = scalars.value.tolist()
    steps, times = step[begins].tolist(), scalars.time[begins].tolist()
    for begin, end, x, time in zip(begins, [*begins[1:], len(values)], steps, times, strict=True):
        yield Row(x, dict(zip(names[begin:end], values[begin:end], strict=True)), None if math.isnan(time) else time)


def _session_parameters(content: bytes) -> dict[str, Any]:
    """The hyperparameters of a session of the hparams plugin (`plugin_data.proto`). Raises ValueError."""
    parameters = {}
    for part in protobuf.fields(content):
        if part.number != 3 or part.wire != BYTES:
            continue
        for entry in protobuf.fields(content, part):
            if entry.number == 1 and entry.wire == BYTES:
                parts = protobuf.by_number(content, entry)
                if 1 in parts and 2 in parts:
                    parameters[protobuf.text(content, parts[1])] = _value(content, parts[2])
    return parameters


def _value(content: bytes, value: Field) -> Any:
    """A `google.protobuf.Value` that is no list and no table."""
    for part in protobuf.fields(content, value):
        if part.number == 2 and part.wire == FIXED64:
            number: float = struct.unpack_from("<d", content, part.start)[0]
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        if part.number == 3 and part.wire == BYTES:
            return protobuf.text(content, part)
        if part.number == 4 and part.wire == VARINT:
            return bool(protobuf.varint(content, part.start)[0])
    return None


def _json_parameters(text: str) -> dict[str, Any] | None:
    """A table of JSON, what is nested in it named with dots; None where the text is none."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return flattened(tree) if isinstance(tree, dict) else None


FORMAT = Format(
    NAME, "TensorBoard event files", "tuitrain watch runs/", matches, sources, EventFolder, binary=True,
)  # fmt: skip
