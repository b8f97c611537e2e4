"""The number of rows of logits that the loss computes at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.accounting import chunk_rows, dense_logits_bytes, logits_bytes
from tuitrain.accounting.logits import DENSE_LIMIT


@pytest.mark.parametrize(
    "tokens, vocab_size, rows",
    [
        (12 * 64, 65, None),
        (5 * 1024, 50_257, None),
        (16 * 1024, 50_257, 4096),
        (8 * 4096, 151_936, 1664),
        (2 * 2048, 128_256, 2048),
    ],
)
def test_known_shapes_have_known_rows(tokens: int, vocab_size: int, rows: int | None) -> None:
    assert chunk_rows(tokens, vocab_size) == rows


@given(st.integers(1, 10**6), st.integers(2, 10**6))
def test_chunks_are_no_larger_than_dense_logits_may_be(tokens: int, vocab_size: int) -> None:
    rows = chunk_rows(tokens, vocab_size)
    if rows is None:
        assert tokens * vocab_size <= DENSE_LIMIT or tokens <= 128
    else:
        assert rows % 128 == 0 and rows < tokens + 128
        assert rows * vocab_size <= DENSE_LIMIT or rows == 128
        # Of equal size: one chunk fewer would exceed the limit.
        assert -(-tokens // rows) == -(-tokens // max(DENSE_LIMIT // vocab_size // 128 * 128, 128))


def test_the_logits_of_qwen3s_vocabulary_have_known_sizes() -> None:
    tokens, vocab_size = 8 * 4096, 151_936
    assert dense_logits_bytes(tokens, vocab_size) == 3 * 19_914_555_392
    assert logits_bytes(tokens, vocab_size) == 1664 * vocab_size * 8
    assert logits_bytes(64, 65) == dense_logits_bytes(64, 65) == 64 * 65 * 12
