"""Time and GPU-hours to a token budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BudgetTime:
    """What a token budget costs at a stated utilisation."""

    tokens: int
    tokens_per_sec: float
    seconds: float
    gpu_hours: float


def time_to_budget(tokens: int, flops_per_token: float, *, peak_tflops: float, mfu: float, gpus: int = 1) -> BudgetTime:
    """Time to train on `tokens` tokens with `gpus` devices of `peak_tflops` each at a utilisation of `mfu` (0–1)."""
    tokens_per_sec = mfu * peak_tflops * 1e12 * gpus / flops_per_token
    seconds = tokens / tokens_per_sec
    return BudgetTime(tokens, tokens_per_sec, seconds, seconds * gpus / 3600)
