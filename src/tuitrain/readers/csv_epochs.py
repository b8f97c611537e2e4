"""The CSVs with a row an epoch and `args.yaml` beside them: timm's `summary.csv`, Ultralytics' `results.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from tuitrain.readers.beside import ReaderWithSettings
from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.delimited_head import head_of
from tuitrain.readers.model import Format, Probe, Source
from tuitrain.readers.table import folder_sources

_SETTINGS = "args.yaml"


def _matches(probe: Probe) -> bool:
    head = head_of(probe)
    if head is None or probe.path is None or head.names[0] != "epoch" or not head.is_log:
        return False
    ultralytics = any(name.startswith("metrics/") for name in head.names)
    timm = head.names[1] == "train_loss" and any(name.startswith("eval_") for name in head.names)
    return ultralytics or timm or (probe.path.parent / _SETTINGS).is_file()


def _without_evaluation(names: list[str], cells: int) -> list[str] | None:
    """The names of a row of timm that has no evaluation, which leaves out its cells."""
    others = [name for name in names if not name.startswith("eval_")]
    return others if len(others) == cells else None


def _last_epoch(settings: Mapping[str, Any]) -> float | None:
    """The number of the last epoch: Ultralytics counts from 1, timm from 0 and adds epochs to cool down."""
    epochs, cooling = settings.get("epochs"), settings.get("cooldown_epochs")
    if not isinstance(epochs, int):
        return None
    if "imgsz" in settings or "task" in settings:
        return float(epochs)
    return float(epochs + (cooling if isinstance(cooling, int) else 0) - 1)


def _open(source: Source) -> ReaderWithSettings:
    parser = partial(DelimitedParser, source.name, _without_evaluation)
    return ReaderWithSettings(source.files[0], parser, source.path / _SETTINGS, _last_epoch)


FORMAT = Format(
    "csv-epochs", "timm's summary.csv and Ultralytics' results.csv", "tuitrain watch runs/detect/train", _matches,
    partial(folder_sources, "csv-epochs"), _open, covers=("tensorboard",), beside=(_SETTINGS,),
)  # fmt: skip
