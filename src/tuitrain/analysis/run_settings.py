"""Settings of a run by our names, whatever the tool that wrote its log calls them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from tuitrain.config.run_config import flatten

_NAMES: dict[str, tuple[str, ...]] = {
    "n_layers": ("n_layer", "num_layers", "num_hidden_layers", "nlayers"),
    "d_model": ("n_embd", "n_embed", "hidden_size", "dim", "model_dim"),
    "n_heads": ("n_head", "num_heads", "num_attention_heads"),
    "n_kv_heads": ("n_kv_head", "num_kv_heads", "num_key_value_heads", "num_query_groups"),
    "head_dim": ("kv_channels",),
    "d_ff": ("ffn_hidden_size", "intermediate_size", "n_inner"),
    "vocab_size": ("padded_vocab_size",),
    "seq_len": ("block_size", "seq_length", "max_seq_len", "sequence_length", "context_length"),
    "experts": ("num_experts", "n_experts", "num_local_experts", "n_routed_experts"),
    "params": ("total_params", "params_total", "n_params", "num_params", "num_parameters", "total_parameters"),
    "flops_per_token": (),
    "tokens_per_step": ("tokens_per_iter", "tokens_per_iteration", "tokens_per_batch"),
    "micro_batch_size": ("device_batch_size", "per_device_train_batch_size", "batch_size"),
    "accumulation": ("gradient_accumulation_steps", "grad_accumulation_steps", "grad_accum_steps",
                     "accumulate_grad_batches"),
    "processes": ("world_size", "num_gpus", "n_gpus", "num_processes", "ddp_world_size"),
    "global_batch_size": ("effective_batch_size",),
    "peak_tflops": ("gpu_peak_tflops",),
    "device": ("gpu_name", "device_name", "gpu"),
    "dtype": ("precision",),
    "lr": ("learning_rate", "max_lr", "peak_lr"),
    "min_lr": ("lr_min",),
    "schedule": ("lr_scheduler_type", "lr_decay_style", "lr_schedule"),
    "warmup_steps": ("warmup_iters", "lr_warmup_iters", "num_warmup_steps"),
    "decay_steps": ("lr_decay_iters", "lr_decay_steps"),
    "total_steps": ("max_steps", "max_iters", "train_iters", "num_iterations"),
    "pretrained": ("init_from", "model_name_or_path", "base_model", "adapter_path", "lora_rank", "lora_r"),
    "dropout": ("resid_pdrop", "hidden_dropout", "attention_dropout"),
    "tied_embeddings": ("tie_word_embeddings", "weight_tying"),
}  # fmt: skip
_OURS = {name: ours for ours, names in _NAMES.items() for name in (ours, *names)}


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a configuration by our names, as they are; one with two different values is left out.

    Of what it starts from any value is enough.

    Only the last part of a nested name counts, as in `startup_info.model.n_layer`.
    """
    values: dict[str, Any] = {}
    twice = set()
    for key, value in flatten(config).items():
        name = re.split(r"[./|:]", key)[-1].strip().lower().replace("-", "_").replace(" ", "_")
        ours = _OURS.get(name)
        if ours is None or not isinstance(value, bool | int | float | str):
            continue
        if ours in values and values[ours] != value:
            twice.add(ours)
        values.setdefault(ours, value)
    twice.discard("pretrained")
    return {ours: value for ours, value in values.items() if ours not in twice}


def positive(value: Any) -> float | None:
    """A number above 0, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def whole(value: Any) -> int | None:
    """A whole number above 0; None for anything else."""
    number = positive(value)
    return int(number) if number is not None and number == int(number) and number < 2**53 else None
