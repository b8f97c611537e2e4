"""Foreign weights: supported variants, refusals in one sentence, no execution of code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from weight_models import (
    GPT2,
    LLAMA,
    MODELS,
    QWEN3,
    SCALING,
    assert_same,
    export,
    load,
    logits_of,
    make_config,
    make_model,
)

from tuitrain.config import ConfigError, ModelConfig
from tuitrain.files import shortened
from tuitrain_engine import weights
from tuitrain_engine.model import Transformer


def refusal(config: ModelConfig, origin: Path | str) -> str:
    """The error message with which weights are refused."""
    with pytest.raises(ConfigError) as error:
        load(config, origin)
    text = str(error.value)
    assert text.startswith(f"model.init_from = {shortened(str(origin))}: ") and "\n" not in text
    return text


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"model_type": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", b"\xff\xfe", b"[1]",
     b'{"model_type": "' + b"x" * 100_000 + b'"}', b'{"model_type": "llama", "hidden_size": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_an_oversized_foreign_file_is_one_short_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "out")
    (tmp_path / "out" / name).write_bytes(content)
    if name != "config.json":
        (tmp_path / "out" / "model.safetensors").unlink()
    assert len(refusal(config, tmp_path / "out")) < 1000


@pytest.mark.parametrize("origin", ["~nobody-here/x", "/tmp/" + "x" * 5000])
def test_an_invalid_directory_name_is_one_sentence(origin: str) -> None:
    assert len(refusal(make_config(**LLAMA), origin)) < 1000


# ── older files ──────────────────────────────────────────────────────────────────────────────────────────


def test_names_without_their_prefix_and_stored_tables_are_accepted(tmp_path: Path) -> None:
    config = make_config(**GPT2)
    model = make_model(config)
    path = export(model, tmp_path / "out")[0]
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 48, 48)
    tensors["h.0.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, path)
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))


def test_a_head_stored_with_tied_embeddings_is_accepted_unless_it_differs(tmp_path: Path) -> None:
    config = make_config(**MODELS["qwen3-tied"])
    model = make_model(config)
    path = export(model, tmp_path / "out")[0]
    tensors = load_file(path)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, path)
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] + 1}, path)
    assert "set model.tied_embeddings=false" in refusal(config, tmp_path / "out")


@pytest.mark.parametrize("style", ["rope_scaling", "rope_parameters"])
def test_rotary_settings_are_read_in_both_formats(tmp_path: Path, style: str) -> None:
    config = make_config(**MODELS["llama-gqa-llama3"])
    export(make_model(config), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    tree = json.loads(path.read_text())
    rope = tree.pop("rope_scaling") | ({"rope_theta": tree.pop("rope_theta")} if style == "rope_parameters" else {})
    path.write_text(json.dumps({**tree, style: rope}))
    described = weights.config_from_hf(tmp_path / "out")
    assert described["rope_scaling"] == SCALING and described["rope_theta"] == 500.0


def test_learned_positions_may_be_fewer_but_not_more(tmp_path: Path) -> None:
    config = make_config(**GPT2)
    model = make_model(config)
    export(model, tmp_path / "out")
    shorter = config.model_copy(update={"seq_len": 20})
    assert_same(logits_of(load(shorter, tmp_path / "out"), shorter), logits_of(model, shorter))
    assert "only 48 learned positions" in refusal(config.model_copy(update={"seq_len": 49}), tmp_path / "out")


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({**LLAMA, "position": "none"}, "model.position = none"),
        ({**LLAMA, "norm": "layernorm", "ffn": "gelu"}, "model.norm = layernorm"),
        ({**LLAMA, "ffn": "geglu"}, "model.ffn = geglu"),
        ({**LLAMA, "norm_position": "post"}, "model.norm_position = post"),
        ({**LLAMA, "window": 8}, "model.window = 8"),
        ({**QWEN3, "bias": True}, "model.bias = true"),
        ({**GPT2, "ffn": "relu2"}, "model.ffn = relu2"),
        ({**GPT2, "qk_norm": True}, "model.qk_norm = true"),
        ({**GPT2, "n_kv_heads": 2}, "model.n_kv_heads = 2"),
        ({**GPT2, "head_dim": 16}, "model.head_dim = 16"),
    ],
)
def test_an_architecture_without_a_layout_is_refused_by_name(
    tmp_path: Path, keys: dict[str, object], named: str
) -> None:
    model = make_model(make_config(**keys))
    with pytest.raises(ConfigError) as error:
        export(model, tmp_path / "out")
    assert str(error.value).startswith(named) and "layout" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match="not an empty directory"):
        export(make_model(make_config(**LLAMA)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


class Evil:
    """An object whose unpickling creates a directory."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.mkdir, (self.target,)


def test_a_pickle_is_refused_and_not_opened(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    path = export(make_model(config), tmp_path / "out")[0]
    path.unlink()
    (tmp_path / "out" / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    assert "pytorch_model.bin is a pickle" in refusal(config, tmp_path / "out")
    assert not (tmp_path / "executed").exists()


def test_tensors_of_the_wrong_shape_are_named(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    path = export(make_model(config), tmp_path / "out")[0]
    tensors = load_file(path)
    up = "model.layers.1.mlp.up_proj.weight"
    cases = {
        "does not exist in this model": {**tensors, "model.layers.1.extra.weight": torch.zeros(2)},
        "is missing (and 1 more": {name: value for name, value in tensors.items() if "up_proj" not in name},
        f"{up} has shape [3, 32], this model needs [128, 32]": {**tensors, up: torch.zeros(3, 32)},
        f"{up} holds I8": {**tensors, up: torch.zeros(128, 32, dtype=torch.int8)},
    }
    for sentence, changed in cases.items():
        save_file(changed, path)
        assert sentence in refusal(config, tmp_path / "out")
    path.write_bytes(b"not safetensors")
    assert "not a readable safetensors file" in refusal(config, tmp_path / "out")
    path.unlink()
    assert "there is no model.safetensors" in refusal(config, tmp_path / "out")


def test_weights_of_another_model_name_the_keys_to_set(tmp_path: Path) -> None:
    export(make_model(make_config(**LLAMA)), tmp_path / "out")
    other = make_config(**LLAMA, n_layers=3, n_kv_heads=1, tied_embeddings=True)
    assert "set model.n_layers=2 model.n_kv_heads=4 model.tied_embeddings=false." in refusal(other, tmp_path / "out")


def test_biases_that_are_not_zero_are_refused_not_dropped(tmp_path: Path) -> None:
    export(make_model(make_config(**GPT2)), tmp_path / "out")
    assert "set model.bias=true" in refusal(make_config(**{**GPT2, "bias": False}), tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model_type": "mistral"}, "model_type = 'mistral' is not one of gpt2, llama, qwen3"),
        ({"hidden_act": "gelu"}, 'hidden_act = "gelu"'),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, 'rope_type = "yarn"'),
        ({"attention_bias": True}, "biases in only one"),
        ({"hidden_size": "wide"}, "a value is not what it should be"),
    ],
)
def test_a_foreign_config_is_refused(tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert sentence in refusal(config, tmp_path / "out")
    path.write_text("{")
    assert "cannot be read" in refusal(config, tmp_path / "out")


def test_an_index_that_points_outside_the_directory_is_refused(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "other")
    export(make_model(config), tmp_path / "out", split=True)
    index = tmp_path / "out" / "model.safetensors.index.json"
    for name in ("../other/model.safetensors", "gone.safetensors"):
        index.write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
        assert "does not hold" in refusal(config, tmp_path / "out")


def test_a_setting_that_may_differ_is_reported(tmp_path: Path) -> None:
    config = make_config(**LLAMA)
    export(make_model(config), tmp_path / "out")
    changed = config.model_copy(update={"rope_theta": 5e5, "init_from": str(tmp_path / "out")})
    reason = weights.load_pretrained(Transformer(changed), changed).reason
    assert "rope_theta is 500000.0, theirs was 10000.0" in reason and "norm_eps" not in reason


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({**GPT2, "rope_scaling": SCALING}, "needs position = rope"),
        ({**LLAMA, "rope_scaling": {**SCALING, "low_freq_factor": 4.0}}, "\\(4\\) must be above low_freq_factor"),
    ],
)
def test_invalid_rope_scaling_is_refused(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_config(**keys)
