"""How much of a dataset on the Hugging Face Hub is read."""

from __future__ import annotations

STREAM_TOKENS = 200_000_000
"""What is taken of a dataset on the Hub when data.max_tokens is unset: it may have terabytes."""
LEAST_STREAM_TOKENS = 1 << 22


def stream_limit(token_limit: int | None) -> int:
    """Tokens read of a dataset on the Hub by a run that consumes `token_limit` tokens (None: unknown)."""
    # In powers of two, so that a run a little longer finds the same shards.
    wanted = STREAM_TOKENS if token_limit is None else 1 << (token_limit - 1).bit_length()
    return min(STREAM_TOKENS, max(wanted, LEAST_STREAM_TOKENS))
