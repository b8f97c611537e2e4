"""Keras' CSVLogger."""

from __future__ import annotations

from functools import partial

from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.delimited_head import head_of
from tuitrain.readers.model import Format, Probe
from tuitrain.readers.table import file_sources
from tuitrain.readers.tail import TailReader


def _matches(probe: Probe) -> bool:
    """Whether `epoch` comes first, a whole number, then the others sorted by name, each of `val_NAME` with its NAME."""
    head = head_of(probe)
    if head is None or head.names[0] != "epoch" or "loss" not in head.names:
        return False
    names = head.names[1:]
    validation = {name.removeprefix("val_") for name in names if name.startswith("val_")}
    if names != sorted(names) or not validation <= set(names) or not head.is_log:
        return False
    return all(row[0].isdecimal() for row in head.rows if len(row) == len(head.names))


FORMAT = Format(
    "keras-csv", "Keras CSVLogger", "tuitrain watch training.log", _matches, partial(file_sources, "keras-csv"),
    lambda source: TailReader(source.path, partial(DelimitedParser, source.name)),
)  # fmt: skip
