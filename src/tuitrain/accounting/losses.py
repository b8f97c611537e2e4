"""The loss of a language model in other units, perplexity and bits per byte, and against that of its training."""

from __future__ import annotations

import math


def perplexity(loss: float | None) -> float | None:
    """exp(loss), of nats per token; infinite where that is past the largest float. None: unknown."""
    if loss is None:
        return None
    return math.exp(loss) if loss < 700 else math.nan if math.isnan(loss) else math.inf


def bits_per_byte(loss: float, targets: int, text_bytes: int | None) -> float | None:
    """The loss (nats, the mean over `targets` tokens) in bits per byte of the text of these targets.

    loss × targets / text_bytes / ln 2, as in section 3.1 of The Pile (Gao et al. 2020, arXiv 2101.00027). Unlike a loss
    per token it does not depend on how many tokens a tokenizer makes of the text. None: bytes unknown, or none.
    """
    return loss * targets / text_bytes / math.log(2) if text_bytes else None


def generalization_gap(training: float | None, validation: float | None) -> float | None:
    """(validation − training) / training, of losses in the same unit; None where one is unknown or not above 0."""
    if training is None or validation is None or not (0 < training < math.inf and math.isfinite(validation)):
        return None
    return (validation - training) / training
