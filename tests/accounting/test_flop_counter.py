"""FLOPs and parameters from the formulas, against torch's counts on the model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from tuitrain.accounting import count_parameters, flops_per_token
from tuitrain.config import ModelConfig, all_presets, load_config
from tuitrain_engine.model import Transformer, initialise


@pytest.mark.parametrize("family", ["gpt2", "llama2", "llama3", "qwen3", "hybrid"])
def test_flops_of_forward_and_backward(family: str) -> None:
    """FlopCounterMode counts matrix products. With the math kernel attention is two plain products forward and four
    backward over all T × T pairs, masked or not: exactly the convention of `full`, so the counts must be equal."""
    model = load_config(f"{family}-tiny", ["model.attention_backend=math", "model.seq_len=32"]).model
    network = Transformer(model)
    initialise(network, 0)
    tokens = torch.zeros(2, model.seq_len, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        network(tokens, tokens).loss_sum.backward()
    assert counter.get_total_flops() / tokens.numel() == flops_per_token(model).full


def built_parameters(model: ModelConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in Transformer(model).parameters())


@pytest.mark.parametrize("name", all_presets())
def test_counted_parameters_of_presets(name: str) -> None:
    model = load_config(name).model
    if model.vocab_size is None:
        model = model.model_copy(update={"vocab_size": 50257})
    assert built_parameters(model) == count_parameters(model).total


@st.composite
def shapes(draw: st.DrawFn) -> ModelConfig:
    norm = draw(st.sampled_from(["layernorm", "rmsnorm"]))
    kv_heads, group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return ModelConfig(
        n_layers=draw(st.integers(1, 3)),
        d_model=draw(st.integers(8, 48)),
        n_heads=kv_heads * group,
        n_kv_heads=kv_heads,
        head_dim=2 * draw(st.integers(1, 8)),
        ffn=draw(st.sampled_from(["gelu", "swiglu", "geglu", "relu2"])),
        d_ff=draw(st.integers(8, 64)),
        vocab_size=draw(st.integers(2, 99)),
        seq_len=draw(st.integers(2, 32)),
        norm=norm,
        norm_bias=norm == "layernorm" and draw(st.booleans()),
        norm_position=draw(st.sampled_from(["pre", "post"])),
        position=draw(st.sampled_from(["learned", "rope", "none"])),
        bias=draw(st.booleans()),
        tied_embeddings=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )


@given(shapes())
def test_counted_parameters_of_any_shape(model: ModelConfig) -> None:
    assert built_parameters(model) == count_parameters(model).total
