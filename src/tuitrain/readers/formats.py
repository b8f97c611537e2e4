"""All formats of other tools, the most specific first: the first that matches a file reads it."""

from __future__ import annotations

from tuitrain.readers import (
    comparison_json,
    csv_epochs,
    generic_csv,
    json_tables,
    jsonl,
    keras_csv,
    lightning,
    llamafactory,
    metrics_history,
    nested_run_json,
    parquet,
    tensorboard,
    wandb,
)
from tuitrain.readers.model import Format

FORMATS: tuple[Format, ...] = (
    nested_run_json.FORMAT,
    comparison_json.FORMAT,
    metrics_history.FORMAT,
    llamafactory.FORMAT,
    jsonl.FORMAT,
    json_tables.FORMAT,
    lightning.FORMAT,
    csv_epochs.FORMAT,
    keras_csv.FORMAT,
    generic_csv.TSV,
    generic_csv.CSV,
    parquet.FORMAT,
    tensorboard.FORMAT,
    wandb.FORMAT,
)

BY_NAME = {format.name: format for format in FORMATS}
