"""Generation: results with and without the cache are equal, draws depend on the seed, contexts slide."""

from __future__ import annotations

import pytest
import torch
from model_shapes import random_tokens, small_model

from tuitrain_engine.generate import choose, generate
from tuitrain_engine.model import Transformer

SHAPES = [
    {"position": "learned"},
    {"position": "rope", "norm": "rmsnorm", "ffn": "swiglu", "n_kv_heads": 2, "qk_norm": True},
    {"position": "none", "norm_position": "post"},
    {"position": "rope", "window": 5},
    {"position": "learned", "window": 1},
]


def greedy_without_cache(model: Transformer, prompt: list[int], max_tokens: int) -> list[int]:
    tokens = list(prompt)
    with torch.no_grad():
        for _ in range(max_tokens):
            tokens.append(int(model(torch.tensor([tokens[-model.config.seq_len :]]))[0, -1].argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pieces", [[24], [1] * 24, [7, 1, 1, 10, 5]])
def test_logits_with_a_cache_are_those_without(shape: dict[str, object], pieces: list[int]) -> None:
    model = small_model(**shape)
    tokens = random_tokens(2, 24)
    cache = model.new_cache(24)
    with torch.no_grad():
        cached = torch.cat([model(piece, cache=cache) for piece in tokens.split(pieces, dim=1)], dim=1)
        torch.testing.assert_close(cached, model(tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("prompt_length", [1, 20, 30])
def test_the_text_equals_that_of_a_decoder_without_cache(shape: dict[str, object], prompt_length: int) -> None:
    """Twelve tokens after prompts that fit, that fill the context during generation, and that exceed it."""
    model = small_model(**shape)
    prompt = random_tokens(prompt_length).tolist()
    new = generate(model, prompt, max_tokens=12, temperature=0, top_k=0, seed=0)
    assert new == greedy_without_cache(model, prompt, 12)


def test_draws_depend_on_the_seed_alone() -> None:
    model = small_model()

    def text(seed: int, elsewhere: int) -> list[int]:
        torch.manual_seed(elsewhere)
        return generate(model, [1, 2], max_tokens=20, temperature=2.0, top_k=0, seed=seed)

    assert text(1, 0) == text(1, 5)
    assert text(1, 0) != text(2, 0)


def test_the_stop_token_ends_the_text_and_is_not_part_of_it() -> None:
    model = small_model()
    options = {"max_tokens": 20, "temperature": 1.5, "top_k": 0, "seed": 3}
    whole = generate(model, [5], **options)
    stop = whole[6]
    assert generate(model, [5], **options, stop_token=stop) == whole[: whole.index(stop)]


def test_training_mode_is_restored_and_caches_are_freed() -> None:
    model = small_model(dropout=0.5).train()
    first = generate(model, [1], max_tokens=8, temperature=0, top_k=0, seed=0)
    assert model.training
    assert first == generate(model.eval(), [1], max_tokens=8, temperature=0, top_k=0, seed=0)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        generate(small_model(), [], max_tokens=1, temperature=1.0, top_k=0, seed=0)


def test_sampling_respects_temperature_and_top_k() -> None:
    logits = torch.tensor([0.0, 3.0, 2.0, 1.0])
    generator = torch.Generator().manual_seed(0)

    def drawn(temperature: float, top_k: int) -> set[int]:
        return {choose(logits, temperature, top_k, generator) for _ in range(300)}

    assert drawn(0, 0) == {1}
    assert drawn(5.0, 2) == {1, 2}
    assert drawn(5.0, 1) == {1}
    assert drawn(5.0, 0) == drawn(5.0, 99) == {0, 1, 2, 3}
    assert drawn(0.01, 0) == {1}
    # Far below any usual temperature the exponent must not overflow.
    assert drawn(1e-6, 0) == {1}


def test_draws_have_the_probabilities_of_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    counts = torch.bincount(torch.tensor([choose(logits, 0.7, 0, generator) for _ in range(4000)]), minlength=3)
    torch.testing.assert_close(counts / 4000, torch.softmax(logits / 0.7, -1), rtol=0, atol=0.03)


def test_a_cache_refuses_more_than_it_holds() -> None:
    model = small_model()
    cache = model.new_cache(4)
    with pytest.raises(ValueError, match="holds 4"):
        model(random_tokens(1, 5), cache=cache)
