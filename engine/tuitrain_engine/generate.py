"""Text generation, one token at a time, with a key-value cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from tuitrain_engine.model import Cache, Transformer


@torch.no_grad()
def generate(
    model: Transformer,
    prompt_tokens: list[int],
    *,
    max_tokens: int,
    temperature: float,
    top_k: int,
    seed: int,
    top_p: float = 1.0,
    stop_token: int | None = None,
    broadcast: Callable[[int], int] | None = None,
) -> list[int]:
    """Continue a prompt; returns the new tokens only, `stop_token` (which ends the text early) not among them.

    broadcast: of several processes that generate together, gives all of them the main one's token.

    temperature 0 chooses the most likely token; top_k 0 and top_p 1 draw from all. Draws depend on `seed` alone, not on
    the state of any other generator. Past seq_len the oldest tokens leave the context. Raises ValueError for an
    empty prompt.
    """
    if not prompt_tokens:
        raise ValueError("the prompt has no tokens; generation needs at least one to continue")
    generator = torch.Generator("cpu").manual_seed(seed)
    was_training = model.training
    model.eval()
    try:
        # Eager: every token has another shape, for which compiled blocks would be recompiled.
        with torch.compiler.set_stance("force_eager"):
            choose_next = partial(choose, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
            if broadcast is None:
                return _decode(model, prompt_tokens, max_tokens, choose_next, stop_token)
            return _decode(model, prompt_tokens, max_tokens, lambda logits: broadcast(choose_next(logits)), stop_token)
    finally:
        model.train(was_training)


def _decode(
    model: Transformer,
    prompt_tokens: list[int],
    max_tokens: int,
    choose_next: Callable[[Tensor], int],
    stop_token: int | None,
) -> list[int]:
    seq_len = model.config.seq_len
    device = model.head.weight.device
    tokens = list(prompt_tokens)
    cache: Cache | None = None
    for _ in range(max_tokens):
        if cache is None or cache.length == seq_len:
            # The start, or a full context: every token's position has changed, so the cache is invalid.
            cache, unseen = model.new_cache(seq_len), tokens[-seq_len:]
        else:
            unseen = tokens[-1:]
        logits = model(torch.tensor([unseen], device=device), cache=cache)
        token = choose_next(logits[0, -1].float().cpu())
        if token == stop_token:
            break
        tokens.append(token)
    return tokens[len(prompt_tokens) :]


def choose(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator, top_p: float = 1.0) -> int:
    """Draw a token from logits (V,), float32 on the CPU.

    First temperature, then top_k, then top_p: the fewest tokens, the likeliest first, that together reach it. At least
    one always remains (nucleus sampling, Holtzman et al. 2020).
    """
    if temperature == 0:
        return int(logits.argmax())
    candidates = None
    if 0 < top_k < len(logits):
        logits, candidates = logits.topk(top_k)
    probabilities = torch.softmax((logits - logits.max()) / temperature, dim=-1)
    if top_p < 1:
        descending, order = probabilities.sort(descending=True, stable=True)
        enough_without = descending.cumsum(-1)[:-1] >= top_p
        probabilities[order[1:][enough_without]] = 0.0
    drawn = int(torch.multinomial(probabilities, 1, generator=generator))
    return drawn if candidates is None else int(candidates[drawn])
