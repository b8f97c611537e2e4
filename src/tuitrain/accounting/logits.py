"""Whether the loss holds all logits at once or makes them a few rows at a time, and the bytes that takes.

One rule for the engine, which follows it, and for the memory estimate, which counts on it.
"""

from __future__ import annotations

DENSE_LIMIT = 2**28
"""Most logits ever made at once: 1.07 GB in float32."""
_ROW_MULTIPLE = 128
_FLOAT = 4


def chunk_rows(tokens: int, vocab_size: int) -> int | None:
    """Rows of the (tokens, vocab_size) logits of one micro-batch that are made at once; None: all of them, dense.

    Small logits stay dense: there is nothing to save. Larger ones are made in chunks of equal size, a multiple of 128
    rows, of at most DENSE_LIMIT logits. Not fewer than 128 rows either, however large the vocabulary: each chunk adds
    to the whole gradient of the head's weight, which fewer rows would not be worth.
    """
    if tokens * vocab_size <= DENSE_LIMIT or tokens <= _ROW_MULTIPLE:
        return None
    most = max(DENSE_LIMIT // vocab_size // _ROW_MULTIPLE, 1) * _ROW_MULTIPLE
    chunks = -(-tokens // most)
    return -(-tokens // (chunks * _ROW_MULTIPLE)) * _ROW_MULTIPLE


def logits_bytes(tokens: int, vocab_size: int) -> int:
    """Bytes of logits, and of what is made of them, that one process holds at once, at the end of the forward pass.

    tokens are those of one micro-batch. In chunks: logits and log-probabilities of one chunk, in float32. The chunks
    leave the gradient of the head's weight (vocab_size × d_model, float32) at the end of the forward pass already. It
    is not counted here, since it becomes the parameter's gradient; with several micro-batches a step it is held next to
    the one accumulated so far.
    """
    rows = chunk_rows(tokens, vocab_size)
    return dense_logits_bytes(tokens, vocab_size) if rows is None else rows * vocab_size * 2 * _FLOAT


def dense_logits_bytes(tokens: int, vocab_size: int) -> int:
    """The same if all are made at once: log-probabilities, their gradient and that of the logits, in float32."""
    return tokens * vocab_size * 3 * _FLOAT
