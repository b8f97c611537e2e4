"""JSON documents of any origin: a list of records, columns of lists, or one of these within a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tuitrain.readers.document import DocumentReader, beginning_of
from tuitrain.readers.model import Format, Item, Probe, Row, RunInfo
from tuitrain.readers.settings import flattened
from tuitrain.readers.table import Records, axis_among, file_sources, is_log, is_result, numbers_of
from tuitrain.readers.text import as_float

_MOST_LEVELS = 5
_WORDS = (b"loss", b"step", b"epoch", b"iter", b"acc")
_PLAIN = frozenset({
    "history", "metrics", "log", "logs", "log_history", "epochs", "records", "steps", "iterations", "data", "rows",
    "results", "train", "training", "train_metrics", "training_metrics", "train_log", "training_log",
    "training_history", "metrics_history",
})  # fmt: skip
"""Names of lists of records that say nothing about the records."""


def rows_of(tree: Any, info: RunInfo) -> list[list[Item]]:
    """The rows of each list of records and each group of columns in a document."""
    info.axis = "index"
    parts = [_of_records(name, records, info) for name, records in _lists_of_records("", tree)]
    parts += [_of_columns(columns, info) for columns in _groups_of_columns("", tree)]
    if isinstance(tree, Mapping):
        info.hyperparameters = {
            name: value
            for name, value in flattened(tree).items()
            if not isinstance(value, list) and not is_result(name) and value is not None
        }
    return [part for part in parts if part]


def _lists_of_records(name: str, tree: Any, level: int = 0) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    if isinstance(tree, list):
        records = [each for each in tree if isinstance(each, Mapping)]
        if len(records) * 2 > len(tree) and _are_of_a_log(records):
            yield name, records
    elif isinstance(tree, Mapping) and level < _MOST_LEVELS:
        for key, value in tree.items():
            yield from _lists_of_records(f"{name}.{key}" if name else key, value, level + 1)


def _names_in(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the numbers in the first records."""
    return [*dict.fromkeys(each for record in records[:100] for each in numbers_of(record))]


def _are_of_a_log(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether records are points of curves. Without a name for x there are several, with results that lie not too deep:
    others are descriptions of runs, not runs.
    """
    names = _names_in(records)
    if axis_among(names) is None:
        names = [name for name in names if name.count(".") <= 1] if len(records) > 1 else []
    return is_log(names, len(records))


def _of_records(name: str, records: Sequence[Mapping[str, Any]], info: RunInfo) -> list[Item]:
    reader = Records("index", axis_among(_names_in(records)))
    info.axis = reader.axis_name
    prefix = "" if name in _PLAIN else name.rpartition(".")[2]
    return [row for record in records for row in reader.rows(record, "" if prefix in _PLAIN else prefix)]


def _groups_of_columns(name: str, tree: Any, level: int = 0) -> Iterator[dict[str, list[Any]]]:
    """The columns of each mapping that has some with names of a log, by their joined names."""
    if not isinstance(tree, Mapping) or level >= _MOST_LEVELS:
        return
    columns = {key: value for key, value in tree.items() if isinstance(value, list) and _is_column(value)}
    if is_log([*columns], max(map(len, columns.values()), default=0)):
        yield {f"{name}.{key}" if name and name not in _PLAIN else key: values for key, values in columns.items()}
    for key, value in tree.items():
        yield from _groups_of_columns(f"{name}.{key}" if name else key, value, level + 1)


def _is_column(values: list[Any]) -> bool:
    """Whether a list is of numbers, or of pairs of an x and a number; unknown ones are null."""
    known = [each for each in values if each is not None]
    return bool(known) and (_are_numbers(known) or all(map(_is_pair, known)))


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _are_numbers(value)


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _of_columns(columns: Mapping[str, list[Any]], info: RunInfo) -> list[Item]:
    reader = Records("index", axis_among(columns))
    info.axis = reader.axis_name
    rows: list[Item] = []
    for at in range(max(map(len, columns.values()))):
        record = {name: values[at] for name, values in columns.items() if at < len(values) and values[at] is not None}
        pairs = {name: record.pop(name) for name, value in [*record.items()] if isinstance(value, list)}
        rows += [Row(as_float(x), {name: as_float(value)}) for name, (x, value) in pairs.items()]
        rows += reader.rows(record)
    return rows


def _matches(probe: Probe) -> bool:
    if probe.first not in (b"{", b"[") or b"}\n{" in probe.head:
        return False
    if not any(word in probe.lowered for word in _WORDS):
        return False
    tree = beginning_of(probe.text)
    return tree is not None and bool(rows_of(tree, RunInfo("")))


FORMAT = Format(
    "json", "JSON: a list of records, columns of lists, or a document with some", "tuitrain watch history.json",
    _matches, partial(file_sources, "json"),
    lambda source: DocumentReader([source.path], source.name, lambda trees, info: rows_of(trees[0], info)),
)  # fmt: skip
