"""FLOPs per token as a log states them, or as tools count them for its shapes."""

from __future__ import annotations

from tuitrain.accounting import count_parameters, flops_per_token
from tuitrain.analysis.claims import Claims
from tuitrain.config import ModelConfig


def shapes_known(claims: Claims) -> bool:
    """Whether FLOPs per token follow from what the log says of the architecture."""
    return bool(claims.models) and claims.vocab_size is not None and claims.seq_len is not None


def flops_conventions(model: ModelConfig) -> dict[str, float]:
    """FLOPs per token as tools count them, by how they differ from the convention of PaLM's appendix B, named empty."""
    flops, counts = flops_per_token(model), count_parameters(model)
    return {
        "": flops.full,
        "with the causal mask discounted": flops.causal,
        "with recomputation": flops.full * 8 / 6,
        "without attention": flops.matmul,
        "as 6 for each parameter": 6.0 * counts.total,
        "as 6 for each parameter, and attention": 6.0 * counts.total + flops.attention,
        "without the output head": flops.full - 6.0 * counts.embedding,
        "for the forward pass alone": flops.full / 3,
    }


def flops_of(claims: Claims) -> float | None:
    """FLOPs per token: as stated, else by the shapes in PaLM's convention; None where they are not known."""
    if claims.flops is not None or not shapes_known(claims):
        return claims.flops
    return flops_conventions(claims.models[0])[""]


def flops_range(claims: Claims) -> tuple[float, float] | None:
    """The least and the most FLOPs per token that the log can mean: the stated number, or any convention."""
    flops = flops_of(claims)
    if flops is None:
        return None
    if claims.flops is not None or claims.is_exact:
        return flops, flops
    values = [value for model in claims.models for value in flops_conventions(model).values()]
    return min(values), max(values)
