"""config.json of Hugging Face's GPT-2, Llama and Qwen3 models, to and from our [model] section.

Rotary settings are written as `rope_theta` and `rope_scaling`, which every release of transformers reads, and read from
`rope_parameters` too, which releases from 5 on write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tuitrain.config import ConfigError, ModelConfig
from tuitrain.config.errors import quoted
from tuitrain.files import os_error_text, parse_json, read_regular, shortened
from tuitrain_engine.weights.layouts import GPT2, LAYOUTS, QWEN3, Layout

CONFIG_FILE = "config.json"
MOST_CONFIG_BYTES = 1 << 26
"""Of config.json, and of an index of weights."""
_ROPE_KEYS = {
    "factor": "factor",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "original_seq_len": "original_max_position_embeddings",
}
_GELU = ("gelu_new", "gelu_pytorch_tanh")
_GPT2_KEYS = {"n_layers": "n_layer", "d_model": "n_embd", "n_heads": "n_head", "vocab_size": "vocab_size"}
_LLAMA_KEYS = {
    "n_layers": "num_hidden_layers",
    "d_model": "hidden_size",
    "n_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
    "vocab_size": "vocab_size",
    "seq_len": "max_position_embeddings",
}


def config_to_hf(layout: Layout, model: ModelConfig, dtype: str, end_token: int | None) -> dict[str, Any]:
    """The config.json of a model in a layout that holds it. end_token: the id that ends a document."""
    shared = {
        "architectures": [layout.architecture],
        "model_type": layout.model_type,
        "torch_dtype": dtype,
        "tie_word_embeddings": model.tied_embeddings,
        "bos_token_id": None,
        "eos_token_id": end_token,
        "use_cache": True,
    }
    if layout is GPT2:
        return shared | {theirs: getattr(model, ours) for ours, theirs in _GPT2_KEYS.items()} | {
            "n_inner": model.d_ff,
            "n_positions": model.seq_len,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": model.norm_eps,
            "embd_pdrop": model.dropout,
            "attn_pdrop": model.dropout,
            "resid_pdrop": model.dropout,
        }  # fmt: skip
    tree = shared | {theirs: getattr(model, ours) for ours, theirs in _LLAMA_KEYS.items()} | {
        "num_key_value_heads": model.n_kv_heads,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": model.norm_eps,
        "attention_bias": model.bias,
        "attention_dropout": model.dropout,
        "rope_theta": model.rope_theta,
        "rope_scaling": None,
    }  # fmt: skip
    if model.rope_scaling is not None:
        scaling = {theirs: getattr(model.rope_scaling, ours) for ours, theirs in _ROPE_KEYS.items()}
        tree["rope_scaling"] = {"rope_type": "llama3", **scaling}
    if layout is not QWEN3:
        return tree | {"mlp_bias": model.bias}
    windowed = model.attention_span < model.seq_len
    # In this family `max_window_layers` counts the first layers, which have no window.
    return tree | {
        "use_sliding_window": windowed,
        "sliding_window": model.window if windowed else None,
        "max_window_layers": 0 if windowed else model.n_layers,
    }


def config_from_hf(directory: Path) -> dict[str, Any]:
    """The keys of our [model] section that describe the model in a Hugging Face directory, by its config.json.

    Raises ConfigError for a file that cannot be read and for a model that this engine cannot express.
    """
    path = directory / CONFIG_FILE
    try:
        tree = parse_json(read_regular(path, MOST_CONFIG_BYTES).decode())
    except FileNotFoundError:
        raise ConfigError(f"{directory} has no {CONFIG_FILE}: it is no Hugging Face model.") from None
    except (OSError, ValueError) as error:
        reason = os_error_text(error) if isinstance(error, OSError) else f"{path} cannot be read: {error}."
        raise ConfigError(str(reason)) from None
    kind = tree.get("model_type")
    layout = next((layout for layout in LAYOUTS if layout.model_type == kind), None)
    if layout is None:
        known = ", ".join(layout.model_type for layout in LAYOUTS)
        raise ConfigError(f"{path}: model_type = {quoted(kind)} is not one of {known}.")
    try:
        return _from_gpt2(tree) if layout is GPT2 else _from_llama(tree, layout)
    except KeyError as error:
        raise ConfigError(f"{path}: {error.args[0]} is missing.") from None
    except _Foreign as error:
        raise ConfigError(f"{path}: {error}, which this engine does not have.") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ConfigError(f"{path}: a value is not what it should be ({error}).") from None


class _Foreign(ValueError):
    """A setting that our models do not have."""


def _only(tree: dict[str, Any], key: str, *allowed: object) -> None:
    """Raise _Foreign unless the key has one of these values; the first is what a missing key means."""
    value = tree.get(key, allowed[0])
    if value not in allowed:
        raise _Foreign(f"{key} = {shortened(json.dumps(value))}")


def _from_gpt2(tree: dict[str, Any]) -> dict[str, Any]:
    _only(tree, "activation_function", *_GELU)
    _only(tree, "scale_attn_weights", True)
    _only(tree, "scale_attn_by_inverse_layer_idx", False)
    _only(tree, "add_cross_attention", False)
    return {ours: tree[theirs] for ours, theirs in _GPT2_KEYS.items()} | {
        "seq_len": tree["n_positions"],
        "d_ff": tree.get("n_inner") or 4 * tree["n_embd"],
        "norm": "layernorm",
        "norm_eps": tree.get("layer_norm_epsilon", 1e-5),
        "position": "learned",
        "ffn": "gelu",
        "bias": True,
        "qk_norm": False,
        "window": None,
        "tied_embeddings": tree.get("tie_word_embeddings", True),
    }


def _from_llama(tree: dict[str, Any], layout: Layout) -> dict[str, Any]:
    bias = tree.get("attention_bias", False)
    _only(tree, "hidden_act", "silu")
    _only(tree, "attention_bias", False, *([] if layout is QWEN3 else [True]))
    if layout is not QWEN3 and tree.get("mlp_bias", False) != bias:
        raise _Foreign("biases in only one of attention and feed-forward")
    width = tree["hidden_size"] // tree["num_attention_heads"]
    return {ours: tree[theirs] for ours, theirs in _LLAMA_KEYS.items()} | {
        "n_kv_heads": tree.get("num_key_value_heads") or tree["num_attention_heads"],
        # Qwen3's own default is a number, not the quotient.
        "head_dim": tree.get("head_dim") or (128 if layout is QWEN3 else width),
        "norm": "rmsnorm",
        "norm_eps": tree.get("rms_norm_eps", 1e-6),
        "position": "rope",
        "ffn": "swiglu",
        "bias": bias,
        "qk_norm": layout is QWEN3,
        "window": _window(tree) if layout is QWEN3 else None,
        "tied_embeddings": tree.get("tie_word_embeddings", False),
        **_rope(tree),
    }


def _window(tree: dict[str, Any]) -> int | None:
    if not tree.get("use_sliding_window") or tree.get("sliding_window") is None:
        return None
    layers, full = tree["num_hidden_layers"], tree.get("max_window_layers", 28)
    there = {"full_attention": full > 0, "sliding_attention": full < layers}
    kinds = set(tree.get("layer_types") or [kind for kind in there if there[kind]])
    if kinds == {"full_attention"}:
        return None
    if kinds != {"sliding_attention"}:
        raise _Foreign("a window in only some of the layers")
    window: int = tree["sliding_window"]
    return window


def _rope(tree: dict[str, Any]) -> dict[str, Any]:
    rope = tree.get("rope_parameters") or tree.get("rope_scaling") or {}
    _only(rope, "partial_rotary_factor", 1.0)
    theta = float(rope.get("rope_theta", tree.get("rope_theta", 10000.0)))
    settings: dict[str, Any] = {"rope_theta": theta, "rope_scaling": None}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "llama3":
        settings["rope_scaling"] = {ours: rope[theirs] for ours, theirs in _ROPE_KEYS.items()}
    elif kind != "default":
        raise _Foreign(f"rope_type = {shortened(json.dumps(kind))}")
    return settings
