"""`metrics.csv` of Lightning's and Fabric's CSVLogger, with `hparams.yaml` beside it."""

from __future__ import annotations

import re
from functools import partial

from tuitrain.readers.beside import ReaderWithSettings
from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.delimited_head import head_of
from tuitrain.readers.model import Format, Probe, Source
from tuitrain.readers.table import folder_sources

_SETTINGS = "hparams.yaml"


def _matches(probe: Probe) -> bool:
    """Whether the columns are sorted by name, as the logger writes them, in a folder that it has made."""
    head = head_of(probe)
    if head is None or probe.path is None or head.separator != "," or "step" not in head.names:
        return False
    if head.names != sorted(head.names) or not head.is_log:
        return False
    folder = probe.path.parent
    return re.fullmatch(r"version_\d+", folder.name) is not None or (folder / _SETTINGS).is_file()


def _open(source: Source) -> ReaderWithSettings:
    return ReaderWithSettings(source.files[0], partial(DelimitedParser, source.name), source.path / _SETTINGS)


FORMAT = Format(
    "lightning-csv", "Lightning and Fabric CSVLogger", "tuitrain watch lightning_logs", _matches,
    partial(folder_sources, "lightning-csv"), _open, covers=("tensorboard",), beside=(_SETTINGS,),
)  # fmt: skip
