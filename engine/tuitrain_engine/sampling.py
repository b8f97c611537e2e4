"""Text from a model: encode the prompt, generate, decode what came after it."""

from __future__ import annotations

from collections.abc import Callable

from tuitrain_engine.data import Tokenizer
from tuitrain_engine.generate import generate
from tuitrain_engine.model import Transformer


def continue_text(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    max_tokens: int,
    temperature: float,
    top_k: int,
    seed: int,
    top_p: float = 1.0,
    broadcast: Callable[[int], int] | None = None,
) -> str:
    """What the model writes after the prompt; it may end early where the tokenizer has an end of document.

    An empty prompt starts a new document. Raises DataError for a prompt the tokenizer cannot express.
    """
    prompt_tokens = [int(token) for token in tokenizer.encode(prompt)]
    if not prompt_tokens:
        prompt_tokens = [tokenizer.end_of_document or 0]
    tokens = generate(
        model,
        prompt_tokens,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        stop_token=tokenizer.end_of_document,
        broadcast=broadcast,
    )
    # Decoded together: the first new token's text may depend on the last one of the prompt.
    before, whole = tokenizer.decode(prompt_tokens), tokenizer.decode([*prompt_tokens, *tokens])
    return whole[len(before) :] if whole.startswith(before) else tokenizer.decode(tokens)
