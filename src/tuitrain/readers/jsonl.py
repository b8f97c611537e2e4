"""JSON Lines: a record a line, of any origin, and those of lingua."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tuitrain.events import BrokenLine
from tuitrain.readers.beside import ReaderWithSettings
from tuitrain.readers.model import Format, Probe, Reader, Reading, RunInfo, Source
from tuitrain.readers.settings import flattened
from tuitrain.readers.table import EVALUATIONS, Records, is_log, numbers_of, relative_name
from tuitrain.readers.tail import TailReader
from tuitrain.readers.text import TOO_LONG, LineSplitter, as_float

_LINES_PROBED = 50
_KINDS = ("type", "split", "phase", "mode", "stage", "kind", "event", "subset")
"""Fields that can tell records of training from those of an evaluation."""
_CONFIGURATIONS = frozenset({
    "config", "configuration", "hparams", "hyperparameters", "hyperparams", "args", "arguments", "settings", "params",
    "header", "meta", "metadata",
})  # fmt: skip
_decoder = msgspec.json.Decoder()


def decoded(line: bytes) -> Any:
    """The value of a line. The bare tokens NaN and Infinity are numbers. Raises ValueError."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class JsonLinesParser:
    """Parses records; those before the first one with numbers of training are the run's configuration."""

    def __init__(self, name: str) -> None:
        self.info = RunInfo(name)
        self._lines = LineSplitter()
        self._records = Records()
        self._begun = False

    def feed(self, data: bytes) -> Reading:
        """The rows that these bytes complete."""
        reading = Reading()
        for number, line in self._lines.split(data):
            if line is None:
                reading.broken.append(BrokenLine(number, TOO_LONG))
                continue
            line = line.strip(b"\xef\xbb\xbf \t\x1e") if number == 1 or line[:1] == b"\x1e" else line
            if not line or line.isspace():
                continue
            try:
                record = decoded(line)
                if not isinstance(record, dict):
                    raise ValueError("it is not an object")
                self.add(record, reading)
            except ValueError as error:
                reading.broken.append(BrokenLine(number, str(error)))
        return reading

    def add(self, record: dict[str, Any], reading: Reading) -> None:
        """Take a record. Raises ValueError with the reason for one without a position."""
        kind = next((str(record[key]).lower() for key in _KINDS if isinstance(record.get(key), str)), "")
        if kind in _CONFIGURATIONS or (not self._begun and not _is_row(record)):
            self._configure(record)
            return
        self._begun = True
        row = self._records.row(record, prefix=kind if kind in EVALUATIONS else "")
        lingua = self._records.axis == "global_step" and "acc_step" in row.values
        self.info.axis = "step" if lingua else self._records.axis_name
        if row.values:
            reading.items.append(row)

    def _configure(self, record: dict[str, Any]) -> None:
        """Take a record for the configuration of the run."""
        tree = {key: value for key, value in record.items() if key not in _KINDS}
        if len(tree) == 1 and isinstance(inner := next(iter(tree.values())), dict):
            tree = inner
        self.info.hyperparameters = {**self.info.hyperparameters, **flattened(tree)}


def _is_row(record: Mapping[str, Any]) -> bool:
    """Whether a record holds numbers of training."""
    return is_log([*numbers_of(record)], 2)


def probed(probe: Probe) -> list[dict[str, Any]]:
    """The first records of a file whose lines are objects; empty where they are not."""
    if probe.first != b"{" or b"\n" not in probe.head:
        return []
    records: list[dict[str, Any]] = []
    lines = [line for line in probe.lines[:_LINES_PROBED] if line.strip()]
    for line in lines:
        try:
            record = decoded(line.lstrip("\x1e").encode())
        except ValueError:
            if not records:
                return []
            continue
        if isinstance(record, dict):
            records.append(record)
    return records if len(records) * 2 > len(lines) else []


def _matches(probe: Probe) -> bool:
    records = probed(probe)
    if not records or any(map(_is_ours, records[:5])):
        return False
    if len(records) == 1 and probe.path is not None and probe.path.suffix == ".json":
        return False
    rows = [names for record in records if is_log(names := [*numbers_of(record)], 2)]
    return any(is_log(names, len(rows)) for names in rows)


def _is_ours(record: Mapping[str, Any]) -> bool:
    """Whether a record is one that this package writes."""
    return record.get("type") in ("run", "stage", "step") and "time" in record


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    """Each file is a run; with the configuration of the run beside it, its folder is."""
    for file in files:
        if file.name == "metrics.jsonl" and (settings := file.with_name("config.yaml")).is_file():
            yield Source("jsonl", file.parent, relative_name(root, file.parent), (file, settings))
        else:
            yield Source("jsonl", file, relative_name(root, file), (file,))


def _open(source: Source) -> Reader:
    log = source.files[0]
    parser = partial(JsonLinesParser, source.name)
    if source.path == log:
        return TailReader(log, parser)
    return ReaderWithSettings(log, parser, log.with_name("config.yaml"), _last_step)


def _last_step(settings: Mapping[str, Any]) -> float | None:
    """The step that a configuration plans to end at."""
    steps = (settings.get(key) for key in ("steps", "max_steps", "total_steps", "num_steps", "train_steps"))
    return next((as_float(each) for each in steps if isinstance(each, int)), None)


FORMAT = Format(
    "jsonl", "JSON Lines: records of any names, also those of lingua", "tuitrain watch metrics.jsonl", _matches,
    _sources, _open, JsonLinesParser,
)  # fmt: skip
