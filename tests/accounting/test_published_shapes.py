"""Parameters and FLOPs per token of known shapes, against published or independently derived figures."""

from __future__ import annotations

import pytest

from tuitrain.accounting import achieved_tflops, count_parameters, flops_per_token, mfu
from tuitrain.config import ModelConfig, load_config


def preset(name: str, **changes: object) -> ModelConfig:
    overrides = [f"model.{key}={str(value).lower()}" for key, value in changes.items()]
    return load_config(name, overrides).model


SHAPES = {
    "GPT-2 124M": (preset("gpt2-124m", vocab_size=50257), 124_439_808, 0.854, 0.798),
    "LLaMA 124M": (preset("llama-124m", vocab_size=50304), 162_220_800, 0.855, 0.798),
    "GPT-2 1.3B": (preset("gpt2-1.3b", vocab_size=50257), 1_265_313_024, 8.084, 7.829),
    "LLaMA-2 1.3B": (preset("llama2-1.3b", vocab_size=32000), 1_294_159_104, 7.832, 7.577),
    "LLaMA-3 2.2B": (preset("llama3-2.2b"), 2_224_154_624, 13.278, 12.523),
    "Qwen3 1.8B": (preset("qwen3-1.8b", vocab_size=151936), 1_830_395_904, 10.323, 9.719),
    "Qwen3 0.6B": (preset("qwen3-0.6b", vocab_size=151936, seq_len=4096), 596_049_920, 6.394, 4.985),
    "Llama 3.1 8B": (preset("llama3-8b", vocab_size=128256, seq_len=8192), 8_030_261_248, 57.913, 51.470),
}


@pytest.mark.parametrize("model, parameters, full, causal", SHAPES.values(), ids=SHAPES)
def test_known_shapes_have_published_figures(model: ModelConfig, parameters: int, full: float, causal: float) -> None:
    flops = flops_per_token(model)
    assert count_parameters(model).total == parameters
    assert round(flops.full / 1e9, 3) == full
    assert round(flops.causal / 1e9, 3) == causal


def test_parts_add_up_to_the_total() -> None:
    for model, total, _, _ in SHAPES.values():
        parts = count_parameters(model)
        blocks = parts.attention + parts.feedforward + parts.norms
        assert parts.embedding + parts.positions + blocks + parts.head == total
        assert parts.non_embedding == blocks + parts.head


def test_a_window_shortens_the_attention_term_only() -> None:
    whole, windowed = (flops_per_token(preset("llama2-1.3b", window=w)) for w in (1024, 256))
    assert windowed.matmul == whole.matmul
    assert windowed.attention == whole.attention / 4
    assert flops_per_token(preset("llama2-1.3b", window=9999)) == whole


@pytest.mark.parametrize("window", [1, 64, 128, 255, 256])
def test_the_causal_count_includes_only_unmasked_keys(window: int) -> None:
    length = 256
    flops = flops_per_token(preset("llama2-1.3b", seq_len=length, window=window))
    keys = sum(min(position + 1, window) for position in range(length)) / length
    counted = (flops.causal - flops.matmul) / (12 * 18 * 2304)
    # The formula omits the half key of a token's own position.
    assert counted == pytest.approx(keys, abs=0.51)
    assert counted == pytest.approx(window - window**2 / (2 * length))


def test_grouped_queries_change_the_projections_only() -> None:
    grouped, full = (flops_per_token(preset("llama3-2.2b", n_kv_heads=n)) for n in (8, 16))
    assert grouped.attention == full.attention
    assert full.matmul - grouped.matmul == 6 * 30 * 2048 * 2 * 8 * 128


def test_a_shape_without_vocabulary_is_not_counted() -> None:
    with pytest.raises(ValueError, match="vocab_size"):
        count_parameters(ModelConfig())


def test_mfu_reproduces_the_published_llama_figure() -> None:
    # torchtitan, Llama 3.1 8B on 8 H100: 6,667 tokens/s per GPU is 39.0 % MFU.
    flops = flops_per_token(SHAPES["Llama 3.1 8B"][0]).full
    assert mfu(8 * 6667, flops, 8, 989.0) == pytest.approx(0.390, abs=0.001)
    assert achieved_tflops(8 * 6667, flops, 8) == pytest.approx(386.1, abs=0.1)


def test_mfu_of_an_unknown_peak_is_unknown() -> None:
    assert mfu(1000.0, 1e9, 1, None) is None
