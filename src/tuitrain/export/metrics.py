"""A run's numbers in other tools' formats: CSV, JSON Lines, the older nested run file, Parquet, TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TextIO

import numpy as np

from tuitrain.events import Eval, Step
from tuitrain.export.documents import json_text, open_text
from tuitrain.export.errors import ExportError
from tuitrain.export.nested import nested_run
from tuitrain.export.rows import iterate, table
from tuitrain.files import writing
from tuitrain.runs import RunHistory
from tuitrain.runs.columns import numeric_fields

FORMATS = ("csv", "jsonl", "json", "parquet", "tensorboard")


def export_metrics(history: RunHistory, fmt: str, out: Path | None = None) -> Path | None:
    """Write a run's numbers to a file, or for csv, jsonl and json to standard output when `out` is None.

    TensorBoard's `out` is a log directory. Returns what was written. Raises ExportError for an unknown format, a
    missing file name, a package that is not installed, and a run without numbers.
    """
    if fmt not in FORMATS:
        raise ExportError(f"{fmt!r} is not a format of metrics; known: {', '.join(FORMATS)}.")
    if not len(history.steps) and not history.splits:
        raise ExportError("The log holds no step and no evaluation yet: there are no metrics to export.")
    if fmt in ("csv", "jsonl", "json"):
        with open_text(out) as file:
            _write_text(history, fmt, file)
        return out
    if out is None:
        raise ExportError(f"{fmt} cannot go to standard output: name a file with --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with writing(out):
        (_write_parquet if fmt == "parquet" else _write_tensorboard)(history, out)
    return out


def _write_text(history: RunHistory, fmt: str, file: TextIO) -> None:
    """In csv absent values are empty cells and nan and inf are these words; jsonl has one object a row without them."""
    if fmt == "json":
        file.write(json_text(nested_run(history)))
        return
    columns = table(history)
    if fmt == "jsonl":
        file.writelines(json_text(row, indent=0) for row in iterate(columns))
        return
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(iterate(columns))


def _write_parquet(history: RunHistory, out: Path) -> None:
    """Absent values are null, a measured nan is NaN; counts are int64."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportError("Parquet needs pyarrow: pip install 'tuitrain[formats]'.") from None
    columns = table(history).items()
    arrays = {name: pyarrow.array(values.data, mask=np.ma.getmaskarray(values)) for name, values in columns}
    run = history.run
    metadata = {"run_id": run.run_id, "name": run.name} if run else {}
    pyarrow.parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(metadata), out)


_TAGS = {"mem": "memory", "grad": "gradients", "val": "validation"}
_DECLARED = {*numeric_fields(Step), *(f"val_{key}" for key in numeric_fields(Eval)), "val_time_ms"}


def _tag(key: str) -> str:
    """TensorBoard groups by what stands before the slash: `validation/loss`, `memory/peak_gb`, `train/loss`.

    A metric of one's own has its name.
    """
    if key not in _DECLARED:
        return key
    head, _, tail = key.partition("_")
    return f"{_TAGS[head]}/{tail}" if head in _TAGS and tail else f"train/{key}"


def _write_tensorboard(history: RunHistory, out: Path) -> None:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise ExportError("TensorBoard's files need tensorboard: pip install 'tuitrain[formats]'.") from None
    if out.is_file():
        raise ExportError(f"{out} is a file: TensorBoard needs a directory.")
    writer = EventFileWriter(str(out))
    try:
        for row in iterate(table(history)):
            step, wall_time = int(row.pop("step")), float(row.pop("time", 0.0))
            values = [Summary.Value(tag=_tag(key), simple_value=value) for key, value in row.items()]
            writer.add_event(Event(step=step, wall_time=wall_time, summary=Summary(value=values)))
    finally:
        writer.close()
