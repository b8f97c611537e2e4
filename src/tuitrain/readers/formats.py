"""All formats of other tools, the most specific first: the first that matches a file reads it."""

from __future__ import annotations

from tuitrain.readers import (
    comet,
    comparison_json,
    csv_epochs,
    dvclive,
    generic_csv,
    hf_trainer,
    json_tables,
    jsonl,
    keras_csv,
    lightning,
    llamafactory,
    metrics_history,
    mlflow,
    nested_run_json,
    parquet,
    tensorboard,
    trackio,
    wandb,
)
from tuitrain.readers.consoles import (
    composer,
    deepspeed,
    fairseq,
    hf,
    litgpt,
    megatron,
    mlx_lm,
    nanochat,
    nanogpt,
    olmo,
    torchtitan,
)
from tuitrain.readers.model import Format
from tuitrain.readers.stream import last_resort

_SPECIFIC: tuple[Format, ...] = (
    hf_trainer.FORMAT,
    nested_run_json.FORMAT,
    comparison_json.FORMAT,
    metrics_history.FORMAT,
    llamafactory.FORMAT,
    jsonl.FORMAT,
    json_tables.FORMAT,
    lightning.FORMAT,
    csv_epochs.FORMAT,
    keras_csv.FORMAT,
    mlflow.FORMAT,
    dvclive.FORMAT,
    nanogpt.FORMAT,
    nanochat.FORMAT,
    torchtitan.FORMAT,
    megatron.FORMAT,
    litgpt.FORMAT,
    mlx_lm.FORMAT,
    fairseq.FORMAT,
    hf.FORMAT,
    olmo.FORMAT,
    composer.FORMAT,
    deepspeed.FORMAT,
    generic_csv.TSV,
    generic_csv.CSV,
    parquet.FORMAT,
    tensorboard.FORMAT,
    wandb.FORMAT,
    trackio.FORMAT,
    comet.FORMAT,
)

FORMATS = (*_SPECIFIC, last_resort(_SPECIFIC))
BY_NAME = {format.name: format for format in FORMATS}
